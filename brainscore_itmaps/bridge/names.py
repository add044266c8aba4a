"""Which names can be scored; answered without importing Brain-Score or torch."""

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge.plugins import identifiers
from brainscore_itmaps.errors import ModelError, UsageError, nearest
from brainscore_itmaps.models.names import refuse_unknown_model
from brainscore_itmaps.models.zoo import ZOO


def refuse_unknown(model: str | None, benchmark: str) -> None:
    """Refuse names that nothing has, in well under a second: no network library is imported.

    Raises
    ------
    UsageError
        For the benchmark.
    ModelError
        For the model.
    """
    if benchmark not in CATALOGUE:
        if benchmark in identifiers("benchmarks"):
            raise UsageError(
                f"{benchmark} is a benchmark of Brain-Score's own, not one of spatial maps.",
                "Score it through Brain-Score: python -m brainscore_vision score "
                f"--model_identifier={model} --benchmark_identifier={benchmark}.",
            )
        raise UsageError(f"There is no benchmark named {benchmark!r}.", nearest(benchmark, CATALOGUE))
    if model is None:
        return
    if model.startswith("timm:"):
        refuse_unknown_model(model)
    elif model not in ZOO and model not in (known := identifiers("models")):
        ours = (
            f"Known: {', '.join(ZOO)}, timm:<any timm name>, and the {len(known)} identifiers of Brain-Score's models."
        )
        raise ModelError(f"There is no model named {model!r}.", nearest(model, [*ZOO, *known], ours))
