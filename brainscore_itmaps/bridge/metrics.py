"""The metrics of this package for Brain-Score: each compares two assemblies and returns a score.

They accept any spatial data: one presentation for every position of every image, in any order, with the coordinates
``image_id``, ``row`` and ``col``. Images whose files have equal pixels are left out together, if
``attrs["stimulus_set"]`` has the files under these names.

Examples
--------
Six images of 5 x 4 positions, 3 sites and 8 channels of a model:

>>> import numpy as np
>>> from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
>>> rng = np.random.default_rng(0)
>>> image, row, col = (index.ravel() for index in np.indices((6, 5, 4)))
>>> def assembly(values):
...     presentation = {"image_id": image, "row": row, "col": col}
...     neuroid = {"neuroid_id": np.arange(values.shape[1]), "region": ["IT"] * values.shape[1]}
...     coords = {name: ("presentation", levels) for name, levels in presentation.items()}
...     coords |= {name: ("neuroid", levels) for name, levels in neuroid.items()}
...     return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"])
>>> features = rng.normal(size=(120, 8))
>>> source = assembly(features)
>>> target = assembly(features @ rng.normal(size=(8, 3)) + 2 * rng.normal(size=(120, 3)))

>>> score = get_metric("itmaps_pls")(source, target)
>>> round(float(score), 1)
0.9
>>> score.attrs["raw"].dims  # Pearson r over positions
('image', 'neuroid')
>>> round(float(get_metric("itmaps_ridge")(source, target)), 1)
0.9
>>> float(get_metric("itmaps_alignment")(source, target)) > 0.7  # Spearman rho of the maps averaged over sites
True
>>> float(get_metric("itmaps_site_ceiling")(target)) < float(score)  # three sites predict each other poorly
True
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from brainscore_core.metrics import Metric, Score
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.folds import ImageFolds, number_identical
from brainscore_itmaps.data.images import find_duplicates
from brainscore_itmaps.errors import ArrayError, UsageError, nearest
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.metrics.ceiling import ceiling_of_halves, halves_of_sites
from brainscore_itmaps.metrics.folds import GROUPS, fit_left_out, groups_left_out, refitted, score_folds
from brainscore_itmaps.metrics.inference import changes_of_groups, jackknife_interval, mean_without
from brainscore_itmaps.metrics.predictivity import over_defined_sites, over_images, site_correlation

COORDINATES = ("image_id", "row", "col")


def get_metric(identifier: str, *args: Any, **options: Any) -> Metric:
    """Return a metric of this package for Brain-Score; arguments and options are those of its class.

    Raises
    ------
    UsageError
        When no metric has this name.

    Examples
    --------
    >>> get_metric("itmaps_pls", reducer="mean").reducer
    'mean'
    """
    if identifier not in METRICS:
        raise UsageError(f"There is no metric named {identifier!r}.", nearest(identifier, METRICS))
    return METRICS[identifier](*args, **options)


class LeftOutPredictivity(Metric):  # type: ignore[misc]
    """Neural predictivity of left-out images, see :func:`~brainscore_itmaps.predict_left_out`.

    Parameters
    ----------
    method : str
        Name of the regression; its ``options`` follow by name.
    reducer : "median" or "mean"
        How Pearson r is averaged over sites.
    seed : int
        Seed of random halves, for a noise ceiling.
    """

    def __init__(self, method: str = "pls", reducer: str = "median", seed: int = 0, **options: Any) -> None:
        self.method, self.reducer, self.seed, self.options = method, reducer, seed, options

    def __call__(self, source: DataAssembly, target: DataAssembly) -> Score:
        """Predict the target from the source.

        Returns
        -------
        Score
            Mean over images; ``raw`` holds Pearson r (image, neuroid), ``per_image`` its median (or mean) over sites,
            ``per_site`` its mean over images, ``undefined`` the number of undefined values, ``error`` the standard
            error over images, from regressions fitted again without each of 7 groups of images, ``components`` the
            number of components for each image, ``folds`` the images that were left out at a time.

        Raises
        ------
        ArrayError
            When the assemblies do not have exactly one presentation for every position of the same images.
        """
        field, maps, images = _fields(source, target)
        numbers = _numbers_of_images(target, images)
        left_out, pairs = fit_left_out(field, maps, self.method, images=numbers, **self.options)
        site_r = site_correlation(left_out.predicted, maps)
        image_r, refits = over_defined_sites(site_r, self.reducer), None
        if pairs is not None:
            refits = refitted(pairs, maps, lambda *pair: over_defined_sites(site_correlation(*pair), self.reducer))
        score = _score(image_r, refits, int(np.isnan(site_r).sum()), numbers)
        score.attrs |= _of_sites(site_r, images, target)
        score.attrs["per_image"] = _per_image(image_r, images)
        score.attrs["components"] = left_out.per_image(left_out.components)
        return score


class LeftOutRidge(LeftOutPredictivity):
    """Neural predictivity by ridge regression, with the penalty chosen inside the training images."""

    def __init__(self, method: str = "ridge_cv", **options: Any) -> None:
        super().__init__(method, **options)


class LeftOutAlignment(Metric):  # type: ignore[misc]
    """Feature alignment of left-out images: Spearman rho of predicted and recorded map, averaged over sites.

    Parameters
    ----------
    method : str
        Name of the regression; its ``options`` follow by name.
    scale : int
        Number of positions along each side of the tiles over which maps are averaged first.
    seed : int
        Not used; accepted like the other metrics do.
    """

    def __init__(self, method: str = "pls", scale: int = 1, seed: int = 0, **options: Any) -> None:
        self.method, self.scale, self.seed, self.options = method, scale, seed, options

    def __call__(self, source: DataAssembly, target: DataAssembly) -> Score:
        """Predict the target from the source, see :meth:`LeftOutPredictivity.__call__`; ``raw`` has shape (image,)."""
        field, maps, images = _fields(source, target)
        numbers = _numbers_of_images(target, images)
        left_out, pairs = fit_left_out(field, maps, self.method, images=numbers, **self.options)
        map_rho = feature_alignment(left_out.predicted, maps, scale=self.scale)
        site_rho = feature_alignment(left_out.predicted, maps, scale=self.scale, per_site=True)
        refits = None
        if pairs is not None:
            refits = refitted(pairs, maps, lambda *pair: feature_alignment(*pair, scale=self.scale))
        score = _score(map_rho, refits, int(np.isnan(map_rho).sum()), numbers)
        score.attrs["raw"] = score.attrs["per_image"] = _per_image(map_rho, images)
        score.attrs["per_site"] = Score(over_images(site_rho), coords=_neuroid_coords(target), dims=["neuroid"])
        return score


class SiteCeiling(LeftOutPredictivity):
    """Noise ceiling of sites without repeats, see :func:`~brainscore_itmaps.noise_ceiling`.

    Options are those of :class:`LeftOutPredictivity`, whose scores it bounds; ``seed`` draws the halves of the sites.
    """

    def __call__(self, source: DataAssembly, target: DataAssembly | None = None) -> Score:
        """Compute the noise ceiling of an assembly of recorded maps, which is the last argument.

        ``attrs["reason"]`` explains why a score should not be divided by it; it is empty if nothing speaks against it.
        """
        recorded = source if target is None else target
        maps, images, _ = field_of(recorded)
        numbers = _numbers_of_images(recorded, images)
        halves = halves_of_sites(maps, self.method, rng=self.seed, images=numbers, **self.options)
        ceiling = ceiling_of_halves(halves, self.options.get("groups") or GROUPS, self.reducer, numbers)
        score = Score(ceiling.value)
        score.attrs |= {"error": ceiling.interval.error, "error_over": ["image"], "interval": ceiling.interval[:2]}
        score.attrs |= {"reason": ceiling.reason, "undefined": int(np.isnan(ceiling.of_sites(maps.shape[-1])).sum())}
        score.attrs |= _of_sites(ceiling.of_sites(maps.shape[-1]), images, recorded)
        score.attrs["per_image"] = _per_image(ceiling.image_r, images)
        return score


METRICS: dict[str, type[Metric]] = {
    "itmaps_pls": LeftOutPredictivity,
    "itmaps_ridge": LeftOutRidge,
    "itmaps_alignment": LeftOutAlignment,
    "itmaps_site_ceiling": SiteCeiling,
}


def field_of(assembly: DataAssembly) -> tuple[NDArray[np.float64], list[str], tuple[list[Any], list[Any]]]:
    """Convert an assembly to an array with the axes image, y, x and neuroid.

    Parameters
    ----------
    assembly : DataAssembly
        Values with ``image_id``, ``row`` and ``col`` of each presentation, and at most one time bin.

    Returns
    -------
    array, shape (image, y, x, neuroid)
    names of the images, in the order of their first presentations
    sorted values of ``row``, and of ``col``

    Raises
    ------
    ArrayError
        When a coordinate is missing, there are several time bins, or a position of an image is missing or duplicate.

    Examples
    --------
    >>> from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    >>> positions = {"image_id": ["b", "a", "b", "a"], "row": [0, 0, 0, 0], "col": [1, 1, 0, 0]}
    >>> coords = {name: ("presentation", values) for name, values in positions.items()}
    >>> coords |= {"neuroid_id": ("neuroid", [7]), "region": ("neuroid", ["IT"])}
    >>> data = NeuroidAssembly([[1.0], [2.0], [3.0], [4.0]], coords=coords, dims=["presentation", "neuroid"])
    >>> field, images, (rows, columns) = field_of(data)
    >>> field.shape, images, rows, columns
    ((2, 1, 2, 1), ['b', 'a'], [0], [0, 1])
    >>> field[0, 0, :, 0]
    array([3., 1.])
    """
    if missing := [name for name in COORDINATES if not hasattr(assembly, name)]:
        raise ArrayError(
            f"The assembly lacks the coordinates {', '.join(missing)}.",
            "Name each presentation by image_id, row and col.",
        )
    if not assembly.size:
        raise ArrayError("The assembly is empty.", "Give one presentation for every position of every image.")
    if assembly.sizes.get("time_bin", 1) > 1:
        raise ArrayError(
            f"The assembly has {assembly.sizes['time_bin']} time bins.",
            "Choose one, for example with .isel(time_bin=0).",
        )
    if not {"presentation", "neuroid"} <= set(assembly.dims):
        raise ArrayError(f"The assembly has dimensions {assembly.dims}.", "It needs presentation and neuroid.")
    if "time_bin" in assembly.dims:
        assembly = assembly.isel(time_bin=0)
    assembly = assembly.transpose("presentation", "neuroid")
    image_ids = [str(name) for name in assembly["image_id"].values]
    index = {name: number for number, name in enumerate(dict.fromkeys(image_ids))}
    images, image = list(index), np.array([index[name] for name in image_ids], np.int64)
    (rows, row), (columns, column) = (np.unique(assembly[name].values, return_inverse=True) for name in ("row", "col"))
    shape = (len(images), len(rows), len(columns))
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (image, row, column), 1)
    if (counts != 1).any():
        name, y, x = (int(axis[0]) for axis in np.nonzero(counts != 1))
        raise ArrayError(
            f"Position ({rows[y]}, {columns[x]}) of the image {images[name]} occurs {counts[name, y, x]} times, and "
            f"{int((counts != 1).sum()) - 1} other positions do not occur exactly once.",
            "Give one presentation for every row and column of every image; average repeats first.",
        )
    field = np.empty((*shape, assembly.sizes["neuroid"]))
    field[image, row, column] = assembly.values
    return field, images, (rows.tolist(), columns.tolist())


def _fields(source: DataAssembly, target: DataAssembly) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return source and target as arrays with the same order of images, and the names of the images."""
    (field, source_images, source_positions), (maps, images, positions) = field_of(source), field_of(target)
    if source_positions != positions:
        raise ArrayError("Rows and columns of the two assemblies differ.", "Number rows and columns alike in both.")
    if set(source_images) != set(images):
        unmatched = sorted(set(source_images) ^ set(images))
        raise ArrayError(
            f"The images {', '.join(unmatched[:4])} are in one assembly only.", "Give both assemblies the same images."
        )
    return field[[source_images.index(name) for name in images]], maps, images


