"""`brainscore link` and `unlink`: our plugins in Brain-Score's folder, for editable installs."""

from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.cli.terminal import say


def link() -> None:
    """Link the plugins into Brain-Score's folder, for `python -m brainscore_vision` beside an editable install."""
    for folder in plugins.link():
        say(f"linked {folder}")


def unlink() -> None:
    """Remove what `brainscore link` made."""
    removed = plugins.unlink()
    for folder in removed:
        say(f"removed {folder}")
    if not removed:
        say("nothing was linked")
