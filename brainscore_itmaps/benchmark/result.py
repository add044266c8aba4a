"""The result of a score: its request, estimate, arrays and notes."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.catalogue import EXPERIMENTAL, WITHOUT_REGRESSION, mark_of
from brainscore_itmaps.benchmark.codec import INLINE, encode
from brainscore_itmaps.benchmark.estimate import EXPLAINED, Estimate, difference_of
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.cache import package_versions
from brainscore_itmaps.errors import check_type, printable
from brainscore_itmaps.files import ANOTHER_FOLDER
from brainscore_itmaps.metrics.inference import Comparison
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.protocol import protocol_named
from brainscore_itmaps.text import SIMULATED_HTML, html_table, interval_text, number_text, short_repr

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "brainscore_itmaps result"
VERSION = 5
EACH_IMAGE = "each image in turn"
"""Images that are left out at a time, where identical images, or the number of images, do not require groups."""
RECORDED_SOURCE = "recorded_source"
"""What another array's own recorded maps predict: a reference of benchmarks of transfer, not a control."""
MEAN = "mean"
"""In place of an array's name: the mean over all arrays of a benchmark."""
PACKAGES = ("brainscore_itmaps", "brainscore_vision", "numpy", "pillow", "scipy", "timm", "torch", "torchvision")


@short_repr
@dataclass(frozen=True)
class LayerResult:
    """The score of one layer on one array, over all images.

    Attributes
    ----------
    layer : str
    raw : float
        In the measure of the benchmark, not divided by the noise ceiling; predictivity if that is
        attribution.
    alignment : float
        Mean over images of Spearman rho between predicted and recorded map, averaged over sites.
    image_r : tuple of float
        Median over sites of Pearson r for each image; without a regression, the value of each image.
    chosen : int
        Number of images for which this layer was chosen.
    """

    layer: str
    raw: float
    alignment: float
    image_r: tuple[float, ...]
    chosen: int


@short_repr
@dataclass(frozen=True)
class Saliency:
    """Attribution maps of the predicted response, which are EXPERIMENTAL, and their controls.

    Attributes
    ----------
    maps : array, shape (image, y, x)
        Size of the attribution, averaged around each position.
    rho : array, shape (image,)
        Spearman rho with the recorded map averaged over sites.
    centre_rho : array, shape (image,)
        The same for nearness to the image's centre, which does not depend on the image.
    random_rho : array, shape (image,)
        The same for the model with random weights; NaN if it has none.
    method : str
        Attribution method.
    missing : str
        Why there is no control with random weights, if there is none.
    """

    maps: NDArray[np.float64] = field(metadata={"array": "saliency"})
    rho: NDArray[np.float64]
    centre_rho: NDArray[np.float64]
    random_rho: NDArray[np.float64]
    method: str
    missing: str = ""


@short_repr
@dataclass(frozen=True, eq=False)
class Null:
    """What the raw value would be if predictions held nothing about which image is shown.

    Attributes
    ----------
    p_value : float
        One-sided, of the pairings of predicted maps with other images' recorded maps; see
        :func:`~brainscore_itmaps.metrics.nulls.pairing_null`.
    mean, low, high : float
        Mean and 95 % range of the raw values of these pairings.
    shifts, rotations : (float, float)
        95 % range of the raw values of predicted maps that are shifted over the grid, and smallest and largest raw
        value of rotated and mirrored ones. They describe what smooth maps give, and are no tests.
    paired : array, shape (image, image), or None
        Raw value of every pair of a predicted map (first axis) and a recorded map of the different images; None for
        several arrays.
    """

    p_value: float
    mean: float
    low: float
    high: float
    shifts: tuple[float, float]
    rotations: tuple[float, float]
    paired: NDArray[np.float64] | None = None


