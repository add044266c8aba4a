"""Write a contribution to Brain-Score as text: the folders of metrics, data, benchmarks and models.

Nothing here imports torch, xarray or Brain-Score: what has to be computed first, such as the SHA-1 of a file or an
expected score, is handed over in :class:`Known`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from brainscore_itmaps.benchmark.catalogue import ARCARO_2020, ARRAYS, CATALOGUE
from brainscore_itmaps.bridge.extraction import HOME, extract, file_names, reached
from brainscore_itmaps.bridge.from_zoo import metadata_yaml
from brainscore_itmaps.errors import DataError, UsageError, nearest
from brainscore_itmaps.models.spec import ModelSpec, PackagedWeights
from brainscore_itmaps.models.zoo import ZOO

TEMPLATES = Path(__file__).with_name("templates")
LIBRARY = "metrics/itmaps"
"""Folder of the code that benchmarks and metrics share."""
METRICS = {
    "itmaps_pls": "LeftOutPredictivity",
    "itmaps_ridge": "LeftOutRidge",
    "itmaps_alignment": "LeftOutAlignment",
    "itmaps_site_ceiling": "SiteCeiling",
}
"""Class of each metric."""
FROM_REPEATS, FROM_SITES = "ceiling_from_repeats", "ceiling_from_sites"
BATCH_SIZE = 14
"""Images in a batch: the number of images of a recording, so that scores are the same to the last digit."""
SIMULATED = "SIMULATED"


@dataclass(frozen=True)
class Dataset:
    """Recordings that share a folder in ``data/``.

    Attributes
    ----------
    folder : str
    assemblies : dict of str to (str, str)
        Registered names of the assembly and of its stimulus set, by the name of the recording in this package.
    ceiling : str
        Function that computes the noise ceiling of each array.
    citation : str
    simulated : bool
    """

    folder: str
    assemblies: dict[str, tuple[str, str]]
    ceiling: str
    citation: str = ARCARO_2020
    simulated: bool = False

    @property
    def stimulus_sets(self) -> dict[str, str]:
        """Return a recording for each stimulus set."""
        return {stimuli: recording for recording, (_, stimuli) in reversed(self.assemblies.items())}

    @property
    def files(self) -> list[str]:
        """List the packaged files."""
        assemblies = [assembly_file(assembly) for assembly, _ in self.assemblies.values()]
        return assemblies + [stimulus_file(name, ending) for name in self.stimulus_sets for ending in ("csv", "zip")]


@dataclass(frozen=True)
class BenchmarkPart:
    """A benchmark that can be contributed.

    Attributes
    ----------
    identifier : str
        Name in Brain-Score.
    ours : str
        Name in this package.
    dataset : Dataset
    parent : str
        What Brain-Score lists it under.
    """

    identifier: str
    ours: str
    dataset: Dataset
    parent: str


def _simulated(name: str, ceiling: str) -> Dataset:
    return Dataset(name, {name: (name, f"{name}.stimuli")}, ceiling, simulated=True)


ARCARO = Dataset(
    "arcaro2020",
    {array: (f"Arcaro2020.{array}", f"Arcaro2020.{array.split('_')[0]}.stimuli") for array in ARRAYS},
    FROM_SITES,
)
DATASETS = (
    ARCARO,
    _simulated("it_maps_simulated", FROM_REPEATS),
    _simulated("it_maps_textures_simulated", FROM_SITES),
)
IT_MAPS = BenchmarkPart("Arcaro2020.IT-pls", "it_maps", ARCARO, "Arcaro2020.IT")
BENCHMARKS = {
    "it_maps": IT_MAPS,
    "Arcaro2020.IT-pls": IT_MAPS,
    **{each.folder: BenchmarkPart(each.folder, each.folder, each, "IT") for each in DATASETS if each.simulated},
}
DATA = {assembly: dataset for dataset in DATASETS for assembly, _ in dataset.assemblies.values()}


def assembly_file(identifier: str) -> str:
    """Return the name of the netCDF file of an assembly, which Brain-Score's loader derives from its identifier.

    Examples
    --------
    >>> assembly_file("Arcaro2020.monkey1_PL")
    'assy_Arcaro2020_monkey1_PL.nc'
    """
    return f"assy_{identifier.replace('.', '_')}.nc"


def stimulus_file(identifier: str, ending: str) -> str:
    """Return the name of the CSV or zip file of a stimulus set.

    Examples
    --------
    >>> stimulus_file("Arcaro2020.monkey1.stimuli", "zip")
    'stimulus_Arcaro2020_monkey1_stimuli.zip'
    """
    return f"stimulus_{identifier.replace('.', '_')}.{ending}"


def weight_file(spec: ModelSpec) -> str:
    """Return the name of the weight file of a model.

    Examples
    --------
    >>> weight_file(ZOO["harmonized_resnet50"])
    'harmonized_resnet50.safetensors'
    """
    return f"{spec.identifier}.safetensors"


@dataclass(frozen=True)
class S3Facts:
    """What a maintainer says of the uploaded files: the bucket, and the version and SHA-1 of each file.

    Attributes
    ----------
    bucket : str
        Bucket with the folder in it.
    versions, sha1 : dict of str to str
        By the name of the file.
    """

    bucket: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    sha1: Mapping[str, str] = field(default_factory=dict)


def read_s3_facts(file: Path) -> S3Facts:
    """Read the facts of uploaded files: ``{"bucket": ..., "files": {NAME: {"version_id": ..., "sha1": ...}}}``.

    Raises
    ------
    DataError
        When the file cannot be read, or has another form.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "s3.json")
    ...     facts = {"version_id": "v", "sha1": "0" * 40}
    ...     _ = file.write_text(json.dumps({"bucket": "b/folder", "files": {"a.nc": facts}}))
    ...     read_s3_facts(file).versions
    {'a.nc': 'v'}
    """
    form = 'Give JSON such as {"bucket": "BUCKET/FOLDER", "files": {"NAME": {"version_id": "...", "sha1": "..."}}}.'
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"The S3 facts {file} cannot be read: {error.strerror}.", form) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"The S3 facts {file} are not JSON.", form) from error
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not isinstance(content.get("bucket"), str):
        raise DataError(f"The S3 facts {file} lack the bucket or the files.", form)
    for name, facts in files.items():
        values = [facts.get("version_id"), facts.get("sha1")] if isinstance(facts, dict) else [None]
        hexadecimal = (
            isinstance(values[-1], str) and len(values[-1]) == 40 and set(values[-1]) <= set("0123456789abcdef")
        )
        if not isinstance(values[0], str) or not values[0] or not hexadecimal:
            raise DataError(f"The S3 facts of {name} in {file} lack its version_id, or its sha1 of 40 digits.", form)
    return S3Facts(
        content["bucket"].strip("/"),
        {name: facts["version_id"] for name, facts in files.items()},
        {name: facts["sha1"] for name, facts in files.items()},
    )


@dataclass(frozen=True)
class Known:
    """What was computed for a contribution.

    Attributes
    ----------
    s3 : S3Facts
    sha1 : dict of str to str
        Of packaged files and weight files that are on this computer.
    shapes : dict of str to tuple
        Images, repeats, rows, columns and sites of each assembly.
    scores : dict of str to dict
        ``raw``, ``ceiling`` and ``score`` of the model of one convolution, by benchmark.
    activity : dict of str to (float, float)
        Mean and standard deviation of the IT layer for the drawn image of a model's test.
    """

    s3: S3Facts = S3Facts()
    sha1: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    activity: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def sha1_of(self, name: str) -> str:
        """Return the SHA-1 of a file, from this computer or from S3; empty if it is unknown."""
        return self.sha1.get(name) or self.s3.sha1.get(name, "")


@dataclass(frozen=True)
class Plan:
    """What is contributed: metrics, benchmarks, data and models."""

    metrics: tuple[str, ...]
    benchmarks: tuple[BenchmarkPart, ...]
    datasets: tuple[Dataset, ...]
    models: tuple[ModelSpec, ...]

    @property
    def simulated(self) -> list[str]:
        """List the names of simulated data."""
        return [dataset.folder for dataset in self.datasets if dataset.simulated]

    @property
    def files(self) -> list[str]:
        """List the files that must be on S3."""
        weights = [weight_file(spec) for spec in self.models if not isinstance(spec.weights, PackagedWeights)]
        return [name for dataset in self.datasets for name in dataset.files] + weights


def contributable() -> list[str]:
    """List the names that can be contributed.

    Examples
    --------
    >>> contributable()[:3]
    ['it_maps', 'Arcaro2020.IT-pls', 'it_maps_simulated']
    """
    return list(dict.fromkeys([*BENCHMARKS, *DATA, *METRICS, *ZOO]))


def plan_of(names: Sequence[str]) -> Plan:
    """Say what some names consist of; a benchmark brings its data and its metric.

    Raises
    ------
    UsageError
        When a name cannot be contributed.

    Examples
    --------
    >>> plan = plan_of(["it_maps"])
    >>> plan.metrics, [dataset.folder for dataset in plan.datasets]
    (('itmaps_pls',), ['arcaro2020'])
    """
    for name in names:
        if name in contributable():
            continue
        if name in CATALOGUE:
            raise UsageError(
                f"The benchmark {name} is not contributed: Brain-Score lists one benchmark of each statistic, which "
                "averages the arrays, and runs every registered benchmark on all public models.",
                "Give it_maps, which becomes Arcaro2020.IT-pls.",
            )
        raise UsageError(f"There is nothing to contribute named {name!r}.", nearest(name, contributable()))
    benchmarks = tuple({BENCHMARKS[name].identifier: BENCHMARKS[name] for name in names if name in BENCHMARKS}.values())
    metrics = [name for name in names if name in METRICS]
    datasets = [part.dataset for part in benchmarks] + [DATA[name] for name in names if name in DATA]
    return Plan(
        tuple(dict.fromkeys([*(["itmaps_pls"] if benchmarks else []), *metrics])),
        benchmarks,
        tuple({dataset.folder: dataset for dataset in datasets}.values()),
        tuple({name: ZOO[name] for name in names if name in ZOO}.values()),
    )


def folders_of(plan: Plan, known: Known, *, metadata: bool = False) -> dict[str, dict[str, str]]:
    """Write the files of every folder of a contribution, without headers.

    Parameters
    ----------
    plan : Plan
    known : Known
    metadata : bool
        Whether folders of models get a ``metadata.yaml``.

    Returns
    -------
    dict of str to dict of str to str
        Text of each file by its path in the folder, by folder, such as ``models/efficientnet_lite0``.

    Examples
    --------
    >>> folders = folders_of(plan_of(["efficientnet_lite0"]), Known())
    >>> sorted(folders["models/efficientnet_lite0"])[:4]
    ['LICENSE', '__init__.py', 'build.py', 'checkpoint.py']
    """
    folders = {}
    if plan.metrics:
        folders[LIBRARY] = _library(plan)
    for dataset in plan.datasets:
        folders[f"data/{dataset.folder}"] = _data(dataset, known)
    for part in plan.benchmarks:
        folders[f"benchmarks/{part.dataset.folder}"] = _benchmark(part, plan, known)
    for spec in plan.models:
        folders[f"models/{spec.identifier}"] = _model(spec, known, metadata)
    licence = licence_text()
    return {name: files | {"LICENSE": licence} for name, files in folders.items()}


@cache
def licence_text() -> str:
    """Return the text of this package's licence, from the checkout or from the installed package.

    Examples
    --------
    >>> licence_text().splitlines()[0]
    'MIT License'
    """
    checkout = HOME.parent / "LICENSE"
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    from importlib.metadata import distribution

    text = distribution("brainscore_itmaps").read_text("licenses/LICENSE")
    if text is None:
        raise DataError("The installed package lacks its LICENSE.", "Install it again.")
    return text


def _roots(plan: Plan) -> tuple[dict[str, list[str]], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return what the library's users call, and the regressions that they use."""
    roots: dict[str, list[str]] = {"bridge.metrics": [METRICS[name] for name in plan.metrics]}
    if plan.benchmarks:
        ceilings = dict.fromkeys(part.dataset.ceiling for part in plan.benchmarks)
        roots["bridge.leaderboard"] = ["LeaderboardBenchmark", *ceilings]
        roots["bridge.leaderboard_probe"] = ["probe_model"]
    solvers = ("pls", "ridge_cv") if "itmaps_ridge" in plan.metrics else ("pls",)
    return roots, (("metrics.folds.SOLVERS", solvers),)


