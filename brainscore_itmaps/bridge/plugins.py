"""Make our plugin folders visible to Brain-Score when they are not installed inside it.

Brain-Score searches for literal lines such as ``model_registry['resnet50']`` in the folders of its own package, and
nowhere else. After a plain install beside a released Brain-Score our folders are in there. In the other cases
(an editable Brain-Score, or our own editable install) there are two ways:

- :func:`attach` lets the search of this one process look in our folder too, and writes nothing. Our own commands do so.
- :func:`link` puts folders of links into Brain-Score's package, for ``python -m brainscore_vision``;
  :func:`unlink` takes them out again.
"""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from brainscore_itmaps.errors import InstallationError

HOST = "brainscore_vision"
KINDS = {"data": "data", "metrics": "metric", "benchmarks": "benchmark", "models": "model"}


def plugin_folders() -> dict[str, list[Path]]:
    """List our plugin folders by kind: those inside the package, or in a checkout those beside it."""
    package = Path(__file__).parents[1]
    home = package / "plugins" if (package / "plugins").is_dir() else package.parent / "plugins"
    return {kind: sorted(init.parent for init in home.glob(f"{kind}/*/__init__.py")) for kind in KINDS}


def host_folder() -> Path:
    """Return the folder of the ``brainscore_vision`` package, found without importing it.

    Raises
    ------
    InstallationError
        When Brain-Score is not installed, or an empty folder hides it.
    """
    found = importlib.util.find_spec(HOST)
    if found is None:
        raise InstallationError("Brain-Score is not installed.", "Install it: pip install 'brainscore-vision>=2.4,<3'.")
    if found.origin is None:
        shadows = ", ".join(found.submodule_search_locations or [])
        raise InstallationError(
            f"A folder without __init__.py hides Brain-Score: {shadows}. This happens when a Brain-Score clone is "
            "installed editable after, or before, this package was installed into its folder.",
            f"Remove that folder (rm -r {shadows}) and install this package again.",
        )
    return Path(found.origin).parent


def identifiers(kind: str) -> dict[str, list[Path]]:
    """List the identifiers of a kind that Brain-Score's search would find, ours attached, with their folders.

    Reads the files as text, as Brain-Score does; imports nothing.
    """
    pattern = re.compile(rf"^[^#\n]*{KINDS[kind]}_registry\[['\"]([^'\"]+)['\"]\]\s*=", re.MULTILINE)
    named: dict[str, list[Path]] = {}
    for folder in _searched(kind):
        for identifier in pattern.findall((folder / "__init__.py").read_text(encoding="utf-8")):
            named.setdefault(identifier, []).append(folder)
    return named


def installed(kind: str) -> list[Path]:
    """List our folders of a kind that Brain-Score's own search finds."""
    host = host_folder() / kind
    return [host / ours.name for ours in plugin_folders()[kind] if (host / ours.name / "__init__.py").is_file()]


def attach() -> None:
    """Attach our folders to Brain-Score's search in this process; its own folders have priority.

    Does nothing a second time, nor where the folders are installed or linked: then its own search finds them.
    """
    host_folder()
    search = import_module("brainscore_core.plugin_management.import_plugin").ImportPlugin
    if getattr(search.locate_plugin, "finds_itmaps", False):
        return
    own_search = search.locate_plugin
    homes = {kind: folders[0].parent for kind, folders in plugin_folders().items() if folders}

    def locate_plugin(self: object) -> str:
        try:
            return str(own_search(self))
        except AssertionError as not_found:
            kind, searched = self.plugin_type, self.plugins_dir  # type: ignore[attr-defined]
            if kind not in homes or not str(not_found).startswith("No registrations"):
                raise
            self.plugins_dir = homes[kind]  # type: ignore[attr-defined]
            try:
                name = str(own_search(self))
            except AssertionError:
                raise not_found from None
            finally:
                self.plugins_dir = searched  # type: ignore[attr-defined]
            package = import_module(f"{HOST}.{kind}")
            if str(homes[kind]) not in package.__path__:
                package.__path__.append(str(homes[kind]))
            return name

    locate_plugin.finds_itmaps = True  # type: ignore[attr-defined]
    search.locate_plugin = locate_plugin


def link() -> list[Path]:
    """Put our plugins into Brain-Score's package as real folders that hold a link for each file.

    Folders are never links themselves: pip would follow such a link when it uninstalls, and delete our files.

    Returns
    -------
    list of Path
        The folders made.

    Raises
    ------
    InstallationError
        When a folder of that name is there that we did not make, or the place cannot be written to.
    """
    host = host_folder()
    targets = {host / kind / ours.name: ours for kind, folders in plugin_folders().items() for ours in folders}
    for target in targets:
        if target.exists() and not is_linked(target):
            raise InstallationError(
                f"{target} is there already and was not made by `brainscore link`. Nothing was changed.",
                "If `brainscore doctor` says the plugins are installed in Brain-Score, no link is needed.",
            )
    unlink()
    for target, ours in targets.items():
        try:
            for file in _files(ours):
                place = target / file.relative_to(ours)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(file)
        except OSError as error:
            unlink()
            raise InstallationError(
                f"Cannot write {target}: {error.strerror}.", "Ask the owner of that environment to run this."
            ) from error
    return list(targets)


def unlink() -> list[Path]:
    """Remove what :func:`link` made, and nothing else: only links, and folders that are empty without them.

    Returns
    -------
    list of Path
        The folders removed.
    """
    host = host_folder()
    targets = [host / kind / ours.name for kind, folders in plugin_folders().items() for ours in folders]
    removed = []
    for target in filter(is_linked, targets):
        for place in sorted(target.rglob("*"), reverse=True):  # what lies in a folder comes before it
            if place.is_symlink():
                place.unlink()
            elif place.name == "__pycache__":
                shutil.rmtree(place)
            elif place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        if not any(target.iterdir()):
            target.rmdir()
            removed.append(target)
    return removed


def is_linked(folder: Path) -> bool:
    """Return whether :func:`link` made this plugin folder."""
    return (folder / "__init__.py").is_symlink()


def _searched(kind: str) -> Iterator[Path]:
    seen = set()
    for folder in [*sorted((host_folder() / kind).iterdir()), *plugin_folders()[kind]]:
        if folder.name[0] not in "._" and folder.name not in seen and (folder / "__init__.py").is_file():
            seen.add(folder.name)
            yield folder


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
