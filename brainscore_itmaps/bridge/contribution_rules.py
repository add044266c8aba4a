"""The rules of a contribution to Brain-Score: what each requires, why, and how to satisfy it.

Everything is read as text: nothing of a contribution is imported, nor torch, xarray or Brain-Score. Numbers such as
#2146 are pull requests and issues of https://github.com/brain-score/vision.
"""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import requires
from pathlib import Path
from typing import Literal

from brainscore_itmaps.bridge.contribution_files import HOST, WITHOUT_HEADER, is_unchanged
from brainscore_itmaps.bridge.contribution_metadata import problems_of_metadata
from brainscore_itmaps.bridge.extraction import PACKAGE

Status = Literal["ok", "FAIL", "note"]
Route = Literal["pull-request", "zip"]
KINDS = {"models": ("model",), "benchmarks": ("benchmark",), "data": ("data", "stimulus_set"), "metrics": ("metric",)}
"""Registries of each kind of plugin."""
REGIONS = ("V1", "V2", "V4", "IT")
LARGEST = 1_000_000
"""Bytes above which a file counts as weights or data."""
DATA_ENDINGS = {
    ".h5", ".hdf5", ".jpg", ".mat", ".nc", ".npy", ".npz", ".parquet", ".pkl", ".png", ".pt", ".pth", ".safetensors",
    ".tar", ".zip",
}  # fmt: skip
OTHER_FRAMEWORKS = {"tensorflow", "keras", "jax", "flax", "mxnet"}
INSTALLED_WITH = {
    "cv2": "opencv-python", "sklearn": "scikit-learn", "PIL": "pillow", "brainscore_core": "brainscore-core",
    "xarray": "brainscore-core", "pytest": "pytest", "yaml": "pyyaml",
}  # fmt: skip
"""Distributions whose names differ from the import, or which come with another one."""
PINS = {"numpy": "<2", "pandas": "<3", "scikit-learn": "<1.6"}
LARGEST_ZIP = 50_000_000


@dataclass(frozen=True)
class Checked:
    """The result of a rule for one folder.

    Attributes
    ----------
    rule, where : str
        Name of the rule; folder, such as ``models/efficientnet_lite0``.
    status : "ok", "FAIL" or "note"
        A note is for a person to decide; it is no failure.
    found, cure, source : str
        What is wrong; the next step; where the rule comes from.
    """

    rule: str
    where: str
    status: Status
    found: str
    cure: str
    source: str


