"""`brainscore doctor`, `link` and `unlink`: check the installation, and link the plugins into Brain-Score."""

import typer
from rich.text import Text

from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.bridge.doctor import examine
from brainscore_itmaps.cli.terminal import errors, output, say, say_next, wrapped
from brainscore_itmaps.errors import InstallationError, printable

STATE = 9
"""Width of the column of states."""
NARROW = 80
"""Width of a terminal below which a finding is written under its topic, not beside it."""
STYLES = {"ok": "green", "note": "yellow", "trouble": "bold red"}


def doctor() -> None:
    """Check the installation and the plugins, and print how to fix each problem.

    The exit code is 0 without problems and 5 with at least one problem.
    """
    with errors().status("checking"):
        findings = list(examine())
    column = max(len(finding.topic) for finding in findings) + 2
    narrow = output().width < NARROW
    for finding in findings:
        name = f"{finding.topic}: " if narrow else f"{finding.topic:<{column}}"
        indent = " " * (STATE if narrow else STATE + column)
        lines = wrapped(f"{finding.state:<{STATE}}{printable(name)}", printable(finding.what), indent)
        fix = f"\n{wrapped(indent + '-> ', printable(finding.fix), indent + '   ')}" if finding.fix else ""
        say(Text.assemble((finding.state, STYLES[finding.state]), lines.removeprefix(finding.state) + fix))
    if any(finding.state == "trouble" for finding in findings):
        raise typer.Exit(InstallationError.exit_code)
    if any(finding.topic == "embedded data" and finding.state == "ok" for finding in findings):
        say_next("score", "--model", "efficientnet_lite0", "--benchmark", "it_maps_simulated")
    else:
        say_next("models", "list")


def link() -> None:
    """Link the plugins into Brain-Score's folder, where `python -m brainscore_vision` looks for them.

    The links are needed if this package or Brain-Score is an editable install, or if uv installed this package.
    """
    linked = plugins.link()
    for folder in linked:
        say(f"linked {folder}")
    if not linked:
        say("No plugins were linked: Brain-Score's folder holds all of them already.")
    for share in plugins.host_shares():
        if share.text:
            say(f"not linked: {share.text}")
    say_next("doctor")


def unlink() -> None:
    """Remove the links that `brainscore link` made."""
    removed = plugins.unlink()
    for folder in removed:
        say(f"removed {folder}")
    if not removed:
        say("No plugins were linked.")
    say_next("doctor")
