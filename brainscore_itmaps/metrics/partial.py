"""Correlations among maps of the same positions, and partial ones given the maps of controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.errors import ArrayError
from brainscore_itmaps.metrics.nulls import standardised_maps

REMAINDER = 1e-9
"""Share of the variance of a map's ranks below which what controls leave of it is rounding error."""


def unit_ranks(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Rank the positions of each map, with mean 0 and length 1, so that a product of two is Spearman's rho.

    Parameters
    ----------
    maps : array, shape (image, y, x)

    Returns
    -------
    array, shape (image, position)
        NaN where a map is constant, or has a missing value.

    Examples
    --------
    >>> first = unit_ranks(np.arange(20.0).reshape(1, 5, 4))
    >>> round(float((first @ unit_ranks(-np.arange(20.0).reshape(1, 5, 4) ** 3).T).item()), 6)
    -1.0
    """
    from scipy.stats import rankdata  # takes most of a second to import, which cached scores do not need

    values = maps.reshape(len(maps), -1)
    rounding = np.finfo(float).eps * values.shape[1] * np.abs(values).max(axis=1, keepdims=True)
    varied = np.ptp(values, axis=1, keepdims=True) > rounding  # ranks of rounding errors would correlate
    return _unit(np.where(varied, rankdata(values, axis=1), np.nan))


def powers_of_ranks(ranks: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Compute squares and cubes of ranks, with mean 0 and length 1.

    What two maps share because each follows a third one in a curve, not in a line, is left when only the ranks of the
    third one are partialled out. With their squares and cubes, little of it is left.

    Parameters
    ----------
    ranks : array, shape (image, position)
        As :func:`unit_ranks` returns them.

    Returns
    -------
    list of array, shape (image, position)

    Examples
    --------
    >>> square, cube = powers_of_ranks(unit_ranks(np.arange(5.0).reshape(1, 5, 1)))
    >>> square.round(2).tolist(), cube.round(2).tolist()
    ([[0.53, -0.27, -0.53, -0.27, 0.53]], [[-0.7, -0.09, 0.0, 0.09, 0.7]])
    """
    return [_unit(ranks**power) for power in (2, 3)]


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=1, keepdims=True)
    unit: NDArray[np.float64] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit


def correlations_among(variables: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Compute correlations over positions between all pairs of variables, image by image.

    Parameters
    ----------
    variables : sequence of array, shape (image, position)
        With mean 0 and length 1, as from :func:`unit_ranks`; an array of a single image stands for every image.

    Returns
    -------
    array, shape (image, variable, variable)
        NaN where one of the two variables is.

    Raises
    ------
    ArrayError
        When the shapes differ.

    Examples
    --------
    >>> maps = np.random.default_rng(0).normal(size=(3, 2, 5, 4))
    >>> correlations_among([unit_ranks(each) for each in maps]).shape
    (2, 3, 3)
    """
    images, positions = max(map(len, variables)), variables[0].shape[1]
    if any(each.shape not in ((1, positions), (images, positions)) for each in variables):
        shapes = ", ".join(str(each.shape) for each in variables)
        raise ArrayError(f"The variables differ in shape: {shapes}.", "Give each as (image, position).")
    stacked = np.stack([np.broadcast_to(each, (images, positions)) for each in variables], axis=1)
    correlations: NDArray[np.float64] = stacked @ stacked.transpose(0, 2, 1)
    return correlations


def partial_correlation(correlations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the partial correlation of the first two variables given all others, from correlations among them.

    It is the correlation of what linear regressions on the others leave of the first two. Of rank correlations, it is
    the partial Spearman correlation.

    Parameters
    ----------
    correlations : array, shape (image, variable, variable)
        As :func:`correlations_among` returns them.

    Returns
    -------
    array, shape (image,)
        NaN where a correlation is, or where the others leave nothing of one of the two.

    Examples
    --------
    >>> correlations = np.array([[[1.0, 0.5, 0.6], [0.5, 1.0, 0.8], [0.6, 0.8, 1.0]]])
    >>> partial_correlation(correlations).round(4).tolist()  # (.5 - .6 .8) / (.8 .6)
    [0.0417]
    """
    partial = np.full(len(correlations), np.nan)
    defined = np.isfinite(correlations).all(axis=(1, 2))
    known = correlations[defined]
    explained = known[:, :2, 2:] @ np.linalg.pinv(known[:, 2:, 2:], rcond=REMAINDER, hermitian=True) @ known[:, 2:, :2]
    left = known[:, :2, :2] - explained
    variances = left[:, 0, 0], left[:, 1, 1]
    enough = np.minimum(*variances) > REMAINDER
    spread = np.sqrt(np.where(enough, variances[0] * variances[1], np.nan))
    partial[defined] = left[:, 0, 1] / spread
    return partial


def partial_site_correlation(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], controls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute Pearson's r of predicted and recorded maps over positions, given the maps that controls predict.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    controls : array, shape (control, image, y, x, site)
        Predictions of the same maps by each control; a constant one takes nothing away.

    Returns
    -------
    array, shape (image, site)
        NaN where a map is constant or has a missing value, or where the controls leave nothing of one of the two maps.

    Examples
    --------
    >>> control, model, noise = np.random.default_rng(0).normal(size=(3, 2, 9, 8, 4))
    >>> r = partial_site_correlation(control + model, control + model + noise, control[None])
    >>> r.shape, 0.5 < r.mean() < 0.9
    ((2, 4), True)
    """
    pair = [standardised_maps(values) for values in (predicted, maps)]  # (site, image, position)
    given = [np.nan_to_num(standardised_maps(control)) for control in controls]
    variables = np.stack([*pair, *given], axis=-2)  # (site, image, variable, position)
    correlations = np.matmul(variables, variables.swapaxes(-1, -2))
    partial = partial_correlation(correlations.reshape(-1, *correlations.shape[2:]))
    return partial.reshape(correlations.shape[:2]).T


def partial_alignment(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], controls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute Spearman's rho of predicted and recorded maps averaged over sites, given those of controls.

    Parameters are those of :func:`partial_site_correlation`.

    Returns
    -------
    array, shape (image,)
        NaN as there.

    Examples
    --------
    >>> control, model, noise = np.random.default_rng(0).normal(size=(3, 2, 9, 8, 1))
    >>> rho = partial_alignment(control + model, control + model + noise, control[None])
    >>> rho.shape, 0.5 < rho.mean() < 0.9
    ((2,), True)
    """
    complete = np.isfinite(predicted).all(axis=(0, 1, 2)) & np.isfinite(maps).all(axis=(0, 1, 2))
    pair = [unit_ranks(values[..., complete].mean(axis=-1)) for values in (predicted, maps)]
    given = [np.nan_to_num(unit_ranks(control[..., complete].mean(axis=-1))) for control in controls]
    return partial_correlation(correlations_among([*pair, *given]))