def _library_file(plan: Plan, module: str) -> str:
    """Return the name of the file of a module in the library."""
    return file_names(reached(*_roots(plan)))[module]


def _library(plan: Plan) -> dict[str, str]:
    files = {f"{name}.py": text for name, text in extract(*_roots(plan)).items()}
    metrics = _library_file(plan, "bridge.metrics")
    classes = ", ".join(sorted(METRICS[name] for name in plan.metrics))
    lines = [
        f"metric_registry['{name}'] = lambda *args, **kwargs: {METRICS[name]}(*args, **kwargs)" for name in plan.metrics
    ]
    files["__init__.py"] = _init("metric_registry", f"from .{metrics} import {classes}", lines)
    files["test.py"] = _filled("metric_test", identifiers=list(plan.metrics))
    return _with_requirements(files)


def _init(registries: str, imports: str, lines: Sequence[str]) -> str:
    return f"from brainscore_vision import {registries}\n\n{imports}\n\n" + "\n".join(lines) + "\n"


def _filled(template: str, **values: Any) -> str:
    texts = {name: value if isinstance(value, str) else repr(value) for name, value in values.items()}
    return Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(texts)


def _mark(dataset: Dataset) -> str:
    """Return the mark of tests that read files from S3; simulated ones are on this computer."""
    return "" if dataset.simulated else "@pytest.mark.private_access\n"


