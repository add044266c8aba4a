"""Partial least squares over left-out images: all folds advance together, one pass over the data a component.

Improved kernel PLS (Dayal & MacGregor 1997, J. Chemometrics 11:73) deflates only the products of maps and features, so
the folds can share the rows of the features. A component then needs one product, the features' covariance times one
direction for every fold; the folds' directions are stacked and multiplied at once. numpy alone: scipy's own BLAS would
fight with numpy's over the processor's threads.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.metrics.rows import EPS, EXHAUSTED, Rows, centred, sum_of_others

NOISE = 1e4 * EPS  # of the largest component's scores: some hundred times what rounding alone gives
ILL_CONDITIONED = 1e-6  # share of the largest component's variance below which covariances are too coarse
FULL = 16  # columns that matrix products like best
PUBLISHED_TOLERANCE = 1e-4
PUBLISHED_ITERATIONS = 500

Direction = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.int64]]]


class Folds(NamedTuple):
    """PLS models, one for each left-out image and set.

    Attributes
    ----------
    predicted : array, shape (set, image, row, site)
        Of the left-out image, in the units of the maps.
    coefficients : array, shape (set, image, channel, site)
        Without the intercept.
    components : array, shape (set, image)
        How many were used.
    iterations : array, shape (set, image, component)
        That the inner problem took.
    """

    predicted: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    components: NDArray[np.int64]
    iterations: NDArray[np.int64]


def exact_direction(grams: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights of the sites, shape (fold, site), that a converged inner iteration ends at: leading eigenvectors."""
    return np.linalg.eigh(grams)[1][..., -1], np.ones(len(grams), np.int64)


