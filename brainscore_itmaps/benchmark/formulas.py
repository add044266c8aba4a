"""The formula of a score in words, and the notes on a result."""

from collections.abc import Iterable, Sequence

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, BenchmarkSpec
from brainscore_itmaps.benchmark.estimate import Estimate, difference_of
from brainscore_itmaps.benchmark.result import EACH_IMAGE, MEAN, RECORDED_SOURCE, ArrayResult, Result
from brainscore_itmaps.data.grid import Grid, shown_extent
from brainscore_itmaps.protocol import Protocol
from brainscore_itmaps.text import interval_text, number_text

VALUES = {
    "predictivity": "(median over sites of Pearson r over positions)",
    "alignment": "Spearman rho between predicted and recorded map, both averaged over sites",
    "attribution": "Spearman rho between attribution of the prediction and recorded map, both averaged over sites",
}
OVER_ONE = (
    "{name} is above 1: the noise ceiling is an estimate from {source}, so a prediction may exceed it by chance, or "
    "because it predicts what that estimate counts as noise; the score is not clipped to 1"
)


SIGNIFICANT = 0.05
ROUNDING = 1e-9
DESCRIPTIONS = {
    "typical_map": "the mean map of the training images",
    "position": "where in the image, without its content",
    "contrast": "luminance contrast at three scales",
    "gabor": "Gabor energy at three scales",
    "saliency": "spectral residual saliency",
    RECORDED_SOURCE: "the recorded maps of the other array",
    "centre": "nearness to the image's centre",
    "other_image": "the human map of another image",
    "random_weights": "the same architecture with random weights",
    "noise": "Gaussian noise as long as the perturbation",
    "gradient": "the model's own gradient saliency",
}
"""What a control is, by its name in ``Result.controls``."""
ADDED = {
    "unique": "what features add: controls and features together, minus the better of all controls together and the "
    "best control alone, or minus 0 if both are lower",
    "given_controls": "partial correlation of predicted and recorded maps, given what the controls predict, each and "
    "together",
    "without_typical_map": "prediction of what remains of each map when the mean map of the training images is "
    "subtracted",
}
"""What a result holds beyond the score and the controls, by its name in ``Result.added``."""
DIVISORS = {"published": "the published ceiling", "matched": "the noise ceiling, computed the same way"}


def formula_of(benchmark: BenchmarkSpec, arrays: int, protocol: Protocol, folds: Iterable[str] = (EACH_IMAGE,)) -> str:
    """Write the formula of a benchmark's score in words.

    ``folds`` describes which images are left out at a time; it is part of the formula unless it is each image in turn.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> from brainscore_itmaps.protocol import PUBLISHED
    >>> formula_of(CATALOGUE["Arcaro2020.monkey1_PL-pls"], 1, PUBLISHED).rpartition(", ")[2]
    'divided by the published ceiling'
    """
    divisor = DIVISORS[protocol.ceiling if benchmark.measure == "predictivity" else "matched"]
    left_out = " or ".join(dict.fromkeys(folds))
    images = "images" if left_out == EACH_IMAGE else f"images (left out: {left_out})"
    formula = f"mean over {images} of {VALUES[benchmark.measure]}, divided by {divisor}"
    return formula if arrays == 1 else f"mean over {arrays} arrays of: {formula}"


def notes_on(arrays: Sequence[ArrayResult], benchmark: BenchmarkSpec) -> tuple[str, ...]:
    """List notes on a result: experimental measures, scores above 1, constant maps, and where positions lie."""
    notes = [EXPERIMENTAL] if benchmark.measure == "attribution" else []
    for array in arrays:
        if array.score > 1:
            notes.append(OVER_ONE.format(name=array.recording, source=array.ceiling_kind.split(",")[0]))
        if array.saliency is not None and array.saliency.missing:
            notes.append(f"{array.recording}: {array.saliency.missing}")
        if array.undefined_sites:
            notes.append(
                f"{array.recording}: {array.undefined_sites} constant maps were left out of the median of their image"
            )
        grid = Grid(array.degrees_y, array.degrees_x, array.extent or 1.0)
        if array.extent is not None and grid.outside:
            notes.append(
                f"{array.recording}: {grid.outside} of {grid.y.size * grid.x.size} positions lie outside the images, "
                "where features take the values at the edge"
            )
        if grid.height != grid.width and benchmark.view == "whole":
            notes.append(
                f"{array.recording}: images of {shown_extent(grid.extent)} degrees (height x width) are stretched to "
                "the square input of the model"
            )
        if benchmark.view == "screen":
            _, rows, columns, _ = array.lengths
            notes.append(
                f"{array.recording}: {rows} x {columns} positions lie in the model's field of view and were scored"
            )
    return tuple(notes)


