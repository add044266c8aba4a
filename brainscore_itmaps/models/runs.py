"""Save and read the models of training runs: a folder with weights and a record."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainscore_itmaps.errors import DAMAGED, ModelError
from brainscore_itmaps.files import replacing, sha256, write_json
from brainscore_itmaps.models.spec import ModelSpec
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:  # names are checked without importing torch
    import torch

RUN_RECORD = "run.json"
OLDER_RECORD = "network.json"
"""Name of the record in version 0.1."""
WEIGHTS_FILE = "model.safetensors"
IN_MEMORY = "module:"
"""Beginning of the model in the record of a run that trained a module in memory, which cannot be built again."""


def is_run(name: str) -> bool:
    """Return whether a name is the folder of a training run.

    Examples
    --------
    >>> import tempfile
    >>> from brainscore_itmaps.models.runs import is_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     is_run(folder)
    False
    """
    folder = expanded(name)
    return (folder / RUN_RECORD).is_file() or (folder / OLDER_RECORD).is_file()


def save_run(
    folder: Path,
    model: str,
    module: "torch.nn.Module",
    spec: ModelSpec,
    training: Mapping[str, Any],
    code_sha256: str = "",
) -> None:
    """Save the weights of a trained model, and a record from which the folder can be loaded as a model.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    model : str
        Name of the model that has this architecture: from the zoo, ``timm:`` and a name in timm, or a function in a
        Python file, with the absolute path of the file.
    module : torch.nn.Module
        The trained model.
    spec : ModelSpec
        Specification with the preprocessing of the training.
    training : mapping
        Description of the training; its ``summary`` is printed with the model's scores.
    code_sha256 : str
        Hash of the Python file, see :func:`check_code`; empty for other models.

    Raises
    ------
    InstallationError
        When the files cannot be written; earlier files are unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps import load_model
    >>> from brainscore_itmaps.models.runs import read_run, save_run
    >>> model = load_model("timm:test_resnet", "random")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_run(Path(folder), "timm:test_resnet", model.module, model.spec, {"summary": "20 steps"})
    ...     read_run(Path(folder))["trained"]
    {'summary': '20 steps'}
    """
    from safetensors.torch import save_file

    from brainscore_itmaps.models.model import hash_parameters

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    with replacing(folder / WEIGHTS_FILE) as temporary:
        save_file(tensors, temporary)
    record = {
        "model": model,
        "sha256": hash_parameters(module),
        "preprocessing": {name: getattr(spec, name) for name in ("size", "mean", "std", "interpolation", "crop")},
        "trained": dict(training),
    }
    if code_sha256:
        record["code_sha256"] = code_sha256
    write_json(folder / RUN_RECORD, record)


def read_run(folder: Path) -> dict[str, Any]:
    """Read the record of a training run.

    Returns
    -------
    dict
        With the keys "model", "sha256", "preprocessing" and "trained".

    Raises
    ------
    ModelError
        When the record is damaged.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from brainscore_itmaps.models.runs import read_run
    >>> record = {"model": "timm:resnet18", "sha256": "0", "preprocessing": {"size": 224}, "trained": {"summary": ""}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "run.json").write_text(json.dumps(record))
    ...     read_run(Path(folder))["model"]
    'timm:resnet18'
    """
    file = folder / (RUN_RECORD if (folder / RUN_RECORD).is_file() else OLDER_RECORD)
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        record["model"] = record["model" if file.name == RUN_RECORD else "network"]
        record["preprocessing"]["size"], record["sha256"], record["trained"]["summary"]
    except DAMAGED as error:
        raise ModelError(
            f"{file} is damaged.",
            f"Load {folder / WEIGHTS_FILE} with its architecture (arch), or train the model again.",
        ) from error
    return record


def check_code(folder: Path, record: Mapping[str, Any]) -> str:
    """Check that the Python file that built the model of a run is the one with which it was trained.

    The file must be unchanged, and must not lie in the folder of the run: a folder that is copied from another person
    never brings code that is then run. Other files that the code imports are not checked; a change of them that changes
    the parameters is found when the weights are loaded.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    record : mapping
        Its record.

    Returns
    -------
    str
        Path and function, for :func:`~brainscore_itmaps.models.own.model_from_code`.

    Raises
    ------
    ModelError
        When the file is missing, has changed, or lies in the folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from brainscore_itmaps.files import sha256
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "mine.py")
    ...     _ = file.write_text("def build(): ...")
    ...     record = {"model": f"{file}:build", "code_sha256": sha256(file)}
    ...     check_code(Path(folder, "run"), record) == record["model"]
    True
    """
    reference = str(record["model"])
    file = Path(reference.rpartition(":")[0])
    load = f"Load {folder / WEIGHTS_FILE} into the module that was trained."
    if not file.is_absolute() or file.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{folder} names code in its own folder ({file}), which is not run.", load)
    if not file.is_file():
        raise ModelError(f"{folder} was trained with {file}, which does not exist here.", f"Restore it. {load}")
    if sha256(file) != record.get("code_sha256"):
        raise ModelError(
            f"{file} has changed since {folder} was trained with it.", f"Restore the former version of the file. {load}"
        )
    return reference
