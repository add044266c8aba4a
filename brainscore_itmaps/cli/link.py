"""`brainscore link` and `unlink`: links to our plugins in Brain-Score's folder, for editable installs."""

from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.cli.terminal import say


def link() -> None:
    """Link the plugins into Brain-Score's folder, where `python -m brainscore_vision` looks for them.

    The links are needed if this package or Brain-Score is an editable install, or if uv installed this package.
    """
    for folder in plugins.link():
        say(f"linked {folder}")


def unlink() -> None:
    """Remove the links that `brainscore link` made."""
    removed = plugins.unlink()
    for folder in removed:
        say(f"removed {folder}")
    if not removed:
        say("nothing was linked")