def _data(dataset: Dataset, known: Known) -> dict[str, str]:
    lines = []
    for stimuli in dataset.stimulus_sets:
        csv, archive = stimulus_file(stimuli, "csv"), stimulus_file(stimuli, "zip")
        lines.append(
            f"stimulus_set_registry['{stimuli}'] = lambda: load_stimulus_set_from_s3(\n"
            f"    identifier='{stimuli}',\n    bucket=BUCKET,\n"
            f"    csv_sha1='{known.sha1_of(csv)}',\n    zip_sha1='{known.sha1_of(archive)}',\n"
            f"    csv_version_id='{known.s3.versions.get(csv, '')}',\n"
            f"    zip_version_id='{known.s3.versions.get(archive, '')}',\n    filename_prefix='stimulus_')\n"
        )
    for assembly, stimuli in dataset.assemblies.values():
        file = assembly_file(assembly)
        lines.append(
            f"data_registry['{assembly}'] = lambda: load_assembly_from_s3(\n"
            f"    identifier='{assembly}',\n    version_id='{known.s3.versions.get(file, '')}',\n"
            f"    sha1='{known.sha1_of(file)}',\n    bucket=BUCKET,\n    cls=NeuroidAssembly,\n"
            f"    stimulus_set_loader=lambda: load_stimulus_set('{stimuli}'))\n"
        )
    what = "SIMULATED maps, which no monkey was recorded for" if dataset.simulated else "Maps of IT activity"
    init = (
        "from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly\n"
        "from brainscore_core.supported_data_standards.brainio.s3 import (\n"
        "    load_assembly_from_s3, load_stimulus_set_from_s3,\n)\n"
        "from brainscore_vision import data_registry, load_stimulus_set, stimulus_set_registry\n\n"
        f'BIBTEX = """{dataset.citation}"""\n\n'
        f"# {what}: one presentation for each position of each image (and each repeat, where there are some)\n"
        f"BUCKET = '{known.s3.bucket or 'brainscore-storage/' + dataset.folder}'\n\n" + "\n".join(lines)
    )
    names = dict(dataset.assemblies.values())
    shapes = {name: tuple(known.shapes.get(name, ())) for name in names}
    return {
        "__init__.py": init,
        "test.py": _filled("data_test", stimuli=names, shapes=shapes, mark=_mark(dataset)),
        "data_packaging/package_recordings.py": _filled(
            "data_packaging",
            version=version("brainscore_itmaps"),
            recordings=list(dataset.assemblies),
            files={name: known.sha1_of(name) for name in dataset.files},
        ),
    }