@short_repr
@dataclass(frozen=True, kw_only=True, eq=False)
class AttackedImages:
    """Images that were attacked, with the length of each perturbation (L2; pixels from 0 to 1 at the input size).

    Attributes
    ----------
    names : tuple of str
    labels, decided : int array, shape (image,)
        Class that was attacked, and class of the attacked image, in the attacked decision.
    correct, noise_fools : uint8 array, shape (image,)
        1 where the model decides for the label without a perturbation; and where noise as long as the perturbation
        fools it, too.
    norms, norms_8_bit : array, shape (image,)
        Length of the smallest perturbation that was found, 0 where the decision is wrong without one, NaN where none
        was found; and length at which it still fools after rounding to 8 bits.
    own_map, other_map : array, shape (image,)
        Spearman's rho of the size of the perturbation with the human map of the image, and of the image before it; NaN
        where there is no map or no perturbation.
    images, adversarial : float32 array, shape (kept image, y, x, rgb)
        Pixels before and after the attack, of the first images.
    heatmaps : float32 array, shape (kept image, y, x)
        Human maps; empty without maps.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    decided: NDArray[np.int64]
    correct: NDArray[np.uint8]
    noise_fools: NDArray[np.uint8]
    norms: NDArray[np.float64]
    norms_8_bit: NDArray[np.float64]
    own_map: NDArray[np.float64]
    other_map: NDArray[np.float64]
    images: NDArray[np.float32]
    adversarial: NDArray[np.float32]
    heatmaps: NDArray[np.float32]

    def __post_init__(self) -> None:
        numbers = (self.labels, self.decided, self.correct, self.noise_fools, self.norms, self.norms_8_bit,
                   self.own_map, self.other_map)  # fmt: skip
        kept = self.images.shape[:3]
        if any(each.shape != (len(self.names),) for each in numbers) or self.images.shape != self.adversarial.shape:
            raise ValueError("the numbers and pixels of its attacked images do not fit each other")
        if self.images.ndim != 4 or kept[0] > len(self.names) or len(self.heatmaps) not in (0, kept[0]):
            raise ValueError("the pixels and maps of its attacked images do not fit their names")


@short_repr
@dataclass(frozen=True, kw_only=True)
class Reading:
    """The model and layer that were read, and how the images were shown.

    Attributes
    ----------
    model : str
        Name of the model that was loaded.
    weights : Weights
    imagenet_top1, imagenet_top1_source : float, str or None
        ImageNet accuracy of these weights in percent, and its source, where it is known.
    layer : str
        The layer, or how it was chosen from several.
    field_of_view : str
        How each image was placed in the model's field of view.
    device : str
        Device of the model.
    """

    model: str
    weights: Weights
    imagenet_top1: float | None = None
    imagenet_top1_source: str | None = None
    layer: str = ""
    field_of_view: str = ""
    device: str = "cpu"


class Estimated:
    """Attributes that the result of an array and a whole result share: the numbers of their estimate."""

    estimate: Estimate
    controls: Mapping[str, Estimate]
    added: Mapping[str, Estimate]
    null: Null | None

    @property
    def raw(self) -> float:
        """Return the value in the measure of the benchmark, not divided by the noise ceiling."""
        return self.estimate.raw

    @property
    def ceiling(self) -> float:
        """Return the noise ceiling in the same measure."""
        return self.estimate.ceiling

    @property
    def score(self) -> float:
        """Return the value divided by the noise ceiling."""
        return self.estimate.score

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the score."""
        return self.estimate.interval

    @property
    def error(self) -> float:
        """Return the standard error of the score."""
        return self.estimate.error

    @property
    def explained(self) -> float:
        """Return the score squared: the share of the explainable variance that is explained."""
        return self.estimate.explained

    @property
    def unique(self) -> Estimate:
        """Return what the model adds to the controls; all numbers are NaN where it was not computed."""
        return self.added.get("unique", Estimate())

    @property
    def p_value(self) -> float:
        """Return the p-value of the score (:class:`~brainscore_itmaps.benchmark.result.Null`); NaN if not computed."""
        return np.nan if self.null is None else self.null.p_value

    @property
    def best_control(self) -> str:
        """Return the name of the control with the highest raw value; empty without controls.

        Of random weights, the mean over seeds counts.
        """
        raw = {name: control.raw for name, control in self.controls.items() if control.raw == control.raw}
        seeds = {name for name in raw if name.rpartition("_")[0] in raw and name.rpartition("_")[2].isdigit()}
        return max(raw.keys() - seeds - {RECORDED_SOURCE}, key=lambda name: (raw[name], name), default="")

    @property
    def against_best_control(self) -> Comparison | None:
        """Return the paired test of the score against that of the best control; None if one of them has no score.

        Its p-value is not corrected for the number of controls.

        Examples
        --------
        >>> from brainscore_itmaps import score
        >>> test = score("timm:test_resnet", weights="random", layers="layer3").against_best_control
        >>> test.p_value < 0.05
        False
        """
        control = self.controls.get(self.best_control)
        return None if control is None else difference_of(self.estimate, control)


