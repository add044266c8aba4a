"""The benchmark for Brain-Score's leaderboard: the score of any model from assemblies, and nothing else.

It computes what :class:`~brainscore_itmaps.bridge.benchmark.ItMapsBenchmark` computes, to rounding, without its
cache, controls, choice of layers and other views. ``brainscore contribute export`` writes this module, with what it
reaches, into a clone of Brain-Score.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.estimate import Estimate, estimate_array, mean_ceiling, mean_estimate
from brainscore_itmaps.bridge.assembly import values_by_position
from brainscore_itmaps.bridge.candidate import (
    record_layers,
    stretch_to_squares,
    with_noise,
)
from brainscore_itmaps.data.arrays import mean_over_repeats
from brainscore_itmaps.features.grid import sampled
from brainscore_itmaps.features.places import layout_for, verified_reading
from brainscore_itmaps.features.record import check_finite
from brainscore_itmaps.metrics.ceiling import (
    Ceiling,
    ceiling_of_halves,
    ceiling_of_repeats,
    halves_of_sites,
    split_half_ceiling,
)
from brainscore_itmaps.metrics.folds import GROUPS, fit_left_out, groups_left_out, refitted
from brainscore_itmaps.metrics.predictivity import over_defined_sites, site_correlation
from brainscore_itmaps.models.layers import spatial_maps
from brainscore_itmaps.text import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class ArrayMaps:
    """The maps of an array, arranged by image and position.

    Attributes
    ----------
    identifier : str
    repeats : array, shape (image, repeat, y, x, site)
        NaN where an image, or a site on it, has fewer repeats than others.
    images : tuple of str
        Stimulus ids, in the order of the maps.
    y, x : array, shape (y,) and (x,)
        Positions as shares of the image's height and width, from 0 to 1.
    window : (int, int)
        Milliseconds after stimulus onset.
    stimuli : StimulusSet
    sites : tuple of str
    """

    identifier: str
    repeats: NDArray[np.float64]
    images: tuple[str, ...]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    window: tuple[int, int]
    stimuli: StimulusSet
    sites: tuple[str, ...]

    @cached_property
    def maps(self) -> NDArray[np.float64]:
        """Return the mean over repeats, shape (image, y, x, site)."""
        return mean_over_repeats(self.repeats) if self.repeats.shape[1] > 1 else self.repeats[:, 0]

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Return a hash of the file of each image."""
        paths = [Path(self.stimuli.stimulus_paths[image]) for image in self.images]
        return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def maps_of(data: NeuroidAssembly) -> ArrayMaps:
    """Arrange an assembly by image and position; presentations may be in any order.

    Parameters
    ----------
    data : NeuroidAssembly
        With ``stimulus_id``, ``row``, ``col``, ``y_deg`` and ``x_deg`` of each presentation, ``repetition`` if there
        are repeats, one time bin, ``degrees`` of the images and the stimulus set in ``attrs``.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.benchmark import get_assembly
    >>> array = maps_of(get_assembly("it_maps_simulated"))
    >>> array.maps.shape, array.y[0], array.window
    ((14, 17, 17, 32), 0.0, (100, 250))
    """
    stimuli = data.attrs["stimulus_set"]
    images = list(stimuli["stimulus_id"])
    repeats, y, x = values_by_position(data, images)
    height, width = np.broadcast_to(np.asarray(data.attrs["degrees"], dtype=float), 2)
    return ArrayMaps(
        identifier=str(data.attrs["identifier"]),
        repeats=repeats.astype(np.float64, copy=False),
        images=tuple(images),
        y=y / height + 0.5,
        x=x / width + 0.5,
        window=(int(data["time_bin_start"].values[0]), int(data["time_bin_end"].values[0])),
        stimuli=stimuli,
        sites=tuple(str(site) for site in data["neuroid_id"].values),
    )


