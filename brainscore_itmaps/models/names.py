"""Check the names of models, architectures and weights, without importing torch."""

import importlib.util
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from brainscore_itmaps.errors import InstallationError, ModelError, UsageError, checked_integer, nearest
from brainscore_itmaps.models.runs import is_run
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.settings import expanded

WEIGHT_WORDS = ("pretrained", "random")
KERAS_SUFFIXES = (".h5", ".hdf5")
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pt.tar", ".tar", *KERAS_SUFFIXES)
"""Endings of weight files, in lower case; the case of a file's ending does not matter."""
MOST_LETTERS = 80
"""Longest name that users can give to their models."""
SOURCES = ("timm:", "torchvision:", "hf:")
"""Beginnings of names of models that a library defines: timm, torchvision, or Hugging Face's transformers."""


def source_of(name: str) -> str:
    """Return the library that a name begins with, such as ``timm:``; empty for other names.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import source_of
    >>> source_of("torchvision:resnet50"), source_of("efficientnet_lite0")
    ('torchvision:', '')
    """
    return next((source for source in SOURCES if name.startswith(source)), "")


def is_weight_file(name: str) -> bool:
    """Return whether a name is that of a weight file, by its ending; or any other file in a folder or with an ending.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_weight_file
    >>> [is_weight_file(name) for name in ("weights.safetensors", "BEST.PTH", "checkpoint.pth.tar", "timm:resnet18")]
    [True, True, True, False]
    """
    if name in ZOO or source_of(name) or is_code(name):
        return False
    path = expanded(name)
    return name.lower().endswith(WEIGHT_SUFFIXES) or (bool(path.suffix or path.parent.name) and path.is_file())


def weight_file_stem(file: Path) -> str:
    """Return the name of a weight file without its ending.

    Examples
    --------
    >>> from pathlib import Path
    >>> from brainscore_itmaps.models.names import weight_file_stem
    >>> weight_file_stem(Path("runs/checkpoint.pth.tar")), weight_file_stem(Path("BEST.PTH"))
    ('checkpoint', 'BEST')
    """
    endings = [ending for ending in WEIGHT_SUFFIXES if file.name.lower().endswith(ending)]
    return file.name[: -max(map(len, endings))] if endings else file.stem


def is_user_model(name: str) -> bool:
    """Return whether a name is a user's model: a weight file, a function in a Python file, or a training run.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_user_model
    >>> is_user_model("weights.safetensors"), is_user_model("timm:resnet18")
    (True, False)
    """
    return not source_of(name) and (is_code(name) or is_weight_file(name) or is_run(name))


def is_named_model(name: str) -> bool:
    """Return whether :func:`brainscore_itmaps.load_model` loads a name; otherwise Brain-Score loads it.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_named_model
    >>> is_named_model("efficientnet_lite0"), is_named_model("alexnet")
    (True, False)
    """
    return name in ZOO or bool(source_of(name)) or is_user_model(name)


def is_code(name: str) -> bool:
    """Return whether a name refers to a function in a Python file, such as ``my_file.py:build``.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_code
    >>> is_code("my_file.py:build"), is_code("timm:resnet18")
    (True, False)
    """
    return name.rpartition(":")[0].endswith(".py")