def _benchmark(part: BenchmarkPart, plan: Plan, known: Known) -> dict[str, str]:
    library = f"brainscore_vision.{LIBRARY.replace('/', '.')}.{_library_file(plan, 'bridge.leaderboard')}"
    function = f"{part.dataset.folder}_it_pls"
    arrays = "".join(f"        lambda: load_dataset('{name}'),\n" for name, _ in part.dataset.assemblies.values())
    simulated = " SIMULATED: no monkey was recorded." if part.dataset.simulated else ""
    benchmark = (
        f'"""Prediction of maps of IT activity of left-out images, by a model\'s layer for IT.{simulated}"""\n\n'
        "from brainscore_vision import load_dataset\n"
        f"from {library} import LeaderboardBenchmark, {part.dataset.ceiling}\n\n"
        f'BIBTEX = """{part.dataset.citation}"""\n\n\n'
        f"def {function}():\n    arrays = [\n{arrays}    ]\n"
        f"    return LeaderboardBenchmark(\n        identifier='{part.identifier}',\n        arrays=arrays,\n"
        f"        ceiling_of={part.dataset.ceiling},\n        version=1,\n        parent='{part.parent}',\n"
        "        bibtex=BIBTEX,\n    )\n"
    )
    line = f"benchmark_registry['{part.identifier}'] = lambda: {function}()"
    scores = known.scores.get(part.identifier)
    return {
        "__init__.py": _init("benchmark_registry", f"from .benchmark import {function}", [line]),
        "benchmark.py": benchmark,
        "test.py": _filled(
            "benchmark_test",
            identifier=part.identifier,
            expected=None if scores is None else {name: round(value, 6) for name, value in scores.items()},
            version="1",
            parent=part.parent,
            mark=_mark(part.dataset),
            probe=_library_file(plan, "bridge.leaderboard_probe"),
        ),
    }