def ceiling_from_repeats(array: ArrayMaps) -> Ceiling:
    """Compute the noise ceiling of an array from its repeats.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.assembly import assembly
    >>> from brainscore_itmaps.data.load import load_recording
    >>> recorded = assembly(load_recording("it_maps_simulated"), repeats=True)
    >>> round(ceiling_from_repeats(maps_of(recorded)).value, 3)
    0.849
    """
    site_r = split_half_ceiling(array.repeats, np.random.default_rng(0))
    return ceiling_of_repeats(site_r, GROUPS)


def ceiling_from_sites(array: ArrayMaps) -> Ceiling:
    """Compute the noise ceiling of an array without repeats from the agreement of its sites.

    Examples
    --------
    >>> from brainscore_itmaps.bridge.benchmark import get_assembly
    >>> round(ceiling_from_sites(maps_of(get_assembly("it_maps_simulated"))).value, 1)
    0.9
    """
    return ceiling_of_halves(halves_of_sites(array.maps, groups=GROUPS, rng=0), GROUPS)


class LeaderboardBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Prediction of the maps of one or several arrays from the IT layer of any Brain-Score model.

    Every image is shown once and fills the model's field of view. The layer's units are sampled at the recorded
    positions. For each site, a PLS regression with 25 components predicts the map of an image from all other images.
    Pearson's r over positions, its median over sites and its mean over images are divided by the noise ceiling of the
    array; the score is the mean over arrays.

    Parameters
    ----------
    identifier : str
    arrays : sequence of callable
        Each loads the assembly of an array.
    ceiling_of : callable
        Takes an :class:`ArrayMaps` and returns its noise ceiling.
    version : int
    bibtex : str
        One BibTeX entry with an address.
    parent : str
        What Brain-Score lists the benchmark under.
    """

    def __init__(
        self,
        identifier: str,
        arrays: Sequence[Callable[[], NeuroidAssembly]],
        ceiling_of: Callable[[ArrayMaps], Ceiling],
        version: int,
        bibtex: str,
        parent: str = "IT",
    ) -> None:
        super().__init__(identifier, lambda: self.ceiling, version, parent, bibtex)
        self.load_arrays, self.ceiling_of = tuple(arrays), ceiling_of
        self.region = "IT"

    @cached_property
    def assemblies(self) -> list[NeuroidAssembly]:
        """Load the assembly of each array on first use."""
        return [load() for load in self.load_arrays]

    @cached_property
    def arrays(self) -> list[ArrayMaps]:
        """Arrange the maps of each array."""
        return [maps_of(data) for data in self.assemblies]

    @property
    def _assembly(self) -> NeuroidAssembly:
        """Return the assembly of the first array, for Brain-Score's tools that describe a benchmark."""
        return self.assemblies[0]

    @property
    def timebins(self) -> list[tuple[int, int]]:
        """Return the window of each array, in milliseconds."""
        return [array.window for array in self.arrays]

    @cached_property
    def ceilings(self) -> list[Ceiling]:
        """Compute the noise ceiling of each array."""
        return [self.ceiling_of(array) for array in self.arrays]

    @cached_property
    def ceiling(self) -> Score:
        """Average the noise ceilings of the arrays; Brain-Score's cache on disk ignores changes of the data."""
        mean = mean_ceiling(self.ceilings, [array.files for array in self.arrays])
        score = Score(mean.score)
        of_sites = [
            ceiling.of_sites(len(array.sites)) for array, ceiling in zip(self.arrays, self.ceilings, strict=True)
        ]
        score.attrs |= {"error": mean.error, "error_over": ["image"], "raw": values_of_sites(self.arrays, of_sites)}
        return score

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model.

        Returns
        -------
        Score
            At most 1; ``uncut`` is the same score where it is above 1 by chance. ``raw``, ``ceiling``, ``error`` and
            ``interval`` are those of the uncut score; ``per_array`` has a score for each array.

        Raises
        ------
        ModelError
            When the model's IT layer gives no usable map.
        """
        fields: dict[Any, NDArray[np.float64]] = {}
        estimates, of_sites = [], []
        for array, ceiling in zip(self.arrays, self.ceilings, strict=True):
            shown = (array.files, array.y.tobytes(), array.x.tobytes(), array.window)
            if shown not in fields:
                fields[shown] = read_field(candidate, array)
            estimate, site_r = score_array(fields[shown], array.maps, ceiling)
            estimates.append(estimate)
            of_sites.append(site_r)
        mean = mean_estimate(estimates, [array.files for array in self.arrays])
        score, raw = Score(min(mean.score, 1.0)), Score(mean.raw)
        raw.attrs["raw"] = values_of_sites(self.arrays, of_sites)
        score.attrs |= {
            "raw": raw,
            "ceiling": self.ceiling,
            "error": mean.error,
            "error_over": ["image"],
            "interval": mean.interval,
            "uncut": mean.score,
            "reason": mean.reason,
            "per_array": {array.identifier: each.score for array, each in zip(self.arrays, estimates, strict=True)},
        }
        return score


def read_field(candidate: BrainModel, array: ArrayMaps) -> NDArray[np.float64]:
    """Record the layer that a model commits to IT, sampled at the positions of an array's maps.

    If the model commits several layers to IT, their channels stand side by side.

    Returns
    -------
    array, shape (image, y, x, channel)

    Raises
    ------
    ModelError
        When a layer gives no map, or values that are not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        stimuli = StimulusSet([{"stimulus_id": name, "image_id": name} for name in array.images])
        stimuli.stimulus_paths = {name: array.stimuli.stimulus_paths[name] for name in array.images}
        stimuli.identifier = None  # Brain-Score caches activations by names only, whatever the weights
        stretch_to_squares(stimuli, Path(folder))
        stimuli, names = with_noise(stimuli, array.images, Path(folder))
        activations = record_layers(candidate, stimuli, names, array.window, [])
    fields = []
    for layer, activation in activations.items():
        shown, noise = activation[: len(array.images)], activation[len(array.images) :]
        check_finite(shown, layer, array.images)
        layout = layout_for(getattr(candidate, "spatial_layout", None), layer)
        if layout is None:
            layout = verified_reading(str(candidate.identifier), layer, noise).layout
        fields.append(sampled(spatial_maps(shown, layer, layout=layout), array.y, array.x))
    return np.concatenate(fields, axis=-1)