@dataclass(frozen=True)
class Folder:
    """A plugin folder in a clone.

    Attributes
    ----------
    path : Path
    home : Path
        Package folder of the clone, ``brainscore_vision``.
    """

    path: Path
    home: Path

    @property
    def kind(self) -> str:
        """Return the kind of plugin: models, benchmarks, data or metrics."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """Return the kind and the name of the folder."""
        return f"{self.kind}/{self.path.name}"

    @cached_property
    def files(self) -> dict[str, Path]:
        """Return all files by their path in the folder."""
        found = sorted(file for file in self.path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        return {file.relative_to(self.path).as_posix(): file for file in found}

    @cached_property
    def texts(self) -> dict[str, str]:
        """Return the text of each Python file."""
        return {name: _read(file) for name, file in self.files.items() if name.endswith(".py")}

    @cached_property
    def code(self) -> dict[str, ast.Module]:
        """Return the syntax tree of each Python file that is used: no tests and no packaging scripts."""
        return {name: _parsed(text) for name, text in self.texts.items() if not _is_aside(name)}

    @property
    def init(self) -> str:
        """Return the text of ``__init__.py``."""
        return self.texts.get("__init__.py", "")

    @cached_property
    def identifiers(self) -> list[str]:
        """List the identifiers that the folder registers."""
        return [found for registry in KINDS[self.kind] for found in _identifiers(self.init, registry)]

    @cached_property
    def requirements(self) -> list[str]:
        """List the lines of ``requirements.txt``."""
        text = _read(self.files["requirements.txt"]) if "requirements.txt" in self.files else ""
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        return [line for line in lines if line]

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """Return the calls of functions with these names, in the code that is used."""
        for tree in self.code.values():
            for node in ast.walk(tree):
                called = node.func if isinstance(node, ast.Call) else None
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                if isinstance(node, ast.Call) and name in names:
                    yield node


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _is_aside(name: str) -> bool:
    """Return whether a file is a test or a packaging script."""
    return name == "test.py" or "packaging/" in name


def _identifiers(text: str, registry: str) -> list[str]:
    return re.findall(rf"^{registry}_registry\[['\"]([^'\"]+)['\"]\]", text, re.MULTILINE)


def _literal(call: ast.Call, name: str) -> object:
    """Return an argument of a call if it is a literal, else None; a name counts as given."""
    for keyword in call.keywords:
        if keyword.arg == name:
            try:
                return ast.literal_eval(keyword.value)
            except ValueError:
                return ast.unparse(keyword.value)
    return None


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return level and module of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


# each function returns what is wrong with a folder, or None


def only_plugin_folders(folder: Folder) -> str | None:
    """Find changes of the clone outside plugin folders."""
    clone = folder.home.parent
    if not (clone / ".git").exists():
        return None
    command = ["git", "-C", str(clone), "status", "--porcelain", "--untracked-files=all"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    changed = [line[3:].split(" -> ")[-1].strip('"') for line in listed if line[:2].strip() != "D"]
    inside = re.compile(rf"{folder.home.name}/(({'|'.join(KINDS)})/[^/]+/|\.itmaps[-.])")  # or kept by an export
    outside = [file for file in changed if not inside.match(file)]
    return f"{outside[0]} is changed, too." if outside else None


def init_file(folder: Folder) -> str | None:
    """Find a missing ``__init__.py``."""
    return None if "__init__.py" in folder.files else "There is no __init__.py."


def one_test_file(folder: Folder) -> str | None:
    """Find a missing test.py, and further files that begin with "test"."""
    tests = [name for name in folder.files if Path(name).name.startswith("test") and name.endswith(".py")]
    return None if tests == ["test.py"] else f"There is not one test.py: {', '.join(tests) or 'none'}."


def tests_test(folder: Folder) -> str | None:
    """Find a test.py without tests."""
    tree = _parsed(folder.texts.get("test.py", ""))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    asserts = any(isinstance(node, ast.Assert) for test in tests for node in ast.walk(test))
    return None if asserts else "test.py has no test that asserts something."


def registry_lines(folder: Folder) -> str | None:
    """Find registry lines that one of Brain-Score's four parsers reads differently than the others."""
    registries = "|".join(KINDS[folder.kind])
    canonical = re.compile(rf"({registries})_registry\[(['\"])([^'\"\]]+)\2\] = (lambda.*|\S+)")
    lines = [line for line in folder.init.splitlines() if re.search(rf"({registries})_registry\s*[\[.]", line)]
    if not lines:
        return "No identifier is registered."
    for line in lines:
        found = canonical.fullmatch(line)
        if found is None or "]" in found[4] or (folder.kind == "models" and not found[4].startswith("lambda:")):
            return f"The line {line.strip()[:80]!r} is not read alike by all of Brain-Score's parsers."
    twice = [name for name in folder.identifiers if folder.identifiers.count(name) > 1]
    return f"{twice[0]} is registered twice." if twice else None


def identifier_taken(folder: Folder) -> str | None:
    """Find identifiers that another folder registers."""
    for other in sorted(folder.path.parent.glob("*/__init__.py")):
        if other.parent == folder.path or other.parent.name[0] in "._":
            continue
        text = _read(other).replace('"', "'")
        for registry in KINDS[folder.kind]:
            for name in folder.identifiers:
                if f"{registry}_registry['{name}']" in text and name in _identifiers(folder.init, registry):
                    return f"{name} is registered by {folder.kind}/{other.parent.name}, too."
    return None