def _model(spec: ModelSpec, known: Known, metadata: bool) -> dict[str, str]:
    packaged = isinstance(spec.weights, PackagedWeights)
    roots = {"bridge.leaderboard_model": ["build_network", "preprocess", "verified"]}
    if packaged:
        roots["bridge.leaderboard_model"].append("packaged_file")
        roots["models.checkpoint"] = ["lite_names"]
    files = {f"{name}.py": text for name, text in extract(roots).items()}
    line = f"model_registry['{spec.identifier}'] = lambda: get_model('{spec.identifier}')"
    files["__init__.py"] = _init("model_registry", "from .model import get_model", [line])
    files["model.py"] = _model_text(spec, known)
    activity = known.activity.get(spec.identifier)
    files["test.py"] = _filled(
        "model_test",
        identifier=spec.identifier,
        layers=dict(spec.layers),
        degrees=str(spec.visual_degrees),
        expected=None if activity is None else tuple(round(value, 6) for value in activity),
        mark="" if packaged else "@pytest.mark.private_access\n",
    )
    if not packaged and spec.weights is not None:
        name = weight_file(spec)
        files["data_packaging/package_weights.py"] = _filled(
            "weights_packaging", version=version("brainscore_itmaps"), origin=spec.weights.url, name=name,
            sha1=known.sha1_of(name), identifier=spec.identifier,
        )  # fmt: skip
    if metadata:
        files["metadata.yaml"] = metadata_yaml([spec])
    needed = (
        [] if not isinstance(spec.weights, PackagedWeights) else [f"{spec.weights.package}=={spec.weights.version}"]
    )
    return _with_requirements(files, needed)


def weights_folder(known: Known) -> tuple[str, str]:
    """Return the bucket of weights, and the folder in it.

    Examples
    --------
    >>> weights_folder(Known())
    ('brainscore-storage', 'brainscore-vision/models')
    """
    bucket, _, folder = (known.s3.bucket or "brainscore-storage/brainscore-vision/models").partition("/")
    return bucket, folder


