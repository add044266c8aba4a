"""Predict the mean map of one array from regressions that are fitted to the sites of another array."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.folds import fit_folds
from brainscore_itmaps.text import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class Transfer:
    """Predictions of the mean maps of a target array.

    Attributes
    ----------
    folds : array of bool, shape (fold, target image)
        Images of the target that each fold leaves out.
    predicted : tuple of array, shape (image left out, y, x)
        For each fold, the maps that are predicted of these images, at the positions of the target.
    components : array of int, shape (fold,)
        Number of PLS components used; 0 without a regression.
    """

    folds: NDArray[np.bool_]
    predicted: tuple[NDArray[np.float64], ...]
    components: NDArray[np.int64]

    def of(self, fold: int, set: int = 0) -> NDArray[np.float64]:
        """Return the predictions of one fold, shape (image left out, y, x, 1), as :func:`refitted` takes them."""
        return self.predicted[fold][..., None]

    @property
    def left_out(self) -> NDArray[np.float64]:
        """Return the prediction of each image by the first fold that leaves it out, shape (image, y, x, 1)."""
        first = self.folds.argmax(axis=0)
        rows = [self.folds[fold, :image].sum() for image, fold in enumerate(first)]
        return np.stack([self.of(fold)[row] for fold, row in zip(first, rows, strict=True)])


def predict_transfer(
    source_field: NDArray[np.floating[Any]],
    source_maps: NDArray[np.floating[Any]],
    target_field: NDArray[np.floating[Any]],
    source_images: Sequence[Hashable],
    target_images: Sequence[Hashable],
    folds: NDArray[np.bool_],
    method: str = "pls",
    **options: Any,
) -> Transfer:
    """Predict the mean maps of a target array from a regression on the sites of a source array.

    A regression has one coefficient for each channel and site, at whatever position, so the grids of the two arrays may
    differ. It is fitted without the source images that are identical to a target image that the fold leaves out; if the
    source has none of them, it is fitted to all source images. Its predictions are averaged over the sites of the
    source, because sites of two arrays do not correspond.

    Parameters
    ----------
    source_field : array, shape (source image, y, x, channel)
        Features at the positions of the source.
    source_maps : array, shape (source image, y, x, site)
        Recorded maps of the source, of at least 3 images. A site with a missing value is left out.
    target_field : array, shape (target image, y, x, channel)
        The same features at the positions of the target.
    source_images, target_images : sequence
        For each image a label that identical images share, also across the two arrays.
    folds : array of bool, shape (fold, target image)
        Target images that each fold leaves out and predicts, such as those of
        :func:`~brainscore_itmaps.metrics.folds.score_folds` or
        :func:`~brainscore_itmaps.metrics.folds.pairs_of_groups`.
    method : str
        ``pls`` or ``nipals``, as in :func:`~brainscore_itmaps.metrics.folds.fit_folds`.
    **options
        Further options of :func:`~brainscore_itmaps.metrics.folds.fit_folds`.

    Returns
    -------
    Transfer

    Raises
    ------
    ArrayError
        When the shapes do not fit together, or a fold leaves fewer than 2 images of the source.
    UsageError
        When the method has no coefficients.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(5, 4, 3, 8)), rng.normal(size=(6, 2, 2, 8))
    >>> mixing = rng.normal(size=(8, 7))
    >>> transfer = predict_transfer(source, source @ mixing, target, "abcde", "uvwxya", np.eye(6, dtype=bool))
    >>> bool(np.allclose(transfer.left_out[..., 0], target @ mixing.mean(axis=1)))
    True
    """
    if target_field.ndim != 4 or target_field.shape[-1] != source_field.shape[-1]:
        raise ArrayError(
            f"The fields {source_field.shape} and {target_field.shape} do not have the same channels.",
            "Give the same features of both arrays, as (image, y, x, channel).",
        )
    without = training_folds(source_images, target_images, folds)
    distinct, index = np.unique(without, axis=0, return_inverse=True)  # most folds are equal if few images are shared
    index = index.reshape(-1)
    fitted = fit_folds(source_field, source_maps, distinct, method, images=source_images, **options)
    complete = np.isfinite(source_maps).all(axis=(0, 1, 2))
    weights = fitted.coefficients()[..., complete].mean(axis=-1)  # (fold, channel)
    share = ~distinct / (~distinct).sum(axis=1, keepdims=True)
    mean_map = share @ source_maps[..., complete].mean(axis=(1, 2, 3))
    mean_field = share @ source_field.mean(axis=(1, 2))
    intercept = mean_map - (mean_field * weights).sum(axis=1)
    predicted = tuple(
        target_field[left_out] @ weights[number] + intercept[number]
        for left_out, number in zip(folds, index, strict=True)
    )
    return Transfer(folds, predicted, fitted.components[index])


def typical_maps(
    source_maps: NDArray[np.floating[Any]],
    source_images: Sequence[Hashable],
    target_images: Sequence[Hashable],
    folds: NDArray[np.bool_],
) -> Transfer:
    """Predict every image of the target by one map: the mean over the sites and the training images of the source.

    Parameters
    ----------
    source_maps : array, shape (source image, y, x, site)
        At the positions of the target.
    source_images, target_images, folds
        As in :func:`predict_transfer`.

    Returns
    -------
    Transfer

    Examples
    --------
    >>> maps = np.arange(3.0)[:, None, None, None] * np.ones((3, 5, 4, 2))
    >>> typical_maps(maps, "abc", "abd", np.eye(3, dtype=bool)).left_out[:, 0, 0, 0].tolist()
    [1.5, 1.0, 1.0]
    """
    mean = source_maps.mean(axis=-1)
    training = ~training_folds(source_images, target_images, folds)
    typical = [mean[used].mean(axis=0) for used in training]
    predicted = tuple(np.stack([one] * left_out.sum()) for one, left_out in zip(typical, folds, strict=True))
    return Transfer(folds, predicted, np.zeros(len(folds), np.int64))


def training_folds(
    source_images: Sequence[Hashable], target_images: Sequence[Hashable], folds: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the source images without which each fold is fitted, shape (fold, source image).

    ``source_images``, ``target_images`` and ``folds`` are those of :func:`predict_transfer`.

    Examples
    --------
    >>> training_folds("abca", "ax", np.eye(2, dtype=bool)).astype(int).tolist()
    [[1, 0, 0, 1], [0, 0, 0, 0]]
    """
    identical = np.array([[source == target for target in target_images] for source in source_images])
    without: NDArray[np.bool_] = (identical & folds[:, None]).any(axis=-1)
    return without


def at_positions(
    maps: NDArray[np.floating[Any]],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    new_y: NDArray[np.float64],
    new_x: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Interpolate maps linearly at other positions; beyond the outermost positions they have the value there.

    Parameters
    ----------
    maps : array, shape (image, y, x, site)
    y, x : array, shape (y,) and (x,)
        Positions of the maps, ascending.
    new_y, new_x : array
        Positions in the same unit.

    Returns
    -------
    array, shape (image, new y, new x, site)

    Examples
    --------
    >>> maps = np.arange(3.0)[None, :, None, None] * np.ones((1, 3, 2, 1))
    >>> at_positions(maps, np.array([0, 1, 2]), np.array([0, 1]), np.array([0.5, 3]), np.array([0]))[0, ..., 0]
    array([[0.5],
           [2. ]])
    """
    rows, columns = (
        np.stack([np.interp(new, old, unit) for unit in np.eye(len(old))], axis=1)
        for old, new in ((y, new_y), (x, new_x))
    )
    interpolated: NDArray[np.float64] = np.einsum("ab,ibcs,dc->iads", rows, maps, columns, optimize=True)
    return interpolated
