"""A result: the request, the estimate, its parts, and notes for the reader."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.codec import INLINE, encode
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.cache import package_versions
from brainscore_itmaps.errors import UsageError, printable
from brainscore_itmaps.files import ANOTHER_FOLDER
from brainscore_itmaps.metrics.inference import Comparison, compare_images, interval_of_arrays
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.protocol import protocol_named

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "brainscore_itmaps result"
VERSION = 3
EXPLAINED = "raw squared, divided by the ceiling, as in Brain-Score's explained_variance"
MEAN = "mean"
"""In place of an array: over all arrays of a benchmark."""
PACKAGES = ("brainscore_itmaps", "brainscore_vision", "numpy", "pillow", "scipy", "timm", "torch", "torchvision")


UNDEFINED = (np.nan, np.nan)


@dataclass(frozen=True)
class Estimate:
    """A score with its uncertainty; an absent number is NaN, and ``reason`` explains why.

    Attributes
    ----------
    raw : float
        In the measure of the benchmark, not divided by a ceiling.
    ceiling : float
        Noise ceiling, in the same measure.
    score : float
        ``raw / ceiling``.
    interval : (float, float)
        95 % interval of ``score``.
    error : float
        Standard error of ``score``.
    explained : float
        ``raw**2 / ceiling``, the other normalisation that Brain-Score's benchmarks use.
    replicates : array, shape (image,), or None
        The score without each image in turn, of the same predictions; by them, stored results can be compared.
    reason : str
        Why the score or its interval is absent.
    """

    raw: float = np.nan
    ceiling: float = np.nan
    score: float = np.nan
    interval: tuple[float, float] = UNDEFINED
    error: float = np.nan
    explained: float = np.nan
    replicates: NDArray[np.float64] | None = field(default=None, repr=False)
    reason: str = ""


def estimate_score(
    arrays: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], images: Sequence[object], seed: int = 0
) -> Estimate:
    """Estimate the mean over arrays of (mean over images / mean over images of the ceiling).

    Parameters
    ----------
    arrays : sequence of (array, array), each of shape (image,)
        Values of the images and their ceilings, of each array.
    images : sequence
        What names the images of each array: arrays that were shown the same ones are drawn the same ones.
    seed : int
        Of the bootstrap over images.

    Raises
    ------
    ArrayError
        With fewer than 2 images.
    """
    interval = interval_of_arrays(arrays, images, np.random.default_rng(seed))
    raws, ceilings = ([float(each[side].mean()) for each in arrays] for side in (0, 1))
    scores = [raw / ceiling for raw, ceiling in zip(raws, ceilings, strict=True)]
    without: list[NDArray[np.float64]] = []
    for shown in dict.fromkeys(images):
        own = [
            (values.sum() - values) / (bound.sum() - bound) if name == shown else score
            for (values, bound), name, score in zip(arrays, images, scores, strict=True)
        ]
        without.append(np.mean(np.broadcast_arrays(*own), axis=0))
    explained = [raw**2 / ceiling for raw, ceiling in zip(raws, ceilings, strict=True)]
    return Estimate(
        raw=float(np.mean(raws)),
        ceiling=float(np.mean(ceilings)),
        score=float(np.mean(scores)),
        interval=interval[:2],
        error=interval.error,
        explained=float(np.mean(explained)),
        replicates=np.concatenate(without),
    )


@dataclass(frozen=True)
class LayerResult:
    """The score of one layer on one array, over all images.

    Attributes
    ----------
    layer : str
    raw : float
        In the measure of the benchmark, not divided by a ceiling; where that is attribution, predictivity.
    alignment : float
        Mean over images of Spearman rho between predicted and recorded map, averaged over sites.
    image_r : tuple of float
        Median over sites of Pearson r, of each image.
    chosen : int
        For how many images this layer was read.
    """

    layer: str
    raw: float
    alignment: float
    image_r: tuple[float, ...]
    chosen: int


@dataclass(frozen=True)
class Saliency:
    """Attribution maps of the predicted response, and their controls.

    Attributes
    ----------
    maps : array, shape (image, y, x)
        Size of the attribution, averaged around each position.
    rho : array, shape (image,)
        Spearman rho with the recorded map averaged over sites.
    centre_rho : array, shape (image,)
        The same of nearness to the image's centre, whatever the image.
    random_rho : array, shape (image,)
        The same of the model with random weights.
    method : str
        Of attribution.
    """

    maps: NDArray[np.float64] = field(metadata={"array": "saliency"})
    rho: NDArray[np.float64]
    centre_rho: NDArray[np.float64]
    random_rho: NDArray[np.float64]
    method: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Layer and model that were read, and how the images were shown.

    Attributes
    ----------
    model : str
        Name of the model that was loaded.
    weights : Weights
    imagenet_top1, imagenet_top1_source : float, str or None
        ImageNet accuracy of these weights in percent and who measured it, where it is known.
    layer : str
        The layer; of several, how it was chosen.
    field_of_view : str
        What of each image the model saw.
    device : str
        Where it was computed.
    """

    model: str
    weights: Weights
    imagenet_top1: float | None = None
    imagenet_top1_source: str | None = None
    layer: str = ""
    field_of_view: str = ""
    device: str = "cpu"


