"""Compute partial correlations of predicted and recorded maps, given the maps that controls predict."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

DEPENDENT = 1e-9
"""Share of a variance below which what remains of it is rounding."""


def partial_correlation(
    first: NDArray[np.float64], second: NDArray[np.float64], given: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute partial Pearson correlations along the last axis.

    Parameters
    ----------
    first, second : array, shape (..., sample)
    given : array, shape (..., sample, covariate)
        Linear regressions on these and on a constant are subtracted from both.

    Returns
    -------
    array, shape (...,)
        0 where a regression explains one of the two completely: nothing of it is left to correlate. NaN where one of
        them is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared, noise = rng.normal(size=(2, 500))
    >>> r = partial_correlation(shared + noise, shared - noise, (shared + 0.1 * rng.normal(size=500))[:, None])
    >>> round(float(r), 1)
    -1.0
    """
    covariates = given - given.mean(axis=-2, keepdims=True)
    length = np.linalg.norm(covariates, axis=-2, keepdims=True)
    covariates = covariates / np.where(length > 0, length, 1)
    inverse = np.linalg.pinv(_products(covariates, covariates), rcond=DEPENDENT, hermitian=True)
    centred = [values - values.mean(axis=-1, keepdims=True) for values in (first, second)]
    rest = [_without(_without(values, covariates, inverse), covariates, inverse) for values in centred]  # rounding, too
    squares, remaining = ([(values**2).sum(axis=-1) for values in pair] for pair in (centred, rest))
    explained = (remaining[0] <= DEPENDENT * squares[0]) | (remaining[1] <= DEPENDENT * squares[1])
    size = np.sqrt(remaining[0] * remaining[1])
    r = np.where(explained, 0.0, (rest[0] * rest[1]).sum(axis=-1) / np.where(size > 0, size, 1))
    partial: NDArray[np.float64] = np.where((squares[0] == 0) | (squares[1] == 0), np.nan, r)
    return partial


def _products(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.matmul(left.swapaxes(-1, -2), right)
    return products


def _without(
    values: NDArray[np.float64], covariates: NDArray[np.float64], inverse: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Subtract from values (..., sample) what a regression on centred covariates explains."""
    explained: NDArray[np.float64] = np.matmul(covariates, inverse @ _products(covariates, values[..., None]))
    return values - explained[..., 0]


def partial_site_correlation(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], controls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute Pearson's r of predicted and recorded maps over positions, given the maps that controls predict.

    Parameters
    ----------
    predicted, maps : array, shape (image, y, x, site)
    controls : array, shape (control, image, y, x, site)
        Predictions of the same maps by each control.

    Returns
    -------
    array, shape (image, site)
        As :func:`partial_correlation`; NaN for sites with missing values.

    Examples
    --------
    >>> control, model, noise = np.random.default_rng(0).normal(size=(3, 2, 9, 8, 4))
    >>> r = partial_site_correlation(control + model, control + model + noise, control[None])
    >>> r.shape, 0.5 < r.mean() < 0.9
    ((2, 4), True)
    """
    flat = [_positions_last(values) for values in (predicted, maps)]
    complete = np.isfinite(flat[0]).all(axis=(0, 2)) & np.isfinite(flat[1]).all(axis=(0, 2))
    given = np.stack([_positions_last(control)[:, complete] for control in controls], axis=-1)
    r = np.full(flat[0].shape[:2], np.nan)
    r[:, complete] = partial_correlation(flat[0][:, complete], flat[1][:, complete], given)
    return r


def partial_alignment(
    predicted: NDArray[np.float64], maps: NDArray[np.float64], controls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute Spearman's rho of predicted and recorded maps averaged over sites, given those of controls.

    Parameters are those of :func:`partial_site_correlation`. Ranks of the controls' maps are subtracted from ranks.

    Returns
    -------
    array, shape (image,)

    Examples
    --------
    >>> control, model, noise = np.random.default_rng(0).normal(size=(3, 2, 9, 8, 1))
    >>> rho = partial_alignment(control + model, control + model + noise, control[None])
    >>> rho.shape, 0.5 < rho.mean() < 0.9
    ((2,), True)
    """
    complete = np.isfinite(predicted).all(axis=(0, 1, 2)) & np.isfinite(maps).all(axis=(0, 1, 2))
    ranked = [
        rankdata(values[..., complete].mean(axis=-1).reshape(len(values), -1), axis=1)
        for values in (predicted, maps, *controls)
    ]
    return partial_correlation(ranked[0], ranked[1], np.stack(ranked[2:], axis=-1))


def _positions_last(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Arrange maps (image, y, x, site) as (image, site, position)."""
    return np.moveaxis(values, -1, 1).reshape(len(values), values.shape[-1], -1).astype(np.float64)