def _model_text(spec: ModelSpec, known: Known) -> str:
    options = "".join(f", {name}={value!r}" for name, value in spec.options.items())
    weights = spec.weights
    imports = "build_network, preprocess, verified"
    if isinstance(weights, PackagedWeights):
        imports = "build_network, packaged_file, preprocess, verified"
        file = f"verified(packaged_file('{weights.file}'), '{weights.sha256}')"
        source, extra, options = "", "from .checkpoint import lite_names\n", f"{options}, names=lite_names"
    else:
        name = weight_file(spec)
        bucket, folder = weights_folder(known)
        source = "from brainscore_core.supported_data_standards.brainio.s3 import load_weight_file\n"
        extra = ""
        file = (
            "verified(load_weight_file(\n"
            f"        bucket='{bucket}',\n        folder_name='{folder}',\n        relative_path='{name}',\n"
            f"        version_id='{known.s3.versions.get(name, '')}',\n        sha1=SHA1,\n    ), SHA1)"
        )
    sha1 = "" if isinstance(weights, PackagedWeights) else f"SHA1 = '{known.sha1_of(weight_file(spec))}'\n"
    return (
        f'"""{spec.title}: {spec.architecture} of timm. The whole image is resized to the input size."""\n\n'
        "import functools\n\n"
        f"{source}from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper\n"
        "from brainscore_vision.model_helpers.brain_transformation import ModelCommitment\n\n"
        f"{extra}from .leaderboard_model import {imports}\n\n"
        f"IDENTIFIER = '{spec.identifier}'\n{sha1}"
        f'BIBTEX = """{spec.citation}"""\n\n\n'
        f"def get_model(identifier):\n    assert identifier == IDENTIFIER\n    weights = {file}\n"
        f"    wrapper = PytorchWrapper(\n        identifier=IDENTIFIER,\n"
        f"        model=build_network('{spec.architecture}', weights{options}),\n"
        f"        preprocessing=functools.partial(\n            preprocess, size={spec.size}, mean={spec.mean}, "
        f"std={spec.std}, interpolation='{spec.interpolation}'),\n"
        f"        batch_size={BATCH_SIZE})\n    wrapper.image_size = {spec.size}\n"
        "    return ModelCommitment(\n        identifier=IDENTIFIER,\n        activations_model=wrapper,\n"
        f"        layers=get_layers(identifier),\n        behavioral_readout_layer={spec.readout!r},\n"
        f"        region_layer_map={dict(spec.layers)!r},\n        visual_degrees={spec.visual_degrees})\n\n\n"
        f"def get_layers(identifier):\n    assert identifier == IDENTIFIER\n"
        f"    return {list(spec.layers.values())!r}\n\n\n"
        "def get_bibtex(identifier):\n    assert identifier == IDENTIFIER\n    return BIBTEX\n"
    )


PROVIDED = {
    "brainscore_core", "brainscore_vision", "cv2", "h5py", "networkx", "numpy", "pandas", "pytest", "scipy", "sklearn",
    "torch", "torchvision", "tqdm", "xarray",
}  # fmt: skip
"""Packages that Brain-Score brings."""
DISTRIBUTIONS = {"PIL": "pillow", "threadpoolctl": "threadpoolctl", "timm": "timm>=1.0", "safetensors": "safetensors"}
"""Requirement for each other package that is imported."""


def _with_requirements(files: dict[str, str], needed: Sequence[str] = ()) -> dict[str, str]:
    """Add the requirements of the code, and numpy's limit beside them."""
    import ast
    import sys

    imported = set()
    for name, text in files.items():
        if not name.endswith(".py") or name.startswith(("test", "data_packaging")):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                imported.add(node.module.split(".")[0])
    others = sorted(DISTRIBUTIONS[name] for name in imported - PROVIDED - set(sys.stdlib_module_names))
    lines = [*(["numpy<2"] if "numpy" in imported else []), *others, *needed]
    return files if not others and not needed else files | {"requirements.txt": "\n".join(lines) + "\n"}