@dataclass(frozen=True, repr=False, eq=False)
class ArrayResult(Estimated):
    """The score of one array, with its recorded and predicted maps.

    Attributes
    ----------
    recording, recording_sha256, citation : str
        Name, hash and BibTeX entry of the recording.
    simulated : bool
        True when no animal was recorded.
    window : (int, int)
        Milliseconds after stimulus onset.
    estimate : Estimate
        Its numbers are attributes of the array, too: ``raw``, ``ceiling``, ``score``, ``interval``, ``error``,
        ``explained``.
    alignment : float
        Mean over images of ``map_rho``.
    ceiling_kind : str
        How the noise ceiling was computed.
    layers : tuple of LayerResult
        Every layer that was scored.
    layer_of_image : tuple of str
        Layer that predicted each image.
    image_r, map_rho, map_rho_coarse : array, shape (image,)
        Median site correlation, and Spearman rho of the two maps averaged over sites, at the full grid and over tiles
        of about 4 x 4 positions.
    image_value, image_ceiling : array, shape (image,)
        Value and noise ceiling of each image in the measure of the benchmark; ``raw`` and ``ceiling`` are their means.
    site_r : array, shape (image, site)
        Pearson correlation over positions; NaN where a map is constant.
    site_ceiling : array, shape (image, site)
        Noise ceiling of ``site_r``. Where the measure compares maps averaged over sites, or the noise ceiling is the
        published one, it is that of the image at every site.
    components : array, shape (image,)
        PLS components used when that image was left out.
    predicted, neural : array, shape (image, y, x, site)
        Predicted and recorded maps in spikes per second; predictions of the published protocol lack the intercept.
        Empty without a regression.
    degrees_y, degrees_x : array, shape (y,) and (x,)
        Positions of the maps, degrees of visual angle below and to the right of the image's centre.
    images, sites : tuple of str
        Names of the images and of the sites.
    saliency : Saliency or None
        Attribution maps, if the measure is attribution.
    extent : float, (float, float) or None
        Size of the images in degrees of visual angle: the side of squares, or (height, width); None in older results
        that did not store it.
    folds : str
        Which images were left out at a time: "each image in turn", or groups of images.
    controls : mapping of str to Estimate
        Score of each control, as in the `controls` of :class:`Result`.
    added : mapping of str to Estimate
        What the model adds to the controls, as in the `added` of :class:`Result`.
    null : Null or None
        None without controls, with fewer than 4 different images, for attribution, RSA and CKA, where one of several
        layers was chosen on the scored images, and where the interval is "fixed" and there is one layer.
    """

    recording: str
    recording_sha256: str
    citation: str
    simulated: bool
    window: tuple[int, int]
    estimate: Estimate = field(metadata=INLINE)
    alignment: float
    ceiling_kind: str
    layers: tuple[LayerResult, ...]
    layer_of_image: tuple[str, ...]
    image_r: NDArray[np.float64]
    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    image_value: NDArray[np.float64]
    image_ceiling: NDArray[np.float64]
    site_r: NDArray[np.float64]
    site_ceiling: NDArray[np.float64]
    components: NDArray[np.int64]
    predicted: NDArray[np.float64]
    neural: NDArray[np.float64]
    degrees_y: NDArray[np.float64]
    degrees_x: NDArray[np.float64]
    images: tuple[str, ...]
    sites: tuple[str, ...]
    saliency: Saliency | None = None
    extent: float | tuple[float, float] | None = None
    folds: str = EACH_IMAGE
    controls: Mapping[str, Estimate] = field(default_factory=dict)
    added: Mapping[str, Estimate] = field(default_factory=dict)
    null: Null | None = None

    def __post_init__(self) -> None:
        if self.neural.size and not self.neural.shape == self.predicted.shape == self.lengths:
            raise ValueError("the shape of its maps does not fit its images, positions and sites")

    def __repr__(self) -> str:
        return f"<ArrayResult {printable(self.recording)}: {_format_score(self.estimate)}>"

    @property
    def lengths(self) -> tuple[int, int, int, int]:
        """Return the numbers of images, of positions along y and x, and of sites."""
        return len(self.images), len(self.degrees_y), len(self.degrees_x), len(self.sites)

    @property
    def undefined_sites(self) -> int:
        """Count the undefined site correlations and site ceilings, over all images, where there are any."""
        undefined, absent = np.isnan(self.site_r), np.isnan(self.site_ceiling)
        return int(((undefined & ~undefined.all()) | (absent & ~absent.all())).sum())

    @property
    def layer(self) -> str:
        """Return the chosen layer; if it differs between images, all of them with their counts, most frequent first."""
        ranked = sorted({*self.layer_of_image}, key=lambda layer: -self.layer_of_image.count(layer))
        if len(ranked) == 1:
            return ranked[0]
        return ", ".join(f"{layer} ({self.layer_of_image.count(layer)})" for layer in ranked)


