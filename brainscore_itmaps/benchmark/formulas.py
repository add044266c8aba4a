"""The formula of a score in words, and the notes on a result."""

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
    "{name} is above 1: the noise ceiling is an estimate from {source}, so a prediction may exceed it by chance, or "
    "because it predicts what that estimate counts as noise; the score is not clipped to 1"
)


DIVISORS = {"published": "the published ceiling", "matched": "the noise ceiling, computed the same way"}


def formula_of(benchmark: BenchmarkSpec, arrays: int, protocol: Protocol) -> str:
    """Write the formula of a benchmark's score in words.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> from brainscore_itmaps.protocol import PUBLISHED
    >>> formula_of(CATALOGUE["Arcaro2020.monkey1_PL-pls"], 1, PUBLISHED).rpartition(", ")[2]
    'divided by the published ceiling'
    """
    divisor = DIVISORS[protocol.ceiling if benchmark.measure == "predictivity" else "matched"]
    formula = f"mean over images of {VALUES[benchmark.measure]}, divided by {divisor}"
    return formula if arrays == 1 else f"mean over {arrays} arrays of: {formula}"


def notes_on(arrays: Sequence[ArrayResult], benchmark: BenchmarkSpec) -> tuple[str, ...]:
    """List notes on a result: scores above 1, constant maps, and positions outside the model's field of view."""
    notes = []
    for array in arrays:
        if array.score > 1:
            notes.append(OVER_ONE.format(name=array.recording, source=array.ceiling_kind.split(",")[0]))
        if array.undefined_sites:
            notes.append(
                f"{array.recording}: {array.undefined_sites} constant maps were left out of the median of their image"
            )
        if benchmark.view == "screen":
            rows, columns = array.neural.shape[1:3]
            notes.append(
                f"{array.recording}: {rows} x {columns} positions lie in the model's field of view and were scored"
            )
    return tuple(notes)