def published_direction(grams: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights of the sites that the published iteration stops at, and after how many steps.

    scikit-learn's NIPALS at ``tol=1e-4``: it starts from the first site that varies, and stops when the *squared* step
    of the channels' weights is below the tolerance. Those weights are the products of maps and features times the
    sites' weights, so their steps can be told from the Gram matrices of the products alone.

    Parameters
    ----------
    grams : array, shape (fold, site, site)
        Products of maps and features, times their transpose.
    """
    folds, sites, _ = grams.shape
    first = np.argmax(np.diagonal(grams, axis1=1, axis2=2) > 0, axis=1)
    weights = np.eye(sites)[first]
    steps = np.ones(folds, np.int64)
    if sites == 1:
        return weights, steps
    moving = np.arange(folds)
    image, size = _step(grams, weights)
    for _ in range(PUBLISHED_ITERATIONS - 1):
        new = image[moving] / size[moving, None]
        new_image, new_size = _step(grams[moving], new)
        cosine = np.einsum("fs,fs->f", new_image, weights[moving]) / (new_size * size[moving])
        weights[moving], image[moving], size[moving] = new, new_image, new_size
        steps[moving] += 1
        moving = moving[2 - 2 * cosine >= PUBLISHED_TOLERANCE]
        if not len(moving):
            break
    return weights, steps


def _step(grams: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    image = np.matmul(grams, weights[..., None])[..., 0]
    size = np.sqrt(np.maximum(np.einsum("fs,fs->f", image, weights), np.finfo(float).tiny))
    return image, size


def fit_folds(
    rows: Rows,
    varying: NDArray[np.bool_],
    components: int,
    direction: Direction = exact_direction,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Folds:
    """Fit PLS once for every left-out image and set, on all other images, and predict that image.

    Equal to scikit-learn's ``PLSRegression(components, scale=False, tol=1e-28)`` a fold, to rounding. A fold stops when
    the products of maps and features are exhausted, or when a component's scores are no larger than rounding makes
    them: past the numerical rank there is nothing but noise to fit.

    Parameters
    ----------
    rows : Rows
    varying : array, shape (set, image, site)
        Does this site vary on the images that remain when this one is left out?
    components : int
    direction : callable
        Solves the inner problem: Gram matrices (fold, site, site) to weights of the sites (fold, site).
    progress : callable
        Told (components done, components in all).
    """
    images, positions, channels = rows.field.shape
    sets, sites = rows.maps.shape[0], rows.maps.shape[-1]
    folds = images * sets  # fold image * sets + set leaves that image out of that set
    components = min(components, channels)
    training, products, base, rounding = _begin(rows, varying)
    width = -(-folds // FULL) * FULL
    flat = training.x.reshape(-1, channels)
    gram = flat.T @ flat if _pays(training.x, sets, width, components) else None

    rotations = np.zeros((folds, components, channels))
    loadings = np.zeros((folds, components, channels))
    site_loadings = np.zeros((folds, components, sites))
    scores = np.zeros((images, sets, positions, components))  # of the left-out images
    used, steps = np.zeros(folds, np.int64), np.zeros((folds, components), np.int64)
    live, largest = np.ones(folds, bool), np.zeros(folds)
    stacked = np.zeros((width, channels))
    for number in range(components):
        grams = np.matmul(products, products.transpose(0, 2, 1))  # (fold, site, site)
        size = np.trace(grams, axis1=1, axis2=2)
        if number == 0:
            rounding = np.maximum(rounding, EXHAUSTED**2 * size)
        live &= size > rounding
        if not live.any():
            break
        weights = np.zeros((folds, sites))
        weights[live], steps[live, number] = direction(grams[live])
        w = np.matmul(weights[:, None], products)[:, 0]  # (fold, channel)
        w /= np.maximum(np.linalg.norm(w, axis=1, keepdims=True), np.finfo(float).tiny)
        for _ in range(2):  # twice, or rounding grows with every component where channels differ much in size
            along = np.matmul(loadings[:, :number], w[..., None])[..., 0]  # (fold, component)
            w -= np.matmul(along[:, None], rotations[:, :number])[:, 0]
        stacked[:folds] = w
        offset = np.einsum("fc,fc->f", training.means, w)
        if gram is not None:
            covariance, own_scores, variance = _from_gram(training, gram, stacked, offset)
            if (variance[live] < ILL_CONDITIONED * np.maximum(largest, variance)[live]).any():
                gram = None
        if gram is None:
            covariance, own_scores, variance = _from_rows(training, stacked, offset)
        largest = np.maximum(largest, variance)
        live &= variance > NOISE**2 * largest
        share = np.where(live, 1 / np.where(live, variance, 1), 0)[:, None]
        rotations[:, number], loadings[:, number] = w, covariance * share
        site_loadings[:, number] = np.matmul(products, w[..., None])[..., 0] * share
        scores[..., number] = own_scores
        used += live
        for fold in np.flatnonzero(live):
            products[fold] -= site_loadings[fold, number][:, None] * covariance[fold]
        progress(number + 1, components)

    by_image = site_loadings.reshape(images, sets, components, sites)
    predicted = np.matmul(scores, by_image).swapaxes(0, 1) + rows.ones[:, None] * base[:, :, None]
    coefficients = np.matmul(rotations.transpose(0, 2, 1), site_loadings).reshape(images, sets, channels, sites)
    return Folds(
        predicted,
        coefficients.swapaxes(0, 1),
        used.reshape(images, sets).T,
        steps.reshape(images, sets, components).swapaxes(0, 1),
    )


class _Training(NamedTuple):
    """What all folds share: features minus their means over all images, and what each fold's own means add to that."""

    x: NDArray[np.float64]  # (image, row, channel)
    ones: NDArray[np.float64]  # (row,)
    means: NDArray[np.float64]  # (fold, channel), over the images that are not left out
    size: float  # how many positions there are to train on


def _begin(
    rows: Rows, varying: NDArray[np.bool_]
) -> tuple[_Training, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre everything, and multiply maps with features.

    Returns
    -------
    _Training
    products : array, shape (fold, site, channel)
        Of maps and features of the images that are not left out, both centred on these.
    base : array, shape (set, image, site)
        Mean of the maps over the images that are not left out.
    rounding : array, shape (fold,)
        Sum of squares of the products that rounding alone could give.
    """
    (sets, images, positions, sites), channels = rows.maps.shape, rows.field.shape[-1]
    folds, count = images * sets, float(rows.ones @ rows.ones) * (images - 1)
    (x,), _, spread_x = centred(rows.field[None], rows.ones)
    y, mean_y, spread_y = centred(rows.maps, rows.ones)
    means_x = np.repeat(sum_of_others(rows.ones @ x) / count, sets, axis=0)  # (fold, channel)
    means_y = sum_of_others((rows.ones @ y).swapaxes(0, 1)) / count  # (image, set, site)
    own = y.transpose(1, 0, 3, 2).reshape(images, sets * sites, positions)
    products = sum_of_others(np.matmul(own, x)).reshape(folds, sites, channels)
    for fold in range(folds):
        products[fold] -= count * np.outer(means_y.reshape(folds, sites)[fold], means_x[fold])
    products *= varying.swapaxes(0, 1).reshape(folds, sites, 1)
    rounding = EXHAUSTED**2 * spread_x.sum() * np.tile(spread_y.sum(axis=1), images)
    return _Training(x, rows.ones, means_x, count), products, mean_y[:, None] + means_y.swapaxes(0, 1), rounding


def _pays(x: NDArray[np.float64], sets: int, width: int, components: int) -> bool:
    """Is it less work to form the covariance of the channels once than to pass over the rows for every component?"""
    images, positions, channels = x.shape
    rows = images * positions
    whole = rows * channels**2 + 2 * components * channels * (channels * width + 4 * rows * sets)
    return whole < 4 * components * rows * channels * width


def _from_gram(
    training: _Training, gram: NDArray[np.float64], stacked: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of channels and scores, from that of the channels less what the left-out image and its mean add.

    Returns
    -------
    array (fold, channel), scores of the left-out rows (image, set, row), sums of squares of the scores (fold,)
    """
    x, ones, means, size = training
    folds, (images, _, channels) = len(offset), x.shape
    own = stacked[:folds].reshape(images, -1, channels)
    left_out = np.matmul(own, x.transpose(0, 2, 1))  # (image, set, row)
    covariance = (stacked @ gram)[:folds]
    covariance -= np.matmul(left_out, x).reshape(folds, channels)
    covariance -= (size * offset)[:, None] * means
    left_out -= offset.reshape(images, -1)[..., None] * ones
    return covariance, left_out, np.einsum("fc,fc->f", covariance, stacked[:folds])


def _from_rows(
    training: _Training, stacked: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The same as :func:`_from_gram`, from one pass over the rows: slower for few channels, exact for all."""
    x, ones, _, _ = training
    folds, images = len(offset), len(x)
    sets = folds // images
    covariance = np.zeros_like(stacked)
    variance = np.zeros(len(stacked))
    left_out = np.empty((images, sets, x.shape[1]))
    for image in range(images):
        scores = x[image] @ stacked.T  # (row, fold)
        scores[:, :folds] -= ones[:, None] * offset
        own = slice(image * sets, (image + 1) * sets)
        left_out[image] = scores[:, own].T
        scores[:, own] = 0
        covariance += scores.T @ x[image]
        variance += np.einsum("rf,rf->f", scores, scores)
    return covariance[:folds], left_out, variance[:folds]