@dataclass(frozen=True, kw_only=True, repr=False)
class Result(Estimated):
    """The score of a model on a benchmark.

    Attributes
    ----------
    request : ScoreRequest
        The request, which :func:`~brainscore_itmaps.reproduce` repeats.
    reading : Reading
        What was read. Its fields are attributes of the result, too: ``model``, ``weights``, ``layer``, ...
    benchmark, benchmark_version : str, int
        Name and version of the benchmark.
    kind : "maps", "human", "adversarial" or "external"
        Kind of the benchmark: maps of recordings, human alignment, attacks, or a benchmark of Brain-Score.
    measure : str
        What was compared: see :class:`~brainscore_itmaps.benchmark.catalogue.BenchmarkSpec`.
    estimate : Estimate
        Means over the arrays; groups of images are left out of all arrays that share images. Its numbers are attributes
        of the result, too: ``raw``, ``ceiling``, ``score``, ``interval``, ``error``, ``explained``.
    alignment : float
        Mean over the arrays; NaN where the benchmark has no maps.
    formula : str
        Formula of ``score``, in words.
    notes : tuple of str
        Notes on these numbers.
    arrays : tuple of ArrayResult
        Score of each array of a benchmark of maps.
    image_value : array, shape (image,), or None
        Value of each image, for a benchmark without maps that has images.
    controls : mapping of str to Estimate
        Score of each control: what predicts the maps without being the model, from the same folds and with the same
        measure, regression and noise ceiling. Empty in results of earlier versions, and where none were requested.
    added : mapping of str to Estimate
        What the model adds to the controls: ``unique``, ``given_controls`` and ``without_typical_map``
        (:data:`~brainscore_itmaps.benchmark.formulas.ADDED`).
    null : Null or None
        Raw values of predicted maps that are paired with other images' maps, shifted and rotated.
    attacked : AttackedImages or None
        Attacked images, for a benchmark that attacks.
    details : dict
        Further numbers and texts of benchmarks without maps, by name.
    citations : tuple of str
        BibTeX entries to cite.
    versions : dict
        Versions of Python and of the packages that computed the numbers.
    written : str
        Time of the computation (UTC). Everything else is exactly reproducible.
    """

    request: ScoreRequest
    reading: Reading = field(metadata=INLINE)
    benchmark: str
    benchmark_version: int | None = 1
    kind: str = "maps"
    measure: str = ""
    estimate: Estimate = field(metadata=INLINE)
    alignment: float = np.nan
    formula: str = ""
    notes: tuple[str, ...] = ()
    arrays: tuple[ArrayResult, ...] = ()
    image_value: NDArray[np.float64] | None = None
    controls: Mapping[str, Estimate] = field(default_factory=dict)
    added: Mapping[str, Estimate] = field(default_factory=dict)
    null: Null | None = None
    attacked: AttackedImages | None = None
    details: dict[str, Any] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    versions: dict[str, str] = field(
        default_factory=lambda: {"python": platform.python_version()} | package_versions(PACKAGES)
    )
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def model(self) -> str:
        """Return the name of the model."""
        return self.reading.model

    @property
    def weights(self) -> Weights:
        """Return the weights of the model."""
        return self.reading.weights

    @property
    def weights_sha256(self) -> str | None:
        """Return the hash of the weights."""
        return self.reading.weights.sha256

    @property
    def imagenet_top1(self) -> float | None:
        """Return the ImageNet accuracy of the weights in percent, if it is known."""
        return self.reading.imagenet_top1

    @property
    def imagenet_top1_source(self) -> str | None:
        """Return who measured the ImageNet accuracy."""
        return self.reading.imagenet_top1_source

    @property
    def layer(self) -> str:
        """Return the layer that was read."""
        return self.reading.layer

    @property
    def field_of_view(self) -> str:
        """Return how the images were shown, in words."""
        return self.reading.field_of_view

    @property
    def device(self) -> str:
        """Return the device that computed the features."""
        return self.reading.device

    @property
    def protocol(self) -> str:
        """Return the name of the protocol."""
        return self.request.protocol

    def __repr__(self) -> str:
        simulated = ", SIMULATED" if self.simulated else ""
        arrays = f"{len(self.arrays)} array{'s' * (len(self.arrays) != 1)}{simulated}"
        return printable(f"<Result {self.model} on {self.title}: {_format_score(self.estimate)}, {arrays}>")

    @property
    def label(self) -> str:
        """Return what differs from the defaults of the benchmark: regression, window, attribution method, attack."""
        attribution = self.request.attribution if self.measure in ("attribution", "human alignment") else "gradient"
        attack = self.request.attack.label if self.kind == "adversarial" else ""
        method = attribution if attribution != "gradient" else ""
        parts = (self.request.method, self.request.window_label, method, attack)
        return "-".join(filter(None, parts))

    @property
    def title(self) -> str:
        """Return the name of the benchmark, followed by EXPERIMENTAL if the measure is attribution."""
        return self.benchmark + mark_of(self.measure)

    @property
    def experimental(self) -> str:
        """Return the sentence about a measure that is experimental, attribution; empty for others."""
        return EXPERIMENTAL if self.measure == "attribution" else ""

    @property
    def has_maps(self) -> bool:
        """Return whether there are predicted maps to draw."""
        return bool(self.arrays) and self.measure not in WITHOUT_REGRESSION

    @property
    def simulated(self) -> bool:
        """Return whether any of the recordings is simulated."""
        return any(array.simulated for array in self.arrays) or "simulated" in self.benchmark

    @property
    def undefined_sites(self) -> int:
        """Count the undefined site correlations and site ceilings, over all arrays."""
        return sum(array.undefined_sites for array in self.arrays)

    def _repr_html_(self) -> str:
        """Return the HTML table that a notebook displays."""
        from brainscore_itmaps.benchmark.formulas import notes_of

        scored: list[tuple[str, str, Estimate]] = [(a.recording, a.layer, a.estimate) for a in self.arrays]
        if len(scored) != 1:
            scored.append((MEAN if scored else self.benchmark, "" if scored else self.layer, self.estimate))
        rows = [
            (number_text(estimate.score), interval_text(*estimate.interval), number_text(estimate.raw),
             number_text(estimate.ceiling), name, layer)
            for name, layer, estimate in scored
        ]  # fmt: skip
        table = html_table(("score", "95 % interval", "raw", "ceiling", "array", "layer"), rows)
        notes = "<br>".join(map(escape, notes_of(self)))
        return (
            f"<div>score <b>{number_text(self.score)}</b>, 95 % interval {interval_text(*self.interval)}, "
            f"raw {number_text(self.raw)}, noise ceiling {number_text(self.ceiling)}: "
            f"{escape(self.model)} ({escape(str(self.weights))}) on {escape(self.title)}<br>"
            f"{SIMULATED_HTML if self.simulated else ''}{table}{_html_of_controls(self)}{notes}</div>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the arrays over sites and positions, as plain values for JSON.

        Examples
        --------
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
        ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
        >>> plain = result.to_dict()
        >>> plain["model"], plain["score"], plain["interval"]
        ('resnet', 0.5, [None, None])
        """
        plain = encode(self).plain
        for stored, array in zip(plain["arrays"], self.arrays, strict=True):
            stored["undefined_sites"] = array.undefined_sites
        derived = {
            "weights_sha256": self.weights_sha256,
            "protocol": self.protocol,
            "label": self.label,
            "simulated": self.simulated,
            "undefined_sites": self.undefined_sites,
            "explained_formula": EXPLAINED,
        }
        return {"format": FORMAT, "version": VERSION} | plain | derived

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a table with one row per array, and one for the mean of several or for a benchmark without arrays.

        Examples
        --------
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
        ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
        >>> result.to_dataframe()[["model", "array", "score"]]
            model array  score
        0  resnet    V4    0.5
        """
        import pandas as pd

        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of :meth:`to_dataframe` as plain values.

        Returns
        -------
        list of dict of str to value

        Examples
        --------
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
        ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
        >>> [(row["array"], row["raw"], row["score"]) for row in result.rows()]
        [('V4', 0.25, 0.5)]
        """
        shared = {
            "model": self.model,
            "weights": str(self.weights),
            "sha256": self.weights_sha256,
            "random": self.weights.kind == "random",
            "published": self.weights.kind in ("pretrained", "external"),
            "imagenet_top1": self.imagenet_top1,
            "benchmark": self.benchmark,
            "kind": self.kind,
            "measure": self.measure,
            "experimental": bool(self.experimental),
            "asked": self.label,
            "protocol": self.protocol,
        }
        rows = [
            {"array": array.recording, "window": f"{array.window[0]}-{array.window[1]}", "layer": array.layer}
            | _row(array.estimate, array.alignment, array.simulated)
            | _row_of_controls(array)
            for array in self.arrays
        ]
        if len(rows) != 1:
            name = MEAN if rows else self.benchmark
            labels = {"array": name, "window": "", "layer": self.layer}
            rows.append(labels | _row(self.estimate, self.alignment, self.simulated) | _row_of_controls(self))
        return [shared | row for row in rows]

    def control_rows(self) -> list[dict[str, Any]]:
        """Return a row for the model, each control and what the model adds, for each array and their mean.

        Returns
        -------
        list of dict of str to value
            ``array``, ``kind`` ("model", "control", "reference" or "added"), ``name`` and the numbers of the estimate.

        Examples
        --------
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="mine", estimate=Estimate(raw=0.5),
        ...                 controls={"contrast": Estimate(raw=0.25)})
        >>> [(row["kind"], row["name"], row["raw"]) for row in result.control_rows()]
        [('model', 'resnet', 0.5), ('control', 'contrast', 0.25)]
        """
        scored: list[tuple[str, ArrayResult | Result]] = [(array.recording, array) for array in self.arrays]
        if len(scored) != 1:
            scored.append((MEAN if scored else self.benchmark, self))
        return [
            {"model": self.model, "benchmark": self.benchmark, "array": name}
            | {"kind": "reference" if row == RECORDED_SOURCE else kind, "name": row}
            | {number: getattr(estimate, number) for number in ("raw", "ceiling", "score")}
            | dict(zip(("low", "high"), estimate.interval, strict=True))
            | {"error": estimate.error, "simulated": self.simulated, "reason": estimate.reason}
            for name, each in scored
            for kind, estimates in (("model", {self.model: each.estimate}), ("control", each.controls),
                                    ("added", each.added))
            for row, estimate in estimates.items()
        ]  # fmt: skip

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> tuple[Path, ...]:
        """Save the result as ``<model>--<layer>--<benchmark>.json``, with ``.csv`` and ``.npz`` if it has maps.

        With controls, ``.controls.csv`` has a row for the model, each control and what the model adds.

        The file name ends with ``label`` if it is not empty. The JSON holds everything except the large arrays, which
        are in the NPZ; the CSV has one row for each recorded map. An older result of the same name is replaced
        atomically: at any time, :meth:`load` reads either the older or the new result, never a mixture.

        Parameters
        ----------
        folder : Path or str
        fix : str
            Next step in the error message when the files cannot be written.

        Returns
        -------
        tuple of Path
            The files.

        Raises
        ------
        InstallationError
            When the files cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
        ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [file.name for file in result.save(folder)]
        ['resnet--V4.json']
        """
        from brainscore_itmaps.benchmark.saved import save_result

        return save_result(self, Path(folder), fix)

    @classmethod
    def load(cls, file: Path | str) -> "Result":
        """Load a result that :meth:`save` wrote, also in earlier versions, from its JSON file and the NPZ next to it.

        Parameters
        ----------
        file : Path or str
            The JSON file.

        Returns
        -------
        Result

        Raises
        ------
        DataError
            When a file is missing, damaged or of an unknown version, or the two files were not written together.

        Examples
        --------
        >>> import tempfile
        >>> reading = Reading(model="resnet", weights=Weights())
        >>> result = Result(request=ScoreRequest(), reading=reading, benchmark="V4", kind="external",
        ...                 estimate=Estimate(raw=0.25, ceiling=0.5, score=0.5))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = Result.load(result.save(folder)[0])
        >>> loaded.score, loaded.model
        (0.5, 'resnet')
        """
        from brainscore_itmaps.benchmark.saved import load_result

        check_type(file, (str, Path), "the path of a result", "Give the JSON file that Result.save wrote.")
        return load_result(Path(file))

    @property
    def file_stem(self) -> str:
        """Return the name of the result's files without the extension."""
        weights, sha256 = self.weights, (self.weights_sha256 or "")[:8]
        distinction = f"-{weights}" if weights.kind == "random" else ""
        if weights.kind == "file" or (
            self.kind in ("human", "adversarial") and weights.kind != "random"
        ):  # the name of the model does not identify these weights
            distinction = f"-{sha256}".removeprefix(self.model[-9:])
        suffix = protocol_named(self.protocol).suffix
        suffixed = [array.recording.endswith(suffix) for array in self.arrays]
        suffix = "" if suffixed and all(suffixed) else suffix
        parts = (f"{self.model}{distinction}", self.layer, self.benchmark + suffix, self.label)
        return "--".join(re.sub(r"[^\w.@-]+", "-", part).strip("-") for part in parts if part)