def _of_sites(site_r: NDArray[np.float64], images: list[str], recorded: DataAssembly) -> dict[str, Score]:
    """Return values of each image and site, and their means over images."""
    neuroid = _neuroid_coords(recorded)
    return {
        "raw": score_of_maps(site_r, images, neuroid),
        "per_site": Score(over_images(site_r), coords=neuroid, dims=["neuroid"]),
    }


def _numbers_of_images(recorded: DataAssembly, images: list[str]) -> NDArray[np.int64]:
    """Assign numbers to the images; those with equal pixels share one, as far as their files are known."""
    stimuli = recorded.attrs.get("stimulus_set")
    files = {str(name): Path(file) for name, file in (getattr(stimuli, "stimulus_paths", None) or {}).items()}
    if not all(name in files and files[name].is_file() for name in images):
        return np.arange(len(images))
    identical = find_duplicates([files[name] for name in images])
    return number_identical(images, [[images[index] for index in group] for group in identical])


def _score(
    values: NDArray[np.float64], refits: NDArray[np.float64] | None, undefined: int, numbers: NDArray[np.int64]
) -> Score:
    """Average values over images, with an interval from refits (group, image), or without if there are none."""
    groups = groups_left_out(numbers, GROUPS if refits is None else len(refits))
    replicates = mean_without(values if refits is None else refits, groups)
    changes = None if refits is None else changes_of_groups(values, refits, groups)
    interval = jackknife_interval(float(values.mean()), replicates, [len(groups)], changes)
    score = Score(float(values.mean()))
    score.attrs |= {"error": interval.error, "error_over": ["image"], "interval": interval[:2], "undefined": undefined}
    score.attrs["folds"] = ImageFolds(numbers, score_folds(numbers)).text
    return score


