"""The formula of a score, and notes about a result, in words."""

from collections.abc import Sequence

from brainscore_itmaps.benchmark.catalogue import BenchmarkSpec
from brainscore_itmaps.benchmark.result import ArrayResult
from brainscore_itmaps.protocol import Protocol

VALUES = {
    "predictivity": "(median over sites of Pearson r over positions)",
    "alignment": "Spearman rho between predicted and recorded map, both averaged over sites",
    "attribution": "Spearman rho between attribution of the prediction and recorded map, both averaged over sites",
}
OVER_ONE = (
    "{name} is above 1: the ceiling estimates what noise allows from {source}, so a prediction may exceed it by "
    "chance, or because it predicts what that estimate counts as noise; it is not cut to 1"
)


DIVISORS = {"published": "the published ceiling", "matched": "the noise ceiling, computed the same way"}


def formula_of(benchmark: BenchmarkSpec, arrays: int, protocol: Protocol) -> str:
    """Describe the score of a benchmark as a formula in words."""
    divisor = DIVISORS[protocol.ceiling if benchmark.measure == "predictivity" else "matched"]
    one = f"mean over images of {VALUES[benchmark.measure]}, divided by {divisor}"
    return one if arrays == 1 else f"mean over {arrays} arrays of: {one}"


def notes_on(arrays: Sequence[ArrayResult], benchmark: BenchmarkSpec) -> tuple[str, ...]:
    """List what a reader should know about a result."""
    notes = []
    for array in arrays:
        if array.score > 1:
            notes.append(OVER_ONE.format(name=array.recording, source=array.ceiling_kind.split(",")[0]))
        if array.undefined_sites:
            notes.append(f"{array.recording}: {array.undefined_sites} constant maps, left out of their image's median")
        if benchmark.view == "screen":
            rows, columns = array.neural.shape[1:3]
            notes.append(f"{array.recording}: {rows} x {columns} positions lie in the model's view and were scored")
    return tuple(notes)
