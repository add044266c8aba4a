"""Make the plugin folders of this package visible to Brain-Score when they are not installed inside it.

Brain-Score searches only the folders of its own package for literal lines such as ``model_registry['resnet50']``. A
plain install of this package beside a released Brain-Score puts the plugin folders there. For editable installs of
either package there are two methods:

- :func:`attach` extends the search in this process to the folders of this package, and writes nothing. The commands of
  this package use it.
- :func:`link` writes folders of links into Brain-Score's package, for ``python -m brainscore_vision``;
  :func:`unlink` removes them.
"""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from brainscore_itmaps.bridge.host import LINKED, Share, installed_here, is_link, shares, without_lines
from brainscore_itmaps.errors import InstallationError

HOST = "brainscore_vision"
KINDS = {"data": "data", "metrics": "metric", "benchmarks": "benchmark", "models": "model"}


def plugin_folders() -> dict[str, list[Path]]:
    """List the plugin folders of this package by kind; in a checkout they are beside the package, not inside it.

    Examples
    --------
    >>> [folder.name for folder in plugin_folders()["data"]]
    ['itmaps_arcaro2020', 'itmaps_osie', 'itmaps_simulated']
    """
    package = Path(__file__).parents[1]
    home = package / "plugins" if (package / "plugins").is_dir() else package.parent / "plugins"
    return {kind: sorted(init.parent for init in home.glob(f"{kind}/*/__init__.py")) for kind in KINDS}


def host_folder() -> Path:
    """Return the folder of the ``brainscore_vision`` package without importing it.

    Raises
    ------
    InstallationError
        When Brain-Score is not installed, or an empty folder hides it.

    Examples
    --------
    >>> host_folder().name
    'brainscore_vision'
    """
    spec = importlib.util.find_spec(HOST)
    if spec is None:
        raise InstallationError("Brain-Score is not installed.", "Install it: pip install 'brainscore-vision>=2.4,<3'.")
    if spec.origin is None:
        shadows = ", ".join(spec.submodule_search_locations or [])
        raise InstallationError(
            f"A folder without __init__.py hides Brain-Score: {shadows}. This happens when a Brain-Score clone is "
            "installed editable after, or before, this package was installed into its folder.",
            f"Remove that folder (rm -r {shadows}) and install this package again.",
        )
    return Path(spec.origin).parent


def identifiers(kind: str) -> dict[str, list[Path]]:
    """List the identifiers of a kind that Brain-Score would find after :func:`attach`, with their folders.

    Files are read as text, as by Brain-Score; nothing is imported.

    Examples
    --------
    >>> [folder.name for folder in identifiers("models")["efficientnet_lite0"]]
    ['itmaps_embedded']
    """
    pattern = re.compile(rf"^[^#\n]*{KINDS[kind]}_registry\[['\"]([^'\"]+)['\"]\]\s*=", re.MULTILINE)
    folders_of: dict[str, list[Path]] = {}
    host = host_folder()
    for folder in _searched(kind):
        for identifier in pattern.findall((folder / "__init__.py").read_text(encoding="utf-8")):
            if host in folder.parents or identifier not in folders_of:  # Brain-Score's own search comes first
                folders_of.setdefault(identifier, []).append(folder)
    return folders_of


def installed(kind: str) -> list[Path]:
    """List the plugin folders of this package, of one kind, that are inside Brain-Score's package."""
    host = host_folder() / kind
    return [host / folder.name for folder in plugin_folders()[kind] if (host / folder.name / "__init__.py").is_file()]


def attach() -> None:
    """Extend Brain-Score's plugin search in this process to the folders of this package.

    Folders inside Brain-Score have priority, so this changes nothing where the plugins are installed or linked. A
    second call does nothing.
    """
    host_folder()
    search = import_module("brainscore_core.plugin_management.import_plugin").ImportPlugin
    if getattr(search.locate_plugin, "finds_itmaps", False):
        return
    original_search = search.locate_plugin
    parents = {kind: folders[0].parent for kind, folders in plugin_folders().items() if folders}

    def locate_plugin(self: object) -> str:
        try:
            return str(original_search(self))
        except AssertionError as not_found:
            kind, searched = self.plugin_type, self.plugins_dir  # type: ignore[attr-defined]
            if kind not in parents or not str(not_found).startswith("No registrations"):
                raise
            self.plugins_dir = parents[kind]  # type: ignore[attr-defined]
            try:
                name = str(original_search(self))
            except AssertionError:
                raise not_found from None
            finally:
                self.plugins_dir = searched  # type: ignore[attr-defined]
            package = import_module(f"{HOST}.{kind}")
            if str(parents[kind]) not in package.__path__:
                package.__path__.append(str(parents[kind]))
            _import_beside_host(parents[kind] / name)
            return name

    locate_plugin.finds_itmaps = True  # type: ignore[attr-defined]
    search.locate_plugin = locate_plugin