def identifier_form(folder: Folder) -> str | None:
    """Find names of benchmarks of another form than DATASET.REGION-METRIC."""
    wrong = [name for name in folder.identifiers if not re.fullmatch(r"[A-Z]\w*\.\w+-[\w-]+", name)]
    return f"{wrong[0]} is not of the form Dataset.region-metric." if wrong else None


def one_benchmark_line(folder: Folder) -> str | None:
    """Find several benchmarks in one folder."""
    count = len(folder.identifiers)
    return None if count == 1 else f"{count} benchmarks are registered, and each is run on all public models."


def self_contained(folder: Folder) -> str | None:
    """Find imports that a clone does not have."""
    provided = _provided(folder)
    for name, text in folder.texts.items():
        for level, module in _imports(_parsed(text)):
            top, where = module.split(".")[0], folder.path / Path(name).parent
            if top == PACKAGE:
                return f"{name} imports {PACKAGE}."
            if level:
                target = where.joinpath(*[".."] * (level - 1), *module.split("."))
                if not (target.is_dir() or target.with_suffix(".py").is_file()):
                    return f"{name} imports {'.' * level}{module}, which is missing."
            elif top == HOST:
                target = folder.home.joinpath(*module.split(".")[1:])
                plugin = folder.home.name == HOST and module.split(".")[1:2] and module.split(".")[1] in KINDS
                if plugin and not (target.is_dir() or target.with_suffix(".py").is_file()):
                    return f"{name} imports {module}, which the clone lacks."
            elif top and top not in sys.stdlib_module_names and _distribution(top) not in provided:
                return f"{name} imports {top}, which neither Brain-Score nor requirements.txt installs."
    return None


def _distribution(module: str) -> str:
    return INSTALLED_WITH.get(module, module).lower().replace("_", "-")


def _names(requirements: Sequence[str]) -> list[str]:
    return [re.split(r"[\s<>=!~;\[@]", line, maxsplit=1)[0].lower().replace("_", "-") for line in requirements]


def _provided(folder: Folder) -> set[str]:
    """Return the distributions that the clone, or the installed Brain-Score, and the folder's requirements install."""
    project = folder.home.parent / "pyproject.toml"
    if project.is_file():
        needed = tomllib.loads(_read(project)).get("project", {}).get("dependencies", [])
    else:
        needed = [line for line in requires("brainscore-vision") or () if "extra ==" not in line]
    return {"pytest", "brainscore-core", *_names(needed), *_names(folder.requirements)}


def requirements_used(folder: Folder) -> str | None:
    """Find requirements that no code uses."""
    imported = {_distribution(module.split(".")[0]) for tree in folder.code.values() for _, module in _imports(tree)}
    files = " ".join(text for name, text in folder.texts.items() if not _is_aside(name)).replace("_", "-")
    unused = [name for name in _names(folder.requirements) if name not in imported and name not in files]
    return f"No code needs {unused[0]}." if unused else None


def numpy_below_2(folder: Folder) -> str | None:
    """Find requirements that let numpy 2 in."""
    wrong = [line for line in folder.requirements if _names([line]) == ["numpy"] and not re.search(r"<\s*2\b", line)]
    return f"{wrong[0]!r} lets numpy 2 in." if wrong else None


def upstream_pins(folder: Folder) -> str | None:
    """Find requirements that break a pin of Brain-Score."""
    for line in folder.requirements:
        (name,) = _names([line])
        if name in PINS and name != "numpy" and re.search(r"==|>", line) and PINS[name] not in line.replace(" ", ""):
            return f"{line!r} can break Brain-Score's pin {name}{PINS[name]}."
    return None


def pytorch_only(folder: Folder) -> str | None:
    """Find other frameworks than PyTorch."""
    used = {module.split(".")[0] for tree in folder.code.values() for _, module in _imports(tree)}
    others = sorted(OTHER_FRAMEWORKS & (used | set(_names(folder.requirements))))
    return f"{others[0]} is used." if others else None


