"""`brainscore link` and `unlink`: our plugins in Brain-Score's folder, for editable installs."""

from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.cli.terminal import output


def link() -> None:
    """Link the plugins into Brain-Score's folder, for `python -m brainscore_vision` beside an editable install."""
    for folder in plugins.link():
        output().print(f"linked {folder}", soft_wrap=True, markup=False)


def unlink() -> None:
    """Remove what `brainscore link` made."""
    removed = plugins.unlink()
    for folder in removed:
        output().print(f"removed {folder}", soft_wrap=True, markup=False)
    if not removed:
        output().print("nothing was linked")