def note_on_controls(result: Result) -> str:
    """State that a control reaches the raw value of the model, or cannot be distinguished from it; else empty.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> note_on_controls(Result(request=ScoreRequest(), reading=Reading(model="resnet", weights=Weights()),
    ...                         benchmark="mine", estimate=Estimate(0.18), controls={"centre": Estimate(0.47)}))
    "Control `centre` reaches this raw value: nearness to the image's centre has raw 0.470, the model 0.180"
    """
    best, verdict = result.best_control, verdict_on_controls(result)
    if not verdict or verdict.startswith("above"):
        return ""
    raw, of_model = (number_text(value) for value in (result.controls[best].raw, result.raw))
    values = f"{DESCRIPTIONS.get(best, best)} has raw {raw}, the model {of_model}"
    if verdict.startswith("reached"):
        what = "score" if result.score == result.score else "raw value"
        return f"Control `{best}` reaches this {what}: {values}"
    return f"This score is not distinguishable from that of control `{best}`: {values}{verdict.partition(best)[2]}"


def text_of_null(result: Result) -> str:
    """Describe the null distribution of the raw value; empty where there is none.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Null, Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> null = Null(0.0001, 0.02, -0.05, 0.09, (-0.2, 0.3), (-0.1, 0.1))
    >>> text_of_null(Result(request=ScoreRequest(), reading=Reading(model="resnet", weights=Weights()),
    ...                     benchmark="mine", estimate=Estimate(0.18), null=null))[:66]
    "paired with other images' maps, predictions have raw 0.020 (95 % -"
    """
    null = result.null
    if null is None or null.p_value != null.p_value:
        return ""
    return (
        f"paired with other images' maps, predictions have raw {number_text(null.mean)} (95 % "
        f"{interval_text(null.low, null.high)}): p = {null.p_value:.2g}; shifted over the grid "
        f"{interval_text(*null.shifts)}, rotated {interval_text(*null.rotations)} (descriptions, not tests)"
    )


def notes_of(result: Result) -> tuple[str, ...]:
    """List what a reader must know about a result: a control that reaches it, its notes, and why scores are absent.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> estimate = Estimate(raw=0.1, ceiling=0.02, reason="the noise ceiling is not reliable")
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=estimate, notes=("old",))
    >>> notes_of(result)
    ('old', 'No score of mine: the noise ceiling is not reliable')
    """
    experimental = [EXPERIMENTAL] if result.measure == "attribution" else []  # older results do not say so
    estimates = [(array.recording, array.estimate) for array in result.arrays]
    if len(estimates) != 1:
        estimates.append((MEAN if estimates else result.benchmark, result.estimate))
    notes = [note_on_controls(result), *experimental, *result.notes, *absent_scores(estimates)]
    return tuple(dict.fromkeys(filter(None, notes)))  # each sentence once


def verdict_on_controls(result: Result) -> str:
    """Say in a few words how a score stands to its best control; empty without controls.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.request import ScoreRequest
    >>> from brainscore_itmaps.benchmark.result import Reading
    >>> from brainscore_itmaps.models.spec import Weights
    >>> reading = Reading(model="resnet", weights=Weights())
    >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(raw=0.25),
    ...                 controls={"typical_map": Estimate(raw=0.5)})
    >>> verdict_on_controls(result)
    'reached by typical_map'
    """
    name = result.best_control
    if not name or result.raw != result.raw:
        return ""
    if result.controls[name].raw >= result.raw - ROUNDING:
        return f"reached by {name}"
    difference = difference_of(result.estimate, result.controls[name])
    if difference is None:
        return f"above {name}, not tested"
    if not difference.p_value < SIGNIFICANT:
        return f"not distinguishable from {name} (p = {difference.p_value:.2g})"
    return f"above {name}"


def absent_scores(estimates: Iterable[tuple[str, Estimate]]) -> list[str]:
    """Describe the absent scores among named estimates: one sentence for each reason.

    Examples
    --------
    >>> absent = Estimate(raw=0.1, ceiling=0.02, reason="the noise ceiling is not reliable")
    >>> absent_scores([("PL", absent), ("ML", Estimate(0.4, 0.8, 0.5)), ("mean", absent)])
    ['No score of PL, mean: the noise ceiling is not reliable']
    """
    names: dict[str, dict[str, None]] = {}
    for name, estimate in estimates:
        if estimate.score != estimate.score:
            names.setdefault(estimate.reason.rstrip(".") or "no reason was recorded", {})[name] = None
    return [f"No score of {', '.join(absent)}: {reason}" for reason, absent in names.items()]