def check_model_name(
    name: str, arch: str | None = None, weights: str | Path = "pretrained", state_key: str | None = None
) -> None:
    """Check that a model exists, without importing timm.

    Parameters
    ----------
    name : str
        As for :func:`brainscore_itmaps.load_model`.
    arch : str, optional
        Architecture, if the name is a weight file.
    weights : "pretrained", "random" or a file
        Requested weights.
    state_key : str, optional
        Key of the weights in a checkpoint.

    Raises
    ------
    ModelError
        When the model is unknown; the message lists similar names.
    UsageError
        When the architecture of a weight file is missing, or is given for another model; when a key is given for a
        model whose weights are not in a torch file.
    InstallationError
        When the model requires transformers, which is not installed.

    Examples
    --------
    >>> from brainscore_itmaps.errors import ModelError
    >>> from brainscore_itmaps.models.names import check_model_name
    >>> check_model_name("efficientnet_lite0")
    >>> try:
    ...     check_model_name("resnet18")
    ... except ModelError as error:
    ...     print(error)
    There is no model named 'resnet18', but timm has one. Use timm:resnet18.
    """
    if state_key is not None and weights in WEIGHT_WORDS and not is_weight_file(name):
        raise UsageError(
            f"{name} is not a weight file.",
            "Leave out the state key; it selects weights in a checkpoint with several sets.",
        )
    if arch is not None and not is_weight_file(name) and (is_code(name) or is_run(name) or not is_user_model(name)):
        raise UsageError(
            f"{name} has its architecture already.", "Leave out the architecture; it is for weight files only."
        )
    if is_run(name):
        return
    if is_user_model(name):
        file = expanded(name.rpartition(":")[0] if is_code(name) else name)
        if not file.is_file():
            raise ModelError(f"There is no file {file}.", "Give the path of a weight file, or file.py:function.")
        if is_code(name):
            return
        if arch is None:
            raise UsageError(f"The architecture of {name} is missing.", "Give it (arch), for example resnet50.")
        name = named_architecture(arch)
    if source := source_of(name):
        CHECKS[source](name.removeprefix(source))
    elif name not in ZOO:
        if suggestion := with_source(name):
            raise ModelError(f"There is no model named {name!r}, but {suggestion[0]} has one.", f"Use {suggestion[1]}.")
        known = f"Known: {', '.join(ZOO)}, timm:NAME, torchvision:NAME, hf:ORGANISATION/NAME."
        raise ModelError(f"There is no model named {name!r}.", nearest(name, ZOO, known))


def check_label(label: str | None, model: str | None = None) -> None:
    """Check a user's name for a model: it can be printed on one line, and the model has no name of its own.

    Parameters
    ----------
    label : str or None
        The user's name.
    model : str, optional
        The model, as for ``--model``; None for a module in memory.

    Raises
    ------
    UsageError
        When it is not.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import check_label
    >>> check_label("ours, seed 3", "best.pth")
    """
    if label is None:
        return
    is_local = model is not None and model.startswith("hf:") and is_local_hub_model(model.removeprefix("hf:"))
    if model is not None and not is_user_model(model) and not is_local:
        raise UsageError(f"{model} already has a name.", "Leave out the name; it is for models of your own.")
    if not label.strip() or not label.isprintable() or "/" in label or len(label) > MOST_LETTERS:
        raise UsageError(
            f"{label!r} is not a name.", f"Use at most {MOST_LETTERS} printable characters, without slashes."
        )


def with_source(name: str) -> tuple[str, str] | None:
    """Find the library that has an architecture of a name: its name, and the name with its prefix.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import with_source
    >>> with_source("resnet18"), with_source("squeezenet1_0")
    (('timm', 'timm:resnet18'), ('torchvision', 'torchvision:squeezenet1_0'))
    """
    architectures: dict[str, Callable[[], frozenset[str]]] = {
        "timm": timm_architectures,
        "torchvision": torchvision_architectures,
    }
    found = [library for library, listed in architectures.items() if name.split(".")[0] in listed()]
    return (found[0], f"{found[0]}:{name}") if found else None


def _check_listed(library: str, names: Callable[[], frozenset[str]], name: str) -> None:
    """Check that a library has an architecture; its weights, after the point, are checked when they are loaded."""
    architecture = name.split(".")[0]
    if not architecture:
        raise ModelError(f"The name after {library}: is missing.", f"Add it, for example {library}:resnet50.")
    if architecture not in names():
        raise ModelError(f"{library} has no architecture named {architecture!r}.", nearest(architecture, names()))


def _check_hub_name(name: str) -> None:
    """Check that a name can be one on Hugging Face's hub, or is a folder with a model, and that transformers exists."""
    folder = expanded(name)
    if is_local_hub_model(name):
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"There is no file {folder / 'config.json'}.", "Give a folder that save_pretrained has written."
            )
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise ModelError(
            f"{name!r} is not a name on Hugging Face's hub.",
            "Give organisation and name, for example hf:facebook/dinov2-base, or a folder: hf:./folder.",
        )
    if importlib.util.find_spec("transformers") is None:
        raise InstallationError(
            f"hf:{name} requires transformers, which is not installed.", "pip install 'brainscore_itmaps[hf]'"
        )


