"""What came out: every number, what it was made from, and how."""

import json
import platform
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.files import ANOTHER_FOLDER, replacing

FORMULA = "mean over images of (median over sites of Pearson r over positions), divided by the same of the ceiling"
PUBLISHED_FORMULA = (
    "mean over images of (median over sites of Pearson r over positions), divided by the published ceiling"
)
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


@dataclass(frozen=True)
class Reading:
    """Which layer of which network was read, and how the pictures were shown to it.

    Attributes
    ----------
    model, weights, weights_sha256 : str
        The network; ``weights`` says where they come from, or that they are random.
    imagenet_top1, imagenet_top1_source : float, str or None
        ImageNet accuracy of these weights in percent and who measured it, where it is known.
    layer : str
        The layer.
    field_of_view : str
        What of each picture the network saw.
    """

    model: str
    weights: str
    weights_sha256: str | None
    imagenet_top1: float | None
    imagenet_top1_source: str | None
    layer: str
    field_of_view: str


@dataclass(frozen=True)
class Result(Reading):
    """Score of one layer of one network on one recording.

    Attributes
    ----------
    model, weights, weights_sha256, imagenet_top1, imagenet_top1_source, layer, field_of_view
        See :class:`Reading`.
    benchmark, benchmark_version, recording, recording_sha256 : str, int
        What it was scored on.
    simulated : bool
        True when no animal was recorded.
    score : float
        Ceiled neural predictivity, see ``formula``.
    interval : (float, float)
        95 % bootstrap interval of ``score`` over images.
    error : float
        Bootstrap standard error of ``score``.
    raw, ceiling : float
        Numerator and denominator of ``score``.
    alignment : float
        Mean over images of ``map_rho``.
    image_r, image_ceiling, map_rho, map_rho_coarse : array, shape (image,)
        Median site correlation, ceiling, and Spearman correlation of the two maps averaged over sites, at the full grid
        and over tiles of about 4 x 4 positions.
    site_r, site_ceiling : array, shape (image, site)
        Pearson correlation over positions, and its ceiling (the published one is that of the image, at every site); NaN
        where a map is constant.
    components : array, shape (image,)
        PLS components used when that image was left out.
    predicted, neural : array, shape (image, y, x, site)
        The maps, spikes per second; predicted without the intercept with ``reference_compat``.
    degrees_y, degrees_x : array, shape (y,) and (x,)
        Positions of the maps, degrees of visual angle below and to the right of the picture's centre.
    images, sites : tuple of str
        Names of the pictures and of the sites.
    window : (int, int)
        Milliseconds after stimulus onset.
    ceiling_kind, formula, citation : str
        How to read the numbers, and what to cite.
    reference_compat : bool
        True when the choices of the published code were made from the features on (docs/reference.md).
    bootstrap_seed : int
        Seed of the interval.
    versions : dict
        Of the packages that made the numbers.
    written : str
        When it was made (UTC). All else repeats exactly.
    """

    benchmark: str
    benchmark_version: int
    recording: str
    recording_sha256: str
    simulated: bool
    score: float
    interval: tuple[float, float]
    error: float
    raw: float
    ceiling: float
    alignment: float
    image_r: NDArray[np.float64]
    image_ceiling: NDArray[np.float64]
    map_rho: NDArray[np.float64]
    map_rho_coarse: NDArray[np.float64]
    site_r: NDArray[np.float64]
    site_ceiling: NDArray[np.float64]
    components: NDArray[np.int64]
    predicted: NDArray[np.float64]
    neural: NDArray[np.float64]
    degrees_y: NDArray[np.float64]
    degrees_x: NDArray[np.float64]
    images: tuple[str, ...]
    sites: tuple[str, ...]
    window: tuple[int, int]
    ceiling_kind: str
    citation: str
    bootstrap_seed: int
    reference_compat: bool = False
    formula: str = FORMULA
    versions: dict[str, str] = field(default_factory=lambda: {"python": platform.python_version()} | _versions())
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def undefined_sites(self) -> int:
        """How many site correlations or their ceilings are undefined because a map is constant, over all images."""
        return int((np.isnan(self.site_r) | np.isnan(self.site_ceiling)).sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays over sites and positions, ready for JSON."""
        small = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if np.ndim(getattr(self, f.name)) < 2}
        return small | {"undefined_sites": self.undefined_sites}

    def save(self, folder: Path | str, fix: str = ANOTHER_FOLDER) -> tuple[Path, Path]:
        """Write ``<model>--<layer>--<recording>.json``, the ``.npz`` of all arrays beside it; each appears complete.

        Returns
        -------
        the two paths
        """
        weights = f"-{self.weights}" if self.weights.startswith("random") else ""
        published = "-reference" if self.reference_compat and not self.recording.endswith("-reference") else ""
        parts = (f"{self.model}{weights}", self.layer, self.recording + published)
        stem = "--".join(re.sub(r"[^\w.-]+", "-", part).strip("-") for part in parts)
        folder = Path(folder)
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if np.ndim(getattr(self, f.name)) > 0}
        told = ("model", "weights", "layer", "benchmark", "recording", "simulated", "score")
        with replacing(folder / f"{stem}.npz", fix) as beside:
            np.savez_compressed(beside, **arrays, **{name: getattr(self, name) for name in told})
        with replacing(folder / f"{stem}.json", fix) as beside:
            beside.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return folder / f"{stem}.json", folder / f"{stem}.npz"


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _plain(value: Any) -> Any:
    """Numbers as JSON knows them: lists for arrays, null for what is undefined."""
    if isinstance(value, np.ndarray | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