def no_weights_or_data(folder: Folder) -> str | None:
    """Find weights and data among the files."""
    for name, file in folder.files.items():
        if file.suffix.lower() in DATA_ENDINGS or file.stat().st_size > LARGEST:
            return f"{name} ({file.stat().st_size:,} bytes) looks like weights or data."
    return None


S3_FACTS = {
    "load_stimulus_set_from_s3": {"bucket": "", "csv_version_id": "", "zip_version_id": "", "csv_sha1": "sha1",
                                  "zip_sha1": "sha1"},
    "load_assembly_from_s3": {"bucket": "", "version_id": "", "sha1": "sha1"},
    "load_weight_file": {"bucket": "", "relative_path": "", "version_id": "", "sha1": "sha1"},
}  # fmt: skip
"""Arguments that each function needs, and which of them are a SHA-1."""


def s3_facts(folder: Folder) -> str | None:
    """Find files on S3 whose bucket, version or SHA-1 is missing."""
    constants = {
        target.id: node.value.value
        for tree in folder.code.values() for node in ast.walk(tree) if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    missing = []
    for function, arguments in S3_FACTS.items():
        for call in folder.calls(function):
            what = str(_literal(call, "identifier") or _literal(call, "relative_path"))
            for argument, form in arguments.items():
                value = _literal(call, argument)
                value = constants.get(str(value), value)
                if not value or (form and not re.fullmatch("[0-9a-f]{40}", str(value))):
                    missing.append(f"{argument} of {what}")
    return f"Facts of files on S3 are missing: {', '.join(missing)}." if missing else None


def weights_checked(folder: Folder) -> str | None:
    """Find weights from S3 whose hash nothing compares."""
    loads = list(folder.calls("load_weight_file"))
    compared = any(
        isinstance(node, ast.Compare) for name, tree in folder.code.items() for node in ast.walk(tree)
        if "hashlib" in folder.texts[name]
    )  # fmt: skip
    return "Nothing compares the hash of the weights." if loads and not compared else None


def stimulus_identifiers(folder: Folder) -> str | None:
    """Find stimulus sets whose identifier is not the registered one, alone or before ``--``."""
    registered = _identifiers(folder.init, "stimulus_set")
    for call in folder.calls("load_stimulus_set_from_s3"):
        identifier = str(_literal(call, "identifier"))
        if identifier.partition("--")[0] not in registered:
            return f"The stimulus set {identifier} is not registered under this name."
    return None


def bibtex(folder: Folder) -> str | None:
    """Find a BibTeX entry that is missing, not alone, or has no address."""
    for text in folder.texts.values():
        for entry in re.findall(r'"""(@\w+\{.*?)"""', text, re.DOTALL):
            if len(re.findall(r"^@\w+\{", entry, re.MULTILINE)) != 1:
                return "More than one BibTeX entry is given."
            return (
                None if re.search(r"^\s*(url|doi)\s*=", entry, re.MULTILINE) else "The BibTeX entry lacks url or doi."
            )
    return "There is no BibTeX entry."


def version_integer(folder: Folder) -> str | None:
    """Find benchmarks without a version that is an integer."""
    versions = [_literal(call, "version") for call in _benchmark_calls(folder)]
    return None if versions and all(type(each) is int for each in versions) else "No integer version is given."


def parent_given(folder: Folder) -> str | None:
    """Find benchmarks without a parent."""
    parents = [_literal(call, "parent") for call in _benchmark_calls(folder)]
    return None if parents and all(isinstance(each, str) and each for each in parents) else "No parent is given."


def _benchmark_calls(folder: Folder) -> list[ast.Call]:
    calls = [node for tree in folder.code.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if {"version", "parent", "identifier"} & {keyword.arg for keyword in call.keywords}]


def packaging_script(folder: Folder) -> str | None:
    """Find files on S3 that no packaging script writes."""
    if not any(True for function in S3_FACTS for _ in folder.calls(function)):
        return None
    scripts = [name for name in folder.files if "packaging/" in name and name.endswith(".py")]
    return None if scripts else "No script writes the files that are on S3."


def licence_file(folder: Folder) -> str | None:
    """Find a missing licence."""
    text = _read(folder.files["LICENSE"]) if "LICENSE" in folder.files else ""
    complete = "MIT License" in text and "Copyright (c)" in text and "WITHOUT WARRANTY OF ANY KIND" in text
    return None if complete else "LICENSE does not hold the MIT licence with a copyright line."


def header(folder: Folder) -> str | None:
    """Find files without a header, or that were edited after they were written."""
    for name, file in folder.files.items():
        if file.name not in WITHOUT_HEADER and not is_unchanged(_read(file)):
            return f"{name} has no header, or was edited after it was written."
    return None


def no_simulated_data(folder: Folder) -> str | None:
    """Find simulated data."""
    simulated = [name for name in folder.identifiers if "simulated" in name.lower()]
    return f"{simulated[0]} is SIMULATED: no monkey was recorded." if simulated else None


def expected_values(folder: Folder) -> str | None:
    """Find tests whose expected values were not computed."""
    unknown = re.search(r"^EXPECTED = None|^SHAPES = .*: \(\)", folder.texts.get("test.py", ""), re.MULTILINE)
    return "test.py expects no values: they were not computed when it was written." if unknown else None


def model_layers(folder: Folder) -> str | None:
    """Find models without a layer for each region, field of view and readout."""
    for call in folder.calls("ModelCommitment"):
        layers, degrees = _literal(call, "region_layer_map"), _literal(call, "visual_degrees")
        if not isinstance(layers, dict) or (missing := [region for region in REGIONS if not layers.get(region)]):
            return f"No layer is committed to {', '.join(missing if isinstance(layers, dict) else REGIONS)}."
        if type(degrees) is not int:
            return "visual_degrees is not an integer."
        if not _literal(call, "behavioral_readout_layer"):
            return "No behavioral_readout_layer is given, so the order of the layers decides."
        return None
    return "No ModelCommitment is made."


def metadata_valid(folder: Folder) -> str | None:
    """Find metadata that Brain-Score does not accept."""
    if "metadata.yaml" not in folder.files:
        return None
    models = [name for init in folder.home.glob("models/*/__init__.py") for name in _identifiers(_read(init), "model")]
    return problems_of_metadata(folder.files["metadata.yaml"], models)


def metadata_absent(folder: Folder) -> str | None:
    """Find metadata."""
    found = [name for name in folder.files if Path(name).suffix in (".yaml", ".yml")]
    return f"{found[0]} is part of the change." if found else None


def spaces(folder: Folder) -> str | None:
    """Find spaces in names of files."""
    found = [name for name in folder.files if " " in name]
    return f"The name {found[0]!r} has a space." if found else None


def one_identifier(folder: Folder) -> str | None:
    """Find more than one identifier."""
    count = len(folder.identifiers)
    return None if count == 1 else f"{count} identifiers are registered."


def no_hyphen(folder: Folder) -> str | None:
    """Find benchmarks, whose names have a hyphen."""
    found = [name for name in folder.identifiers if "-" in name]
    return f"{found[0]} has a hyphen." if found else None


ALL = tuple(KINDS)
BOTH: tuple[Route, ...] = ("pull-request", "zip")
PULL: tuple[Route, ...] = ("pull-request",)
ZIP: tuple[Route, ...] = ("zip",)


@dataclass(frozen=True)
class Rule:
    """A rule: its name, what it applies to, what it finds, how to satisfy it, and where it comes from."""

    name: str
    kinds: tuple[str, ...]
    routes: tuple[Route, ...]
    find: Callable[[Folder], str | None]
    cure: str
    source: str
    broken: Status = "FAIL"


AGAIN = "Write it again: brainscore contribute export."
S3_CURE = "Upload the files, and give their bucket, version_id and sha1: brainscore contribute export ... --s3 FILE."
RULES = (
    Rule("only-plugin-folders", ALL, PULL, only_plugin_folders, "Make a branch of its own for this change.",
         "workflows check_if_pr_is_automergeable, automerge_plugin-only_prs"),
    Rule("init-file", ALL, BOTH, init_file, AGAIN, "core import_plugin.py"),
    Rule("one-test-file", ALL, BOTH, one_test_file, "Keep one test.py, and name other files otherwise.",
         "core get_test_file_paths: a nested test*.py aborts the run"),
    Rule("tests-test", ALL, BOTH, tests_test, AGAIN, "core test_plugins.py"),
    Rule("expected-values", ALL, BOTH, expected_values,
         "Download recordings and weights, and write it again: brainscore contribute export.", "#967"),
    Rule("registry-lines", ALL, BOTH, registry_lines, "Write one line REGISTRY['NAME'] = lambda: ... for each name.",
         "core import_plugin.py, parse_plugin_changes.py; vision_domain_plugin.py"),
    Rule("identifier-taken", ALL, BOTH, identifier_taken, "Choose another identifier, or contribute to that folder.",
         "core import_plugin.py: More than one registration found"),
    Rule("identifier-form", ("benchmarks",), PULL, identifier_form, "Name it like Arcaro2020.IT-pls.", "#970, #967"),
    Rule("one-benchmark", ("benchmarks",), PULL, one_benchmark_line, "Register the average of the sessions.",
         "#2456; comment in li2026/__init__.py"),
    Rule("self-contained", ALL, BOTH, self_contained, "Write it again, or add the requirement.",
         "core test_plugin.sh: a fresh environment"),
    Rule("requirements-used", ALL, BOTH, requirements_used, "Remove the requirement.", "#1221, #967"),
    Rule("numpy-below-2", ALL, BOTH, numpy_below_2, "Write numpy<2.", "#2146"),
    Rule("upstream-pins", ALL, BOTH, upstream_pins, "Leave out the limit, or write Brain-Score's.", "pyproject.toml"),
    Rule("pytorch-only", ALL, BOTH, pytorch_only, "Use PyTorch.", "#1199"),
    Rule("no-weights-or-data", ALL, BOTH, no_weights_or_data, "Put the file on S3.", "#2405, #586"),
    Rule("s3-facts", ("data", "models"), BOTH, s3_facts, S3_CURE, "#2405, #586"),
    Rule("weights-checked", ("models",), BOTH, weights_checked, AGAIN, "core s3.py: load_weight_file ignores sha1"),
    Rule("stimulus-identifier", ("data",), BOTH, stimulus_identifiers, "Name it REGISTERED or REGISTERED--MARKER.",
         "#2489, cache_contract.py"),
    Rule("bibtex", ("benchmarks", "models", "data"), BOTH, bibtex, "Give one BibTeX entry with url or doi.",
         "core database.py"),
    Rule("version", ("benchmarks",), BOTH, version_integer, "Give version=1.", "test_db_contract.py"),
    Rule("parent", ("benchmarks",), BOTH, parent_given, "Give parent='DATASET.REGION'.", "#2456, #2412"),
    Rule("packaging-script", ("data", "models"), PULL, packaging_script, AGAIN, "#1221, #967"),
    Rule("licence-file", ALL, BOTH, licence_file, AGAIN, "MIT licence: the text goes with the code"),
    Rule("header", ALL, BOTH, header, "Write it again, or keep the change and say so in the pull request.",
         "brainscore contribute export"),
    Rule("no-simulated-data", ("data", "benchmarks"), PULL, no_simulated_data, "Keep it out of a pull request.",
         "brainscore contribute export"),
    Rule("model-layers", ("models",), BOTH, model_layers, AGAIN, "ModelCommitment; generic_plugin_tests.py"),
    Rule("metadata-valid", ("models",), PULL, metadata_valid, "Correct metadata.yaml.", "core metadata/contract.py"),
    Rule("metadata-automerge", ALL, PULL, metadata_absent, "Expect a maintainer to merge it by hand.",
         "core parse_plugin_changes.py (2.5)", "note"),
    Rule("zip-no-metadata", ALL, ZIP, metadata_absent, "Leave it out.", "web upload"),
    Rule("zip-no-spaces", ALL, ZIP, spaces, "Rename the file.", "web upload"),
    Rule("zip-one-identifier", ALL, ZIP, one_identifier, "Upload one identifier at a time.", "web upload"),
    Rule("zip-no-hyphen", ("benchmarks",), ZIP, no_hyphen, "Contribute benchmarks by pull request.", "web upload"),
)  # fmt: skip
"""The rules of folders, in the order in which they are printed."""


def check_folders(clone: Path, folders: Sequence[Path], route: Route) -> list[Checked]:
    """Check plugin folders of a clone against the rules of a route.

    Parameters
    ----------
    clone : Path
    folders : sequence of Path
        Plugin folders, such as ``CLONE/brainscore_vision/models/efficientnet_lite0``.
    route : "pull-request" or "zip"

    Returns
    -------
    list of Checked
        One for each rule and folder to which it applies.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as clone:
    ...     folder = Path(clone, "brainscore_vision/models/mine")
    ...     folder.mkdir(parents=True)
    ...     [line.rule for line in check_folders(Path(clone), [folder], "zip") if line.status == "FAIL"][:2]
    ['init-file', 'one-test-file']
    """
    checked = []
    for rule in RULES:
        if route not in rule.routes:
            continue
        for folder in (Folder(path, path.parents[1]) for path in folders):
            if folder.kind in rule.kinds:
                found = rule.find(folder)
                status: Status = "ok" if found is None else rule.broken
                checked.append(Checked(rule.name, folder.name, status, found or "", rule.cure, rule.source))
    return checked


def check_zip(file: Path) -> list[Checked]:
    """Check a zip file against the rules of the web upload.

    Parameters
    ----------
    file : Path

    Returns
    -------
    list of Checked

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.zip").write_text("no zip")
    ...     [(line.rule, line.status) for line in check_zip(Path(folder, "a.zip"))]
    [('zip-readable', 'FAIL')]
    """
    import tempfile

    def line(rule: str, found: str, cure: str) -> Checked:
        return Checked(rule, file.name, "FAIL" if found else "ok", found, cure, "web upload; core repository.py")

    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile):
        return [line("zip-readable", f"{file} is missing, or no zip file.", AGAIN)]
    with archive, tempfile.TemporaryDirectory() as temporary:
        names = archive.namelist()
        unsafe = [name for name in names if name.startswith("/") or ".." in Path(name).parts or "\\" in name]
        if unsafe:
            return [line("zip-readable", f"The name {unsafe[0]!r} leads out of the folder.", AGAIN)]
        tops = {name.split("/")[0] for name in names}
        entries = {f"{parent.as_posix()}/" for name in names for parent in Path(name).parents if parent != Path()}
        implicit = sorted(entries - set(names))
        size = sum(info.file_size for info in archive.infolist())
        named = len(tops) == 1 and not any(top[0] in "._" for top in tops)
        checked = [
            line("zip-readable", "", AGAIN),
            line(
                "zip-size",
                f"{size:,} bytes." if max(size, file.stat().st_size) > LARGEST_ZIP else "",
                "Stay below 50 MB.",
            ),
            line("zip-one-folder", "" if named else f"Top folders: {', '.join(sorted(tops))}.", "Use one top folder."),
            line("zip-folder-entries", f"{implicit[0]} has no entry of its own." if implicit else "", AGAIN),
        ]
        if size > LARGEST_ZIP:
            return checked
        archive.extractall(temporary)
        folders = [path.parent for kind in KINDS for path in Path(temporary).glob(f"*/{kind}/*/__init__.py")]
        if not folders:
            return [*checked, line("zip-plugin", "There is no folder models/NAME with __init__.py.", AGAIN)]
        return [*checked, *(each for path in folders for each in check_folders(path.parents[2], [path], "zip"))]
