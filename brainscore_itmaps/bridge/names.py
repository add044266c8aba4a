"""Which names can be scored; answered without importing Brain-Score or torch."""

from pathlib import Path

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge.plugins import identifiers
from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.names import refuse_unknown_model, timm_architectures, weight_file
from brainscore_itmaps.models.zoo import ZOO


def refuse_unknown(
    model: str | None,
    benchmark: str | None,
    weights: str | Path = "pretrained",
    elsewhere: bool = False,
) -> None:
    """Refuse names that nothing has, in well under a second: no network library is imported.

    Parameters
    ----------
    model, benchmark : str, optional
        Names.
    weights : str
        Asked of the model.
    elsewhere : bool
        Let benchmarks of Brain-Score's own pass.

    Raises
    ------
    UsageError
        For the benchmark, and for weights that are nothing we know, or asked of a model that brings its own.
    ModelError
        For the model.
    """
    if benchmark is not None and benchmark not in CATALOGUE and not is_folder_of_maps(benchmark):
        known = identifiers("benchmarks")
        if benchmark not in known:
            raise UsageError(
                f"There is no benchmark named {benchmark!r}.",
                nearest(benchmark, CATALOGUE, nearest(benchmark, known, f"Ours: {', '.join(CATALOGUE)}.")),
            )
        if not elsewhere:
            raise UsageError(
                f"{benchmark} is a benchmark of Brain-Score's own, not one of spatial maps.",
                f"`brainscore score --model {model} --benchmark {benchmark}` scores it, and score_elsewhere in Python.",
            )
    weight_file(weights)
    if model is None or model in ZOO:
        return
    if model.startswith("timm:"):
        refuse_unknown_model(model)
        return
    known = identifiers("models")
    if model not in known:
        if model.split(".")[0] in timm_architectures():
            raise ModelError(f"There is no model named {model!r}, but timm has one.", f"Use --model timm:{model}.")
        named = f"Known: {', '.join(ZOO)}, timm:<any timm name>, and {len(known)} identifiers of Brain-Score's models."
        raise ModelError(f"There is no model named {model!r}.", nearest(model, [*ZOO, *known], named))
    if weights != "pretrained":
        raise UsageError(
            f"{model} is a model of Brain-Score's: it brings its own weights.",
            "Leave out --weights, or name a network of timm (timm:<name>).",
        )


def is_folder_of_maps(benchmark: str) -> bool:
    """Does this name a folder that somebody saved a recording in?"""
    return (Path(benchmark).expanduser() / "recording.json").is_file()


def is_ours(model: str) -> bool:
    """Is this a network that our own hooks read? Otherwise Brain-Score loads it."""
    return model in ZOO or model.startswith("timm:")


def is_elsewhere(benchmark: str) -> bool:
    """Is this a benchmark of Brain-Score's own?"""
    return benchmark not in CATALOGUE and not is_folder_of_maps(benchmark)
