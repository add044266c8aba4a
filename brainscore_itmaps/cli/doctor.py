"""`brainscore doctor`, `link` and `unlink`: check the installation, and link the plugins into Brain-Score."""

import typer
from rich.table import Column, Table
from rich.text import Text

from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.bridge.doctor import examine
from brainscore_itmaps.cli.terminal import errors, say
from brainscore_itmaps.errors import InstallationError

STYLES = {"ok": "green", "note": "yellow", "trouble": "bold red"}


def doctor() -> None:
    """Check the installation and the plugins, and print how to fix each problem.

    The exit code is 0 without problems and 5 with at least one problem.
    """
    with errors().status("checking"):
        findings = list(examine())
    table = Table.grid("", "", Column(overflow="fold"), padding=(0, 2))
    for finding in findings:
        text = finding.what + (f"\n-> {finding.fix}" if finding.fix else "")
        table.add_row(Text(finding.state, style=STYLES[finding.state]), finding.topic, text)
    say(table)
    if any(finding.state == "trouble" for finding in findings):
        raise typer.Exit(InstallationError.exit_code)


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


def unlink() -> None:
    """Remove the links that `brainscore link` made."""
    removed = plugins.unlink()
    for folder in removed:
        say(f"removed {folder}")
    if not removed:
        say("No plugins were linked.")