def is_local_hub_model(name: str) -> bool:
    """Return whether a name after ``hf:`` is a folder on this machine.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import is_local_hub_model
    >>> is_local_hub_model("./mine"), is_local_hub_model("facebook/dinov2-base")
    (True, False)
    """
    return name.startswith((".", "/", "~")) or Path(name).is_dir()


def named_architecture(arch: str) -> str:
    """Return the model name of an ``--arch``, adding ``timm:`` to names that are not in the zoo and name no library.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import named_architecture
    >>> named_architecture("resnet50"), named_architecture("harmonized_vgg16")
    ('timm:resnet50', 'harmonized_vgg16')
    """
    return arch if arch in ZOO or source_of(arch) else f"timm:{arch}"


def requested_weights(weights: str | Path = "pretrained", seed: int = 0) -> Weights:
    """Convert ``--weights`` to a description of the weights: "pretrained", "random", or the path of a file.

    Raises
    ------
    UsageError
        When the weights are not "pretrained", "random" or a file.
    ModelError
        When the file does not exist.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import requested_weights
    >>> print(requested_weights("random", seed=3))
    random (seed 3)
    """
    seed = checked_seed(seed)
    if weights in WEIGHT_WORDS:
        return Weights("random", seed=seed) if weights == "random" else Weights()
    file = expanded(weights)
    if file.is_file():
        return Weights("file", path=str(file))
    if isinstance(weights, Path) or file.name.lower().endswith(WEIGHT_SUFFIXES):
        raise ModelError(f"There is no file {file}.", "Give the path of a weight file.")
    raise UsageError(
        f"There are no weights named {weights!r}.", f"Give {' or '.join(WEIGHT_WORDS)}, or the path of a weight file."
    )


def checked_seed(seed: object) -> int:
    """Return the seed of random numbers of torch.

    Raises
    ------
    UsageError
        When it is not a whole number, or does not fit into 64 bits.

    Examples
    --------
    >>> checked_seed(3)
    3
    """
    number = checked_integer(seed, "seed")
    if not -(2**63) <= number < 2**64:
        raise UsageError(f"The seed {number} does not fit into 64 bits.", "Give a smaller number.")
    return number


def timm_architectures() -> frozenset[str]:
    """List the names of timm's architectures, without importing timm.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import timm_architectures
    >>> "resnet18" in timm_architectures()
    True
    """
    return frozenset(timm_families())


@cache
def timm_families() -> dict[str, str]:
    """Map each of timm's architectures to the module that defines it, by parsing timm's source files.

    Importing timm instead would take seconds.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import timm_families
    >>> timm_families()["vit_base_patch16_224"]
    'vision_transformer'
    """
    definition = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
    return {name: file.stem for file in _sources("timm") for name in definition.findall(file.read_text("utf-8"))}


@cache
def torchvision_architectures() -> frozenset[str]:
    """List the names of torchvision's classification models, without importing torchvision.

    Examples
    --------
    >>> from brainscore_itmaps.models.names import torchvision_architectures
    >>> "squeezenet1_0" in torchvision_architectures()
    True
    """
    definition = re.compile(r"^@register_model\([^)]*\)\s+(?:@[^\n]*\s+)*def (\w+)\(", re.MULTILINE)
    return frozenset(name for file in _sources("torchvision") for name in definition.findall(file.read_text("utf-8")))


def _sources(package: str) -> list[Path]:
    """List the Python files that define the models of a package, without importing it."""
    module = importlib.util.find_spec(package)
    return (
        [] if module is None or module.origin is None else sorted((Path(module.origin).parent / "models").glob("*.py"))
    )


CHECKS: dict[str, Callable[[str], None]] = {
    "timm:": partial(_check_listed, "timm", timm_architectures),
    "torchvision:": partial(_check_listed, "torchvision", torchvision_architectures),
    "hf:": _check_hub_name,
}
"""The function that checks the name after each of :data:`SOURCES`."""