def score_array(
    field: NDArray[np.float64], maps: NDArray[np.float64], ceiling: Ceiling
) -> tuple[Estimate, NDArray[np.float64]]:
    """Predict the maps of each image from the other images, and divide their correlation by the noise ceiling.

    Parameters
    ----------
    field : array, shape (image, y, x, channel)
    maps : array, shape (image, y, x, site)
    ceiling : Ceiling

    Returns
    -------
    Estimate
    array, shape (image, site)
        Pearson's r over positions.
    """
    left_out, pairs = fit_left_out(field, maps, "pls", GROUPS)
    site_r = site_correlation(left_out.predicted, maps)
    refits = None
    if pairs is not None:
        refits = refitted(pairs, maps, lambda *pair: over_defined_sites(site_correlation(*pair)))
    groups = groups_left_out(len(maps), GROUPS)
    return estimate_array(over_defined_sites(site_r), ceiling, refits, groups), site_r


def values_of_sites(arrays: Sequence[ArrayMaps], values: Sequence[NDArray[np.float64]]) -> Score:
    """Collect the values of all sites of several arrays, shape (image, neuroid); NaN where an image was not shown."""
    images = list(dict.fromkeys(image for array in arrays for image in array.images))
    blocks = []
    for array, block in zip(arrays, values, strict=True):
        filled = np.full((len(images), len(array.sites)), np.nan)
        filled[[images.index(image) for image in array.images]] = block
        blocks.append(filled)
    coords = {
        "image_id": ("image", images),
        "neuroid_id": ("neuroid", [site for array in arrays for site in array.sites]),
        "recording": ("neuroid", [array.identifier for array in arrays for _ in array.sites]),
    }
    return Score(np.concatenate(blocks, axis=1), coords=coords, dims=["image", "neuroid"])
