"""Decide which plugin folders of this package go into Brain-Score's package: never what Brain-Score holds itself.

Once plugins of this package are merged, Brain-Score holds folders and identifiers of ours. ``setup.py`` and
``brainscore link`` then leave these out. Only Python's standard library is used, because ``setup.py`` imports this.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

KINDS = {"data": ("data", "stimulus_set"), "metrics": ("metric",), "benchmarks": ("benchmark",), "models": ("model",)}
"""Registries of each kind of plugin."""
LINE = r"^[ \t]*{registry}_registry\[['\"]{name}['\"]\]\s*=.*\n?"
ANY = r"([^'\"]+)"
LINKED = "# written by `brainscore link`, without what Brain-Score registers itself\n"
"""First line of an ``__init__.py`` that is no link, because some of its lines are left out."""
HELD = "Brain-Score holds a folder of this name"
PACKAGE, HOST = "brainscore_itmaps", "brainscore_vision"


class Share(NamedTuple):
    """What of a plugin folder goes into Brain-Score's package.

    Attributes
    ----------
    folder : Path
        Folder of this package.
    left_out : tuple of str
        Identifiers that Brain-Score registers itself.
    reason : str
        Why the whole folder is left out; empty if it is not.
    """

    folder: Path
    left_out: tuple[str, ...] = ()
    reason: str = ""

    @property
    def text(self) -> str:
        """Say what is left out; empty if nothing is."""
        if self.reason:
            return f"{self.folder.parent.name}/{self.folder.name} is left out: {self.reason}"
        names = ", ".join(self.left_out)
        return f"{names} of {self.folder.parent.name}/{self.folder.name}: Brain-Score registers it" if names else ""


def registered(folder: Path) -> list[str]:
    """List the identifiers that a plugin folder registers, with their registry, from its text.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = Path(home, "models", "mine")
    ...     folder.mkdir(parents=True)
    ...     _ = (folder / "__init__.py").write_text('model_registry["a"] = lambda: 1\\n# model_registry["b"] = 2\\n')
    ...     registered(folder)
    ['model:a']
    """
    init = folder / "__init__.py"
    text = init.read_text(encoding="utf-8", errors="replace") if init.is_file() else ""
    return [
        f"{registry}:{name}"
        for registry in KINDS[folder.parent.name]
        for name in re.findall(LINE.format(registry=registry, name=ANY), text, re.MULTILINE)
    ]


def mentioned(folder: Path) -> list[str]:
    """List the identifiers that Brain-Score's search finds in a plugin folder, which counts comments, too.

    Examples
    --------
    >>> mentioned(Path("models", "nowhere"))
    []
    """
    init = folder / "__init__.py"
    text = init.read_text(encoding="utf-8", errors="replace") if init.is_file() else ""
    return [
        f"{registry}:{name}"
        for registry in KINDS[folder.parent.name]
        for name in re.findall(rf"{registry}_registry\[['\"]{ANY}['\"]\]", text)
    ]


def without_lines(text: str, identifiers: Collection[str]) -> str:
    """Leave out the lines that register some identifiers, each named with its registry.

    Examples
    --------
    >>> without_lines("model_registry['a'] = lambda: 1\\nmodel_registry['b'] = lambda: 2\\n", ["model:a"])
    "model_registry['b'] = lambda: 2\\n"
    """
    for identifier in identifiers:
        registry, _, name = identifier.partition(":")
        text = re.sub(LINE.format(registry=registry, name=re.escape(name)), "", text, flags=re.MULTILINE)
    return text


def shares(ours: Iterable[Path], host: Path, installed: Collection[str] = ()) -> list[Share]:
    """Decide for each plugin folder of this package what of it goes into Brain-Score's package.

    Parameters
    ----------
    ours : iterable of Path
        Plugin folders of this package, such as ``plugins/models/itmaps_embedded``.
    host : Path
        Folder of the package ``brainscore_vision``.
    installed : collection of str
        Plugin folders in it, such as ``models/itmaps_embedded``, that an earlier installation of this package brought
        (:func:`installed_folders`). Folders of links are known by themselves.

    Returns
    -------
    list of Share

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     for owner, name in (("ours", "a"), ("ours", "b"), ("host", "b")):
    ...         Path(home, owner, "models", name).mkdir(parents=True)
    ...         Path(home, owner, "models", name, "__init__.py").touch()
    ...     [share.reason for share in shares(Path(home, "ours", "models").glob("?"), Path(home, "host"))].count("")
    1
    """
    taken: dict[str, str] = {}
    for kind in KINDS:
        for folder in sorted((host / kind).glob("*/")):
            name = f"{kind}/{folder.name}"
            if name not in installed and not is_link(folder) and folder.name[0] not in "._":
                taken |= dict.fromkeys(mentioned(folder), name)
    decided = []
    for folder in sorted(ours):
        name, names = f"{folder.parent.name}/{folder.name}", registered(folder)
        target = host / name
        left_out = tuple(identifier for identifier in names if identifier in taken)
        if target.is_dir() and any(target.iterdir()) and name not in installed and not is_link(target):
            decided.append(Share(folder, left_out, HELD))
        elif names and len(left_out) == len(names):
            decided.append(Share(folder, left_out, f"Brain-Score registers all of it in {taken[names[0]]}"))
        else:
            decided.append(Share(folder, left_out))
    return decided


def is_link(folder: Path) -> bool:
    """Return whether a plugin folder was made by ``brainscore link``.

    Examples
    --------
    >>> is_link(Path("nowhere"))
    False
    """
    init = folder / "__init__.py"
    return init.is_symlink() or (init.is_file() and init.read_bytes().startswith(LINKED.encode()))


def installed_folders(found: Iterable[Distribution]) -> set[str]:
    """List the plugin folders in Brain-Score's package that this package installed, and Brain-Score did not.

    Parameters
    ----------
    found : iterable of Distribution
        Installed distributions.

    Examples
    --------
    >>> installed_folders([])
    set()
    """
    files: Mapping[str, set[str]] = {PACKAGE: set(), HOST: set()}
    for distribution in found:
        name = (distribution.metadata["Name"] or "").lower().replace("-", "_")
        if name in files:
            files[name].update(str(file) for file in distribution.files or ())
    own = files[PACKAGE] - files[HOST]
    folders = {tuple(Path(file).parts[1:3]) for file in own if file.startswith(f"{HOST}/")}
    shared = {tuple(Path(file).parts[1:3]) for file in files[HOST]}
    return {"/".join(folder) for folder in folders - shared if len(folder) == 2}


def shared_folders(found: Iterable[Distribution]) -> set[str]:
    """List the plugin folders in Brain-Score's package that both packages installed, one over the other.

    Examples
    --------
    >>> shared_folders([])
    set()
    """
    folders: dict[str, set[str]] = {PACKAGE: set(), HOST: set()}
    for distribution in found:
        name = (distribution.metadata["Name"] or "").lower().replace("-", "_")
        if name in folders:
            parts = [Path(str(file)).parts for file in distribution.files or ()]
            folders[name] |= {"/".join(part[1:3]) for part in parts if part[0] == HOST and len(part) > 3}
    return folders[PACKAGE] & folders[HOST]


def installed_here() -> set[str]:
    """List the plugin folders in Brain-Score's package that this package installed in this environment.

    Examples
    --------
    >>> isinstance(installed_here(), set)
    True
    """
    return installed_folders(distributions())