def _import_beside_host(folder: Path) -> None:
    """Import a plugin folder of this package, and leave to Brain-Score the identifiers that it registers itself."""
    left_out = next((share.left_out for share in host_shares() if share.folder == folder), ())
    host = import_module(HOST)
    before = {}
    for identifier in left_out:
        registry, _, name = identifier.partition(":")
        entries = getattr(host, f"{registry}_registry")
        if name in entries:
            before[identifier] = entries[name]
    if (host_folder() / folder.parent.name / folder.name / "__init__.py").is_file():  # another folder of this name
        spec = importlib.util.spec_from_file_location(
            f"itmaps_{folder.parent.name}_{folder.name}", folder / "__init__.py"
        )
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    else:
        import_module(f"{HOST}.{folder.parent.name}.{folder.name}")
    for identifier in left_out:
        registry, _, name = identifier.partition(":")
        entries = getattr(host, f"{registry}_registry")
        if identifier in before:
            entries[name] = before[identifier]
        else:
            entries.pop(name, None)


def link() -> list[Path]:
    """Link the plugins of this package into Brain-Score's package, as real folders with a link for each file.

    Folders are not links themselves, because pip would follow them when it uninstalls, and delete the original files.
    Folders and identifiers that Brain-Score holds itself are left out (:func:`host_shares`), and so are folders that
    are installed there.

    Returns
    -------
    list of Path
        Created folders.

    Raises
    ------
    InstallationError
        When Brain-Score's package cannot be written to.
    """
    host = host_folder()
    unlink()
    linked = []
    for share in host_shares():
        target = host / share.folder.parent.name / share.folder.name
        if share.reason or (target.is_dir() and any(target.iterdir()) and not is_link(target)):
            continue
        try:
            for file in _files(share.folder):
                link_path = target / file.relative_to(share.folder)
                link_path.parent.mkdir(parents=True, exist_ok=True)
                if share.left_out and file.name == "__init__.py":
                    link_path.write_text(LINKED + without_lines(file.read_text(encoding="utf-8"), share.left_out))
                elif not share.left_out or file.name not in ("test.py", "metadata.yaml"):
                    link_path.symlink_to(file)
        except OSError as error:
            unlink()
            raise InstallationError(
                f"Cannot write {target}: {error.strerror}.", "Run the command as the owner of the environment."
            ) from error
        linked.append(target)
    return linked


def host_shares() -> list[Share]:
    """Decide which plugin folders go into Brain-Score's package: not those that it holds or registers itself.

    Examples
    --------
    >>> [share.folder.name for share in host_shares() if share.folder.parent.name == "metrics"]
    ['itmaps_metrics']
    """
    folders = [folder for of_kind in plugin_folders().values() for folder in of_kind]
    return shares(folders, host_folder(), installed_here())


def unlink() -> list[Path]:
    """Remove the links that :func:`link` made, and the folders that are then empty; leave all other files.

    Returns
    -------
    list of Path
        Removed folders.
    """
    host = host_folder()
    targets = [host / kind / folder.name for kind, folders in plugin_folders().items() for folder in folders]
    removed = []
    for target in filter(is_linked, targets):
        for path in sorted(target.rglob("*"), reverse=True):  # contents of a folder before the folder
            if path.is_symlink() or path == target / "__init__.py":
                path.unlink()
            elif path.name == "__pycache__":
                shutil.rmtree(path)
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if not any(target.iterdir()):
            target.rmdir()
            removed.append(target)
    return removed


def is_linked(folder: Path) -> bool:
    """Return whether a plugin folder was made by :func:`link`.

    Examples
    --------
    >>> is_linked(plugin_folders()["data"][0])
    False
    """
    return is_link(folder)


def _searched(kind: str) -> Iterator[Path]:
    names = set()
    for folder in [*sorted((host_folder() / kind).iterdir()), *plugin_folders()[kind]]:
        if folder.name[0] not in "._" and folder.name not in names and (folder / "__init__.py").is_file():
            names.add(folder.name)
            yield folder


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
