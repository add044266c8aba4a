"""What came out: every number, what it was made from, and how."""

import csv
import json
import platform
import re
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.store import package_versions
from brainscore_itmaps.errors import DataError, one_line
from brainscore_itmaps.files import ANOTHER_FOLDER, replacing, sha256

FORMAT = "brainscore_itmaps result"
VERSION = 2
EXPLAINED = "raw squared, divided by the ceiling, as in Brain-Score's explained_variance"
NAMES = ("images", "interval", "layer_of_image", "sites", "window")  # kept in both files; tuples, not arrays
PACKAGES = (
    "brainscore_itmaps",
    "brainscore_vision",
    "numpy",
    "pillow",
    "scipy",
    "timm",
    "torch",
    "torchvision",
)


class LayerValue(NamedTuple):
    """How one layer does on an array, all images.

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


class Saliency(NamedTuple):
    """Where in each picture the predicted response comes from, and its controls.

    Attributes
    ----------
    maps : array, shape (image, y, x)
        Size of the attribution, averaged around each position.
    rho : array, shape (image,)
        Spearman rho with the recorded map averaged over sites.
    centre_rho : array, shape (image,)
        The same of nearness to the picture's centre, whatever the picture.
    random_rho : array, shape (image,)
        The same of the network with random weights.
    method : str
        Of attribution.
    """

    maps: NDArray[np.float64]
    rho: NDArray[np.float64]
    centre_rho: NDArray[np.float64]
    random_rho: NDArray[np.float64]
    method: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which layer of which network was read, and how the pictures were shown to it.

    Attributes
    ----------
    model, weights, weights_sha256 : str
        The network; ``weights`` says where they come from, or that they are random.
    imagenet_top1, imagenet_top1_source : float, str or None
        ImageNet accuracy of these weights in percent and who measured it, where it is known.
    layer : str
        The layer; of several, how it was chosen.
    field_of_view : str
        What of each picture the network saw.
    device : str
        Where it was computed.
    """

    model: str
    weights: str
    weights_sha256: str | None
    imagenet_top1: float | None
    imagenet_top1_source: str | None
    layer: str
    field_of_view: str
    device: str = "cpu"


@dataclass(frozen=True)
class ArrayResult:
    """How well the maps of one array are predicted.

    Attributes
    ----------
    recording, recording_sha256, citation : str
        Of the array.
    simulated : bool
        True when no animal was recorded.
    window : (int, int)
        Milliseconds after stimulus onset.
    score : float
        ``raw / ceiling``.
    interval : (float, float)
        95 % bootstrap interval of ``score`` over images.
    error : float
        Bootstrap standard error of ``score``.
    raw, ceiling : float
        Means over images, in the measure of the benchmark.
    explained : float
        ``raw**2 / ceiling``, the other normalisation that Brain-Score's benchmarks use.
    alignment : float
        Mean over images of ``map_rho``.
    ceiling_kind : str
        How the ceiling was taken.
    layers : tuple of LayerValue
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
        The maps, spikes per second; predicted without the intercept with ``reference_compat``.
    degrees_y, degrees_x : array, shape (y,) and (x,)
        Positions of the maps, degrees of visual angle below and to the right of the picture's centre.
    images, sites : tuple of str
        Names of the pictures and of the sites.
    saliency : Saliency or None
        Where attribution was asked for.
    extent : float or None
        Side of the pictures in degrees; None in results that were written before it was kept.
    """

    recording: str
    recording_sha256: str
    citation: str
    simulated: bool
    window: tuple[int, int]
    score: float
    interval: tuple[float, float]
    error: float
    raw: float
    ceiling: float
    explained: float
    alignment: float
    ceiling_kind: str
    layers: tuple[LayerValue, ...]
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

    @property
    def undefined_sites(self) -> int:
        """How many site correlations or their ceilings are undefined because a map is constant, over all images."""
        return int((np.isnan(self.site_r) | np.isnan(self.site_ceiling)).sum())

    @property
    def layer(self) -> str:
        """The layer that was read; of several, those that were chosen, the most frequent first."""
        ranked = sorted({*self.layer_of_image}, key=lambda layer: -self.layer_of_image.count(layer))
        if len(ranked) == 1:
            return ranked[0]
        return ", ".join(f"{layer} ({self.layer_of_image.count(layer)})" for layer in ranked)