def _format_score(estimate: Estimate) -> str:
    interval = "" if np.isnan(estimate.interval).any() else f" ({interval_text(*estimate.interval)})"
    raw, ceiling = number_text(estimate.raw), number_text(estimate.ceiling)
    return f"score {number_text(estimate.score)}{interval}, raw {raw}, ceiling {ceiling}"


def _html_of_controls(result: Result) -> str:
    """Return the HTML table of controls and of what the model adds, of several arrays for their mean."""
    if not result.controls:
        return ""
    over = f", mean over {len(result.arrays)} arrays" if len(result.arrays) > 1 else ""
    named = {**result.controls, **{f"model adds: {name}": added for name, added in result.added.items()}}
    rows = [
        (name, number_text(estimate.score), interval_text(*estimate.interval), number_text(estimate.raw))
        for name, estimate in named.items()
    ]
    best = f"best control: {escape(result.best_control)}<br>" if result.best_control else ""
    null = "" if result.null is None else f"p = {result.p_value:.2g} against maps of other images<br>"
    return html_table((f"control{over}", "score", "95 % interval", "raw"), rows) + best + null


def _row(estimate: Estimate, alignment: float, simulated: bool) -> dict[str, Any]:
    low, high = estimate.interval
    numbers = {"raw": estimate.raw, "ceiling": estimate.ceiling, "score": estimate.score, "low": low, "high": high}
    rest = {"error": estimate.error, "alignment": alignment, "simulated": simulated, "reason": estimate.reason}
    return numbers | rest


def _row_of_controls(scored: Estimated) -> dict[str, Any]:
    best = scored.controls.get(scored.best_control, Estimate())
    added = {name: scored.added.get(name, Estimate()) for name in ("unique", "given_controls", "without_typical_map")}
    unique = dict(zip(("unique_low", "unique_high"), added["unique"].interval, strict=True))
    return (
        {"best_control": scored.best_control, "control_raw": best.raw, "control_score": best.score}
        | {name: estimate.score for name, estimate in added.items()}
        | unique
        | {"p_value": scored.p_value}
    )