@dataclass(frozen=True, repr=False)
class ArrayResult:
    """The score of one array, with its recorded and predicted maps.

    Attributes
    ----------
    recording, recording_sha256, citation : str
        Of the array.
    simulated : bool
        True when no animal was recorded.
    window : (int, int)
        Milliseconds after stimulus onset.
    estimate : Estimate
        Its numbers are attributes of the array too: ``raw``, ``ceiling``, ``score``, ``interval``, ``error``,
        ``explained``.
    alignment : float
        Mean over images of ``map_rho``.
    ceiling_kind : str
        How the ceiling was taken.
    layers : tuple of LayerResult
        Every layer that was tried.
    layer_of_image : tuple of str
        Which of them predicted each image.
    image_r, map_rho, map_rho_coarse : array, shape (image,)
        Median site correlation, and Spearman rho of the two maps averaged over sites, at the full grid and over tiles
        of about 4 x 4 positions.
    image_value, image_ceiling : array, shape (image,)
        Of each image in the measure of the benchmark: what ``raw`` and ``ceiling`` are the means of.
    site_r : array, shape (image, site)
        Pearson correlation over positions; NaN where a map is constant.
    site_ceiling : array, shape (image, site)
        Its ceiling; where the measure compares maps averaged over sites, or the ceiling is the published one, that of
        the image at every site.
    components : array, shape (image,)
        PLS components used when that image was left out.
    predicted, neural : array, shape (image, y, x, site)
        The maps, spikes per second; predicted without the intercept by the published protocol.
    degrees_y, degrees_x : array, shape (y,) and (x,)
        Positions of the maps, degrees of visual angle below and to the right of the image's centre.
    images, sites : tuple of str
        Names of the images and of the sites.
    saliency : Saliency or None
        Where attribution was asked for.
    extent : float or None
        Side of the images in degrees; None in results that were written before it was kept.
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
    extent: float | None = None

    raw = property(attrgetter("estimate.raw"))
    ceiling = property(attrgetter("estimate.ceiling"))
    score = property(attrgetter("estimate.score"))
    interval = property(attrgetter("estimate.interval"))
    error = property(attrgetter("estimate.error"))
    explained = property(attrgetter("estimate.explained"))

    def __post_init__(self) -> None:
        shape = tuple(len(each) for each in (self.images, self.degrees_y, self.degrees_x, self.sites))
        if self.neural.size and not self.neural.shape == self.predicted.shape == shape:
            raise ValueError("its maps are not those of its images, positions and sites")

    def __repr__(self) -> str:
        return f"<ArrayResult {printable(self.recording)}: {_numbers(self.estimate)}>"

    @property
    def undefined_sites(self) -> int:
        """Count site correlations or ceilings that are undefined because a map is constant, over all images."""
        return int((np.isnan(self.site_r) | np.isnan(self.site_ceiling)).sum())

    @property
    def layer(self) -> str:
        """Return the layer that was read; of several, the chosen ones, the most frequent first."""
        ranked = sorted({*self.layer_of_image}, key=lambda layer: -self.layer_of_image.count(layer))
        if len(ranked) == 1:
            return ranked[0]
        return ", ".join(f"{layer} ({self.layer_of_image.count(layer)})" for layer in ranked)


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """The score of a model on a benchmark.

    Attributes
    ----------
    request : ScoreRequest
        What was asked for; :func:`~brainscore_itmaps.bridge.reproduce.reproduce` asks for it again.
    reading : Reading
        What was read. Its fields are attributes of the result too: ``model``, ``weights``, ``layer``, ...
    benchmark, benchmark_version : str, int
        What it was scored on.
    kind : "maps", "human" or "external"
        Kind of the benchmark: maps of recordings, human alignment, or one of Brain-Score's own.
    measure : str
        What was compared: see :class:`~brainscore_itmaps.benchmark.catalogue.BenchmarkSpec`.
    estimate : Estimate
        Means over the arrays; arrays that were shown the same images are drawn the same ones. Its numbers are
        attributes of the result too: ``raw``, ``ceiling``, ``score``, ``interval``, ``error``, ``explained``.
    alignment : float
        Mean over the arrays; NaN where the benchmark has no maps.
    formula : str
        What ``score`` is, in words.
    notes : tuple of str
        What a reader should know of these numbers.
    arrays : tuple of ArrayResult
        Each array of a benchmark of maps.
    image_value : array, shape (image,), or None
        Value of each image, of a benchmark without maps that has images.
    details : dict
        Further numbers and words of other benchmarks, by name.
    citations : tuple of str
        What to cite.
    versions : dict
        Of the packages that made the numbers.
    written : str
        When it was made (UTC). All else repeats exactly.
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
    details: dict[str, Any] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    versions: dict[str, str] = field(
        default_factory=lambda: {"python": platform.python_version()} | package_versions(PACKAGES)
    )
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    raw = property(attrgetter("estimate.raw"))
    ceiling = property(attrgetter("estimate.ceiling"))
    score = property(attrgetter("estimate.score"))
    interval = property(attrgetter("estimate.interval"))
    error = property(attrgetter("estimate.error"))
    explained = property(attrgetter("estimate.explained"))
    model = property(attrgetter("reading.model"))
    weights = property(attrgetter("reading.weights"))
    weights_sha256 = property(attrgetter("reading.weights.sha256"))
    imagenet_top1 = property(attrgetter("reading.imagenet_top1"))
    imagenet_top1_source = property(attrgetter("reading.imagenet_top1_source"))
    layer = property(attrgetter("reading.layer"))
    field_of_view = property(attrgetter("reading.field_of_view"))
    device = property(attrgetter("reading.device"))
    protocol = property(attrgetter("request.protocol"))

    def __repr__(self) -> str:
        simulated = ", SIMULATED" if self.simulated else ""
        arrays = f"{len(self.arrays)} arrays{simulated}"
        return printable(f"<Result {self.model} on {self.benchmark}: {_numbers(self.estimate)}, {arrays}>")

    @property
    def label(self) -> str:
        """Return the window or attribution that distinguishes results of the same model and benchmark."""
        asked = self.request.attribution if self.measure in ("attribution", "human alignment") else "gradient"
        told = (self.request.method, self.request.window_label, asked if asked != "gradient" else "")
        return "-".join(filter(None, told))

    @property
    def simulated(self) -> bool:
        """Return whether any of the arrays is simulated."""
        return any(array.simulated for array in self.arrays) or "simulated" in self.benchmark

    @property
    def undefined_sites(self) -> int:
        """Count site correlations or ceilings that are undefined because a map is constant."""
        return sum(array.undefined_sites for array in self.arrays)

    def _repr_html_(self) -> str:
        """Return the HTML that a notebook shows."""
        kind = "<b>SIMULATED recording, no animal was recorded</b><br>" if self.simulated else ""
        head = "".join(f"<th>{name}</th>" for name in ("array", "layer", "raw", "ceiling", "score", "95 % interval"))
        rows = "".join(
            f"<tr><td>{escape(array.recording)}</td><td>{escape(array.layer)}</td><td>{array.raw:.3f}</td>"
            f"<td>{array.ceiling:.3f}</td><td>{array.score:.3f}</td>"
            f"<td>{array.interval[0]:.3f} to {array.interval[1]:.3f}</td></tr>"
            for array in self.arrays
        )
        return (
            f"<div>{escape(self.model)} ({escape(str(self.weights))}) on {escape(self.benchmark)}: "
            f"<b>{self.score:.3f}</b>, 95 % interval {self.interval[0]:.3f} to {self.interval[1]:.3f}<br>{kind}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays over sites and positions, as plain values for JSON."""
        plain = encode(self).plain
        for one, array in zip(plain["arrays"], self.arrays, strict=True):
            one["undefined_sites"] = array.undefined_sites
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
        """Return tidy rows: one per array, one for the mean of several, one for a benchmark without arrays."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of :meth:`to_dataframe` as plain values."""
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
            "asked": self.label,
            "protocol": self.protocol,
        }
        rows = [
            {"array": array.recording, "window": f"{array.window[0]}-{array.window[1]}", "layer": array.layer}
            | _row(array.estimate, array.alignment, array.simulated)
            for array in self.arrays
        ]
        if len(rows) != 1:
            name = MEAN if rows else self.benchmark
            own = {"array": name, "window": "", "layer": self.layer}
            rows.append(own | _row(self.estimate, self.alignment, self.simulated))
        return [shared | row for row in rows]

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> tuple[Path, ...]:
        """Save a result as ``<model>--<layer>--<benchmark>.json``; maps as ``.csv`` and ``.npz``, too.

        A label, where there is one, is one more part of the name. The JSON holds all but the large arrays, which are in
        the NPZ; the CSV holds one row a recorded map. An older result of the same name is replaced in one step: at any
        moment, :meth:`load` finds the older or the new one, whole.

        Returns
        -------
        the paths
        """
        from brainscore_itmaps.benchmark.saved import save_result

        return save_result(self, Path(folder), fix)

    @classmethod
    def load(cls, file: Path | str) -> "Result":
        """Load a result that :meth:`save` wrote, from its JSON file and the NPZ beside it; also of earlier versions.

        Raises
        ------
        DataError
            When one is missing, damaged, of an unknown version, or not the one that was written with the other.
        """
        from brainscore_itmaps.benchmark.saved import load_result

        return load_result(Path(file))

    @property
    def file_stem(self) -> str:
        """Return the name of the result's files, without the ending."""
        weights, sha256 = self.weights, (self.weights_sha256 or "")[:8]
        told = f"-{weights}" if weights.kind == "random" else ""
        if weights.kind == "file" or (
            self.kind == "human" and weights.kind != "random"
        ):  # the name says nothing of them
            told = f"-{sha256}".removeprefix(self.model[-9:])
        suffix = protocol_named(self.protocol).suffix
        identified = [array.recording.endswith(suffix) for array in self.arrays]
        suffix = "" if identified and all(identified) else suffix
        parts = (f"{self.model}{told}", self.layer, self.benchmark + suffix, self.label)
        return "--".join(re.sub(r"[^\w.-]+", "-", part).strip("-") for part in parts if part)