@dataclass(frozen=True, kw_only=True)
class Result(Reading):
    """Score of a network on a benchmark of one or several arrays.

    Attributes
    ----------
    model, weights, weights_sha256, imagenet_top1, imagenet_top1_source, layer, field_of_view
        See :class:`Reading`.
    benchmark, benchmark_version : str, int
        What it was scored on.
    measure : str
        What was compared: see :class:`~brainscore_itmaps.benchmark.catalogue.BenchmarkSpec`.
    score, raw, ceiling, explained, alignment : float
        Means over the arrays.
    interval : (float, float)
        95 % bootstrap interval of ``score`` over images; arrays that were shown the same pictures are drawn the same.
    error : float
        Bootstrap standard error of ``score``.
    formula : str
        What ``score`` is, in words.
    notes : tuple of str
        What a reader should know of these numbers.
    arrays : tuple of ArrayResult
        Each array.
    reference_compat : bool
        True when the choices of the published code were made (docs/reference.md).
    bootstrap_seed : int
        Seed of the interval.
    label : str
        Ends the names of the files: the window or the kind of attribution that was asked for.
    versions : dict
        Of the packages that made the numbers.
    written : str
        When it was made (UTC). All else repeats exactly.
    """

    benchmark: str
    benchmark_version: int
    measure: str
    score: float
    interval: tuple[float, float]
    error: float
    raw: float
    ceiling: float
    explained: float
    alignment: float
    formula: str
    notes: tuple[str, ...]
    arrays: tuple[ArrayResult, ...]
    bootstrap_seed: int
    reference_compat: bool = False
    label: str = ""
    versions: dict[str, str] = field(
        default_factory=lambda: {"python": platform.python_version()} | package_versions(PACKAGES)
    )
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def simulated(self) -> bool:
        """True when no animal was recorded, for any of the arrays."""
        return any(array.simulated for array in self.arrays)

    @property
    def undefined_sites(self) -> int:
        """How many site correlations or their ceilings are undefined because a map is constant."""
        return sum(array.undefined_sites for array in self.arrays)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        kind = "<b>SIMULATED recording, no animal was recorded</b><br>" if self.simulated else ""
        head = "".join(f"<th>{name}</th>" for name in ("array", "layer", "raw", "ceiling", "score", "95 % interval"))
        rows = "".join(
            f"<tr><td>{escape(array.recording)}</td><td>{escape(array.layer)}</td><td>{array.raw:.3f}</td>"
            f"<td>{array.ceiling:.3f}</td><td>{array.score:.3f}</td>"
            f"<td>{array.interval[0]:.3f} to {array.interval[1]:.3f}</td></tr>"
            for array in self.arrays
        )
        return (
            f"<div>{escape(self.model)} ({escape(self.weights)}) on {escape(self.benchmark)}: <b>{self.score:.3f}</b>, "
            f"95 % interval {self.interval[0]:.3f} to {self.interval[1]:.3f}<br>{kind}"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays over sites and positions, ready for JSON."""
        own = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "arrays"}
        derived = {
            "simulated": self.simulated,
            "undefined_sites": self.undefined_sites,
            "explained_formula": EXPLAINED,
        }
        return (
            {"format": FORMAT, "version": VERSION}
            | own
            | derived
            | {"arrays": [_small(array) for array in self.arrays]}
        )

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> tuple[Path, Path, Path]:
        """Write ``<model>--<layer>--<benchmark>.json``, ``.csv`` and ``.npz``; each appears complete.

        A label, where there is one, is one more part of the name.

        The JSON holds all but the large arrays, which are in the NPZ; the CSV holds one row a recorded map.

        Returns
        -------
        the three paths
        """
        stem = Path(folder) / self.file_stem
        paths = tuple(stem.with_name(f"{stem.name}.{ending}") for ending in ("json", "csv", "npz"))
        with replacing(paths[2], fix) as beside:
            np.savez_compressed(beside, **self._arrays())
            arrays_sha256 = sha256(beside)
        with replacing(paths[1], fix) as beside, beside.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(self._rows())
        with replacing(paths[0], fix) as beside:
            told = self.to_dict() | {"npz_sha256": arrays_sha256}
            beside.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return paths  # type: ignore[return-value]

    @classmethod
    def load(cls, file: Path | str) -> "Result":
        """Read what :meth:`save` wrote, from its JSON file and the NPZ beside it.

        Raises
        ------
        DataError
            When one is missing, damaged, of another version, or not the one that was written with the other.
        """
        path = Path(file)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(told, dict) or told.get("format") != FORMAT or told.get("version") != VERSION:
                raise ValueError(f"it is no {FORMAT} of version {VERSION}")
            beside = path.with_suffix("").with_name(path.name.removesuffix(".json") + ".npz")
            if sha256(beside) != told["npz_sha256"]:
                raise ValueError(f"{beside.name} is not the file that was written with it")
            with np.load(beside, allow_pickle=False) as opened:
                stored = {name: opened[name] for name in opened}
            several = len(told["arrays"]) > 1
            arrays = tuple(_array_result(small, stored, several) for small in told["arrays"])
            own = {f.name: _tuples(told[f.name]) for f in fields(cls) if f.name != "arrays"}
            if not arrays or not all(isinstance(own[name], int | float) for name in ("score", "raw", "ceiling")):
                raise ValueError("it has no arrays, or its score is no number")
            return cls(**own, arrays=arrays)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, BadZipFile) as error:
            raise DataError(
                f"{path} cannot be read as a result: {one_line(error)}.", "Score again; the kept layers make it quick."
            ) from error

    @property
    def file_stem(self) -> str:
        """What its files are called, without ending."""
        weights = f"-{self.weights}" if self.weights.startswith("random") else ""
        if self.weights.startswith("file ") and self.weights_sha256 is not None:  # the name may say nothing of them
            weights = f"-{self.weights_sha256[:8]}".removeprefix(self.model[-9:])
        identified = [array.recording.endswith("-reference") for array in self.arrays]
        published = "-reference" if self.reference_compat and not all(identified) else ""
        parts = (f"{self.model}{weights}", self.layer, self.benchmark + published, self.label)
        return "--".join(re.sub(r"[^\w.-]+", "-", part).strip("-") for part in parts if part)

    def _arrays(self) -> dict[str, Any]:
        told = ("model", "weights", "layer", "benchmark", "simulated", "score")
        arrays: dict[str, Any] = {name: getattr(self, name) for name in told}
        for array in self.arrays:
            prefix = f"{array.recording}/" if len(self.arrays) > 1 else ""
            for f in fields(array):
                if f.name not in ("layers", "saliency") and np.ndim(getattr(array, f.name)) > 0:
                    arrays[prefix + f.name] = getattr(array, f.name)
            if array.saliency is not None:
                arrays[f"{prefix}saliency"] = array.saliency.maps
        return arrays

    def _rows(self) -> list[list[Any]]:
        names = ["model", "benchmark", "simulated", "array", "image", "site", "layer", "r", "ceiling"]
        rows: list[list[Any]] = [names]
        of_sites = self.measure == "predictivity"  # else the ceiling is of another number than r
        for array in self.arrays:
            for i, image in enumerate(array.images):
                for s, site in enumerate(array.sites):
                    values = (array.site_r[i, s], array.site_ceiling[i, s] if of_sites else np.nan)
                    shown = ["" if np.isnan(value) else repr(float(value)) for value in values]
                    where = (self.model, self.benchmark, array.simulated, array.recording, image, site)
                    rows.append([*where, array.layer_of_image[i], *shown])
        return rows


def _small(array: ArrayResult) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for f in fields(array):
        value = getattr(array, f.name)
        if f.name == "layers":
            told[f.name] = [{name: _plain(item) for name, item in layer._asdict().items()} for layer in value]
        elif f.name == "saliency":
            if value is not None:
                told[f.name] = {name: _plain(item) for name, item in value._asdict().items() if name != "maps"}
        elif np.ndim(value) < 2:
            told[f.name] = _plain(value)
    return told | {"undefined_sites": array.undefined_sites}


def _array_result(small: dict[str, Any], stored: dict[str, Any], several: bool) -> ArrayResult:
    prefix = f"{small['recording']}/" if several else ""
    values: dict[str, Any] = {}
    for f in fields(ArrayResult):
        if f.name == "layers":
            values[f.name] = tuple(LayerValue(**{k: _tuples(v) for k, v in layer.items()}) for layer in small["layers"])
        elif f.name == "saliency":
            if f.name in small:
                told = small[f.name]
                rhos = {name: np.array(told[name], np.float64) for name in ("rho", "centre_rho", "random_rho")}
                values[f.name] = Saliency(stored[f"{prefix}saliency"], **rhos, method=told["method"])
        elif prefix + f.name in stored and stored[prefix + f.name].ndim > 0 and f.name not in NAMES:
            values[f.name] = stored[prefix + f.name]
        elif f.name in small or f.default is MISSING:
            values[f.name] = _tuples(small[f.name])
    if (
        not values["neural"].shape
        == values["predicted"].shape
        == (*(len(values[name]) for name in ("images", "degrees_y", "degrees_x", "sites")),)
    ):
        raise ValueError("its maps are not those of its images, positions and sites")
    return ArrayResult(**values)


def _tuples(value: Any) -> Any:
    return tuple(np.nan if item is None else item for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Numbers as JSON knows them: lists for arrays, null for what is undefined."""
    if isinstance(value, np.ndarray | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