def _per_image(values: NDArray[np.float64], images: list[str]) -> Score:
    return Score(values, coords=_image_coords(images), dims=["image"])


def score_of_maps(values: NDArray[np.float64], images: Sequence[str], neuroid: dict[str, Any]) -> Score:
    """Build a score with one value per image and site, with coordinates of images and neuroids.

    Examples
    --------
    >>> score_of_maps(np.zeros((2, 3)), ["a", "b"], {"neuroid_id": ("neuroid", [1, 2, 3])}).dims
    ('image', 'neuroid')
    """
    return Score(values, coords=_image_coords(images) | neuroid, dims=["image", "neuroid"])


def _neuroid_coords(recorded: DataAssembly) -> dict[str, Any]:
    """Return names and numbers of the neuroids, because Brain-Score drops the name of a single coordinate."""
    index = recorded["neuroid"].to_index()
    coordinates = {"neuroid_id" if name == "neuroid" else name: index.get_level_values(name) for name in index.names}
    coordinates["neuroid_number"] = range(len(index))
    return {name: ("neuroid", list(values)) for name, values in coordinates.items()}


def _image_coords(images: Sequence[str]) -> dict[str, Any]:
    return {
        "image_id": ("image", list(images)),
        "image_number": ("image", list(range(len(images)))),  # Brain-Score drops the name of a single coordinate
    }