def image_shares(result: Result) -> NDArray[np.float64]:
    """Compute the contribution of each image to a score: the mean over images is the score.

    Arrays that were shown the same images add up image by image; others follow one another.

    Returns
    -------
    array, shape (image,)
    """
    sums: dict[tuple[str, ...], NDArray[np.float64]] = {}
    for array in result.arrays:
        share = array.image_value / array.ceiling / len(result.arrays)
        sums[array.images] = sums.get(array.images, 0) + share
    total = sum(map(len, sums.values()))
    return np.concatenate([share * total / len(share) for share in sums.values()])


def compare_results(a: Result, b: Result, *, rng: int | np.random.Generator = 0, resamples: int = 20_000) -> Comparison:
    """Test whether two results on the same images differ by more than chance over images.

    Parameters
    ----------
    a, b : Result
        Of one benchmark of maps, on the same recordings.
    rng : int or numpy Generator
        Of permutations and bootstrap.
    resamples : int
        Permutations, and draws of the interval.

    Returns
    -------
    Comparison
        ``difference`` (a minus b), its ``interval`` over images, and the two-sided ``p_value`` of a permutation test in
        which each image's two values are swapped at random.

    Raises
    ------
    UsageError
        When they are not results of maps of the same recordings.
    """
    for each in (a, b):
        if not isinstance(each, Result) or not each.arrays:
            raise UsageError(f"{each!r} holds no maps to compare.", "Give two results of a benchmark of maps.")
    if _alike(a) != _alike(b):
        raise UsageError(
            f"{a.benchmark} ({a.measure}) and {b.benchmark} ({b.measure}) were not scored alike on the same maps.",
            "Compare results of one benchmark and protocol, on the same recordings and windows.",
        )
    return compare_images(image_shares(a), image_shares(b), np.random.default_rng(rng), resamples)


def _alike(result: Result) -> tuple[Any, ...]:
    """List what two results must share to be compared."""
    maps = [(array.recording, array.recording_sha256, array.window, array.images) for array in result.arrays]
    return result.benchmark, result.measure, result.protocol, result.request.method, maps


def _numbers(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"score {estimate.score:.3f} ({low:.3f} to {high:.3f})"


def _row(estimate: Estimate, alignment: float, simulated: bool) -> dict[str, Any]:
    low, high = estimate.interval
    numbers = {"raw": estimate.raw, "ceiling": estimate.ceiling, "score": estimate.score, "low": low, "high": high}
    return numbers | {"error": estimate.error, "alignment": alignment, "simulated": simulated}
