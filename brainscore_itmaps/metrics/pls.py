"""Fit partial least squares over folds of images: all folds at once, with one pass over the data per component.

Improved kernel PLS (Dayal & MacGregor 1997, J. Chemometrics 11:73) deflates only the products of maps and features, so
the folds can share the rows of the features. A component then needs one product, the features' covariance times one
direction for every fold; the folds' directions are stacked and multiplied at once. Only numpy is used where it is as
fast, because scipy's BLAS would compete with numpy's for the processor's threads.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from brainscore_itmaps.metrics.rows import EPS, EXHAUSTED, Options, Rows, centred, products_of_rest, sum_of_rest
from brainscore_itmaps.text import short_repr

NOISE = 1e4 * EPS  # share of the largest component's scores: well above rounding, far below data
ILL_CONDITIONED = 1e-3  # share of the largest variance of all images below which their covariance is too coarse
UNEVEN = 1e6  # ratio of the largest channel's variance to the median above which channels are not mixed
STALE = 1e-2  # share of the size at which Gram matrices were formed, below which they are formed again
READING = 30  # operations of a matrix product that take as long as reading a number from memory
CACHED = 1 << 17  # numbers that a processor's cache holds for a second product
FEW_SITES = 128  # up to this number of sites, squaring Gram matrices takes less time than an iterative solver
SQUARINGS = 24  # until the largest eigenvalue is left, unless the next one is closer to it than 1 part in 10^6
ALONE = 1e-8  # share of all eigenvalues but the largest whose square is rounding
PENDING = 6  # components whose removal from the products is put off, because it is faster for several at once
COLUMN_BLOCK = 8  # matrix products are fastest with a multiple of this number of columns
PUBLISHED_TOLERANCE = 1e-4
PUBLISHED_ITERATIONS = 500

Direction = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.int64]]]


@short_repr
class PLSFolds(NamedTuple):
    """PLS models, one for each fold and set.

    Attributes
    ----------
    rotations : array, shape (fold, set, component, channel)
        Weights that turn the centred features of ``training`` into scores.
    site_loadings : array, shape (fold, set, component, site)
        Coefficients of the regression of the maps on the scores.
    components : array, shape (set, fold)
        Number of components used.
    iterations : array, shape (set, fold, component)
        Number of iterations of the inner problem.
    training : Training
        Data that all folds share.
    base : array, shape (fold, set, site)
        Mean of the maps over the images that are not left out.
    plain : array, shape (image, row, channel), or None
        Features that are not centred, for a regression without an intercept; those are not narrowed.
    """

    rotations: NDArray[np.float64]
    site_loadings: NDArray[np.float64]
    components: NDArray[np.int64]
    iterations: NDArray[np.int64]
    training: "Training"
    base: NDArray[np.float64]
    plain: NDArray[np.float64] | None
    penalty: None = None

    def predicted(self, fold: int, set_index: int) -> NDArray[np.float64]:
        """Predict the images that a fold leaves out, for one set: shape (image left out, row, site)."""
        if self.plain is not None:
            weights = self.rotations[fold, set_index].T @ self.site_loadings[fold, set_index]
            predicted: NDArray[np.float64] = np.matmul(self.plain[self.training.folds[fold]], weights)
            return predicted
        return self.predicted_several(np.array([fold]), set_index)[0]

    def predicted_several(self, folds: NDArray[np.int64], set_index: int) -> list[NDArray[np.float64]]:
        """Predict the images that some folds leave out, for one set, with one product of matrices for each image."""
        x, ones, every, means, _, _ = self.training
        left_out, rotations = every[folds], self.rotations[folds, set_index]
        loadings, base = self.site_loadings[folds, set_index], self.base[folds, set_index]
        offset = np.einsum("fac,fc->fa", rotations, means[folds])
        predicted = [np.empty((count, len(ones), loadings.shape[-1])) for count in left_out.sum(axis=1)]
        place = np.cumsum(left_out, axis=1) - 1  # of an image among those that a fold leaves out
        for image in np.flatnonzero(left_out.any(axis=0)):
            some = np.flatnonzero(left_out[:, image])
            scores = x[image] @ rotations[some].reshape(-1, x.shape[-1]).T  # (row, fold and component)
            scores -= ones[:, None] * offset[some].ravel()
            for fold, of_fold in zip(some, np.split(scores, len(some), axis=1), strict=True):
                maps = predicted[fold][place[fold, image]]
                np.matmul(of_fold, loadings[fold], out=maps)
                maps += ones[:, None] * base[fold]
        return predicted

    def coefficients(self, set_index: int) -> NDArray[np.float64]:
        """Compute the weights of features that are not centred for one set, shape (fold, channel, site)."""
        weights: NDArray[np.float64] = np.matmul(
            self.rotations[:, set_index].swapaxes(1, 2), self.site_loadings[:, set_index]
        )
        wide = self.training.wide
        return weights if wide is None else np.matmul(np.linalg.qr(wide)[0], weights)

    def select(self, folds: NDArray[np.int64]) -> "PLSFolds":
        """Select some of the folds."""
        shared = self.training
        return PLSFolds(
            self.rotations[folds],
            self.site_loadings[folds],
            self.components[:, folds],
            self.iterations[:, folds],
            shared._replace(folds=shared.folds[folds], means=shared.means[folds], sizes=shared.sizes[folds]),
            self.base[folds],
            self.plain,
        )


def exact_direction(grams: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute the weights of the sites as leading eigenvectors, the fixed points of NIPALS.

    Parameters
    ----------
    grams : array, shape (fold, site, site)
        Products of maps and features, times their transpose.

    Returns
    -------
    weights : array, shape (fold, site)
    iterations : array of int, shape (fold,)
        All 1.

    Examples
    --------
    >>> grams = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    >>> weights, iterations = exact_direction(grams)
    >>> abs(weights).round(3).tolist(), iterations.tolist()
    ([[0.707, 0.707]], [1])
    """
    steps = np.ones(len(grams), np.int64)
    if grams.shape[-1] > FEW_SITES:
        return np.array([_largest(gram) for gram in grams]), steps
    weights, moving = np.zeros(grams.shape[:2]), np.arange(len(grams))
    powers = grams / np.trace(grams, axis1=1, axis2=2)[:, None, None]
    for _ in range(SQUARINGS):  # of eigenvalues with sum 1: the largest one tends to 1, the others to 0
        powers = np.matmul(powers, powers)
        size = np.trace(powers, axis1=1, axis2=2)
        done = size > 1 - ALONE
        if done.any():
            row = np.diagonal(powers, axis1=1, axis2=2)[done].argmax(axis=1)
            weights[moving[done]] = powers[done, row]
            powers, size, moving = powers[~done], size[~done], moving[~done]
        if not len(moving):
            break
        powers /= size[:, None, None]
    else:
        weights[moving] = np.linalg.eigh(grams[moving])[1][..., -1]
    return weights / np.linalg.norm(weights, axis=1, keepdims=True), steps


def _largest(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the leading eigenvector of a large Gram matrix."""
    try:
        vector: NDArray[np.float64] = eigsh(gram, 1, which="LA", v0=gram[np.argmax(np.diagonal(gram))])[1][:, 0]
    except ArpackNoConvergence:  # the largest eigenvalues are almost equal
        vector = np.linalg.eigh(gram)[1][:, -1]
    return vector


def published_direction(grams: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute the weights of the sites at which the published iteration stops, and count its iterations.

    This is scikit-learn's NIPALS at ``tol=1e-4``: it starts from the first site that varies, and stops when the
    *squared* step of the channels' weights is below the tolerance. Those weights are the products of maps and features
    times the sites' weights, so their steps follow from the Gram matrices of the products alone.

    Parameters
    ----------
    grams : array, shape (fold, site, site)
        Products of maps and features, times their transpose.

    Returns
    -------
    weights : array, shape (fold, site)
    iterations : array of int, shape (fold,)

    Examples
    --------
    >>> grams = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    >>> weights, iterations = published_direction(grams)
    >>> weights.round(3).tolist(), iterations.tolist()
    ([[1.23, 1.22]], [6])
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
    """Multiply the Gram matrices with weights (fold, site); compute the norm of the channels' weights (fold,)."""
    image = np.matmul(grams, weights[..., None])[..., 0]
    size = np.sqrt(np.maximum(np.einsum("fs,fs->f", image, weights), np.finfo(float).tiny))
    return image, size


def fit_pls(
    rows: Rows,
    folds: NDArray[np.bool_],
    varying: NDArray[np.bool_],
    options: Options,
    direction: Direction = exact_direction,
) -> PLSFolds:
    """Fit PLS for every fold and set, on the images that the fold does not leave out.

    The result equals, to rounding, one scikit-learn ``PLSRegression(components, scale=False, tol=1e-28,
    max_iter=200_000)`` per fold. A fold stops when the products of maps and features are exhausted, or when a
    component's scores are no larger than rounding: past the numerical rank only rounding is left to fit.

    Parameters
    ----------
    rows : Rows
    folds : array of bool, shape (fold, image)
        Images that each fold leaves out.
    varying : array, shape (set, fold, site)
        True for sites that vary on the remaining images.
    options : Options
        ``progress`` is called with (components done, components in all).
    direction : callable
        Solves the inner problem: Gram matrices (model, site, site) to weights of the sites (model, site). A model is
        one fold of one set.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.rows import rows_of
    >>> rng = np.random.default_rng(0)
    >>> rows = rows_of(rng.normal(size=(5, 4, 3, 8)), rng.normal(size=(1, 5, 4, 3, 2)))
    >>> fitted = fit_pls(rows, np.eye(5, dtype=bool), np.ones((1, 5, 2), bool), Options(components=6))
    >>> fitted.components.tolist(), fitted.predicted(0, 0).shape
    ([[6, 6, 6, 6, 6]], (1, 12, 2))
    """
    positions, channels = rows.field.shape[1:]
    sets, sites = rows.maps.shape[0], rows.maps.shape[-1]
    models = len(folds) * sets  # model f * sets + s is fold f of set s
    components = min(options.components, channels, int((~folds).sum(axis=1).min()) * positions)
    narrow = options.intercept and _narrowing_pays(rows.field, models, components)
    training, products, base, rounding = _begin(rows, varying, folds, narrow, rows.own and options.intercept)
    channels = training.x.shape[-1]
    orthonormal = None
    if sites > channels and direction is exact_direction:  # the same regression on as many mixtures of the sites
        orthonormal, products = _mixed_sites(products)
    covariance = _covariance(training) if _pays(training.x, models, folds.sum(axis=1).mean(), components) else None

    rotations = np.zeros((models, components, channels))
    loadings = np.zeros((models, components, channels))
    site_loadings = np.zeros((models, components, products.shape[1]))
    removed = np.zeros_like(site_loadings)  # products of maps and features lose these times the loadings
    used, steps = np.zeros(models, np.int64), np.zeros((models, components), np.int64)
    live, largest = np.ones(models, bool), np.zeros(models)
    grams, formed = _grams(products)
    rounding = np.maximum(rounding, EXHAUSTED**2 * formed)
    first = 0  # of the components that have not been removed from the products
    for component in range(components):
        size = np.trace(grams, axis1=1, axis2=2)
        stale = (size < STALE * formed)[live].any()
        if stale or component - first == PENDING:
            _deflate(products, removed[:, first:component], loadings[:, first:component])
            first = component
        if stale:
            grams, formed = _grams(products)
            size = formed
        live &= size > rounding
        if not live.any():
            break
        weights = np.zeros(grams.shape[:2])
        weights[live], steps[live, component] = direction(grams if live.all() else grams[live])
        pending = removed[:, first:component], loadings[:, first:component]
        w = np.matmul(weights[:, None], products)[:, 0]  # (model, channel)
        w -= np.matmul(np.matmul(pending[0], weights[..., None]).swapaxes(1, 2), pending[1])[:, 0]
        length = np.maximum(np.linalg.norm(w, axis=1, keepdims=True), np.finfo(float).tiny)
        w /= length
        for _ in range(2):  # twice: once would let rounding grow with every component if channels differ much in size
            along = np.matmul(loadings[:, :component], w[..., None])[..., 0]  # (model, component)
            w -= np.matmul(along[:, None], rotations[:, :component])[:, 0]
        if covariance is not None:
            moments, variance = _moments_of_covariance(training, covariance, w)
            if (variance[live] < ILL_CONDITIONED * covariance.largest).any():
                covariance = None
        if covariance is None:
            moments, variance = _moments(training, w)
        largest = np.maximum(largest, variance)
        live &= variance > NOISE**2 * largest
        share = np.where(live, 1 / np.where(live, variance, 1), 0)[:, None]
        rotations[:, component], loadings[:, component] = w, moments * share
        site_loadings[:, component] = np.matmul(grams, weights[..., None])[..., 0] / length * share
        removed[:, component] = site_loadings[:, component] * variance[:, None]
        used += live
        along = np.matmul(products, moments[..., None])[..., 0]  # (model, site)
        along -= np.matmul(np.matmul(pending[1], moments[..., None]).swapaxes(1, 2), pending[0])[:, 0]
        _deflate_grams(grams, along, site_loadings[:, component], moments)
        options.progress(component + 1, components)

    if orthonormal is not None:
        site_loadings = np.matmul(site_loadings, orthonormal)
    shape = (len(folds), sets, components)
    return PLSFolds(
        rotations.reshape(*shape, channels),
        site_loadings.reshape(*shape, sites),
        used.reshape(len(folds), sets).T,
        steps.reshape(shape).swapaxes(0, 1),
        training,
        base,
        None if options.intercept else rows.field,
    )


@short_repr
class Training(NamedTuple):
    """Data that all folds share: centred features, and the correction for each fold's own means."""

    x: NDArray[np.float64]  # (image, row, channel)
    ones: NDArray[np.float64]  # (row,)
    folds: NDArray[np.bool_]  # (fold, image), True where the fold leaves out the image
    means: NDArray[np.float64]  # (fold, channel), over the remaining images
    sizes: NDArray[np.float64]  # (fold,), number of positions to train on
    wide: NDArray[np.float64] | None  # (channel, row of all images), centred features before x was narrowed


def _begin(
    rows: Rows, varying: NDArray[np.bool_], folds: NDArray[np.bool_], narrow: bool, overwrite: bool
) -> tuple[Training, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre features and maps, and multiply maps with features.

    Returns
    -------
    Training
    products : array, shape (model, site, channel)
        Products of maps and features over the images that are not left out, both centred on these images.
    base : array, shape (fold, set, site)
        Mean of the maps over the images that are not left out.
    rounding : array, shape (model,)
        Sum of squares of the products that rounding alone could produce.
    """
    sets, images, positions, sites = rows.maps.shape
    sizes = float(rows.ones @ rows.ones) * (~folds).sum(axis=1)
    (x,), _, spread_x = centred(rows.field[None], rows.ones, overwrite)
    x, wide = _narrowed(x) if narrow else (x, None)
    y, mean_y, spread_y = centred(rows.maps, rows.ones)
    means_x = sum_of_rest(rows.ones @ x, folds) / sizes[:, None]  # (fold, channel)
    means_y = sum_of_rest((rows.ones @ y).swapaxes(0, 1), folds) / sizes[:, None, None]  # (fold, set, site)
    products = products_of_rest(y.transpose(1, 2, 0, 3).reshape(images, positions, sets * sites), x, folds)
    if rows.offsets is not None:
        total = x.sum(axis=0)  # (row, channel)
        for fold, left_out in enumerate(folds):
            offset = rows.offsets[:, fold].transpose(1, 0, 2).reshape(positions, sets * sites)
            products[fold] -= offset.T @ (total - x[left_out].sum(axis=0))
            means_y[fold] -= (rows.ones @ offset).reshape(sets, sites) / (rows.ones @ rows.ones)
    for product, size, fold_mean_y, fold_mean_x in zip(products, sizes, means_y, means_x, strict=True):
        product -= size * np.outer(fold_mean_y, fold_mean_x)
    products = products.reshape(len(folds) * sets, sites, -1)
    products *= varying.swapaxes(0, 1).reshape(len(products), sites, 1)
    rounding = EXHAUSTED**2 * spread_x.sum() * np.tile(spread_y.sum(axis=1), len(folds))
    return Training(x, rows.ones, folds, means_x, sizes, wide), products, mean_y + means_y, rounding


def _narrowing_pays(field: NDArray[np.float64], models: int, components: int) -> bool:
    """Return whether a QR decomposition of the features is less work than it saves.

    It takes about 5 operations for each channel and pair of rows, and saves about 20 for each row, model, component
    and channel that is not needed.
    """
    images, rows, channels = field.shape
    return images * rows * channels < 4 * models * components * (channels - images * rows)


def _narrowed(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Express features with more channels than rows in as many orthonormal mixtures of the channels as rows.

    PLS is the same in them. Returns the unchanged features, and None, if the channels differ very much in size,
    because a mixture loses the digits of small channels; else also the features (channel, row) whose QR decomposition
    holds the mixtures.
    """
    squares = np.einsum("irc,irc->c", x, x)
    if squares.max() > UNEVEN * np.median(squares):
        return x, None
    wide = x.reshape(-1, x.shape[-1]).T
    narrow = np.ascontiguousarray(np.transpose(np.linalg.qr(wide, mode="r")))
    return narrow.reshape(*x.shape[:2], -1), wide


def _grams(products: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiply products of maps and features with their transpose (fold, site, site); sum their squares (fold,)."""
    grams = np.matmul(products, products.transpose(0, 2, 1))
    return grams, np.trace(grams, axis1=1, axis2=2)


def _mixed_sites(products: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Express products with more sites than channels in as many orthonormal mixtures of the sites as channels.

    Returns the mixtures (model, mixture, site), and the products (model, mixture, channel).
    """
    models, sites, channels = products.shape
    orthonormal, mixed = np.empty((models, channels, sites)), np.empty((models, channels, channels))
    for model, product in enumerate(products):
        orthonormal[model].T[:], mixed[model] = np.linalg.qr(product)
    return orthonormal, mixed


def _deflate(products: NDArray[np.float64], removed: NDArray[np.float64], loadings: NDArray[np.float64]) -> None:
    """Remove components, (model, component, site) times (model, component, channel), from the products."""
    for product, of_sites, of_channels in zip(products, removed, loadings, strict=True):
        product -= of_sites.T @ of_channels


def _deflate_grams(
    grams: NDArray[np.float64],
    along: NDArray[np.float64],
    loadings: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> None:
    """Remove a component, loadings (model, site) times moments (model, channel), from the Grams of the products.

    ``along`` (model, site) is the products, before they lose this component, times the moments.
    """
    along -= np.einsum("fc,fc->f", moments, moments)[:, None] / 2 * loadings
    some = max(1, CACHED // grams[0].size)
    for first in range(0, len(grams), some):
        part = slice(first, first + some)
        half = loadings[part, :, None] * along[part, None]
        grams[part] -= half + half.transpose(0, 2, 1)


def _pays(x: NDArray[np.float64], models: int, left_out: float, components: int) -> bool:
    """Return whether using the channels' covariance is less work than passing over the rows for each component.

    Work is counted in operations of a matrix product; reading a number takes as long as ``READING`` of them. Rows are
    read for two products, by passes once more for the scores. Models leave out ``left_out`` images on average.
    """
    images, rows, channels = x.shape
    passing = images * rows * channels * (4 * _padded(models) + 3 * READING)
    product = channels**2 * (2 * _padded(models) + READING)
    subtracting = rows * channels * (4 * models * left_out + 2 * READING * images)
    return images * rows * channels**2 + components * (product + subtracting) < components * passing


def _padded(folds: int) -> int:
    """Round a number of folds up to a multiple of the column block."""
    return -(-folds // COLUMN_BLOCK) * COLUMN_BLOCK


@short_repr
class Covariance(NamedTuple):
    """Sums of products of the channels over all rows, and what a fold subtracts from them."""

    whole: NDArray[np.float64]  # (channel, channel)
    largest: float  # variance along the direction that varies most, approximately
    groups: list["Group"]


@short_repr
class Group(NamedTuple):
    """Images that the same folds leave out."""

    folds: NDArray[np.int64]  # at least one
    products: NDArray[np.float64] | None  # (channel, channel), where that is smaller than the rows
    parts: list[NDArray[np.float64]]  # else rows (row, channel), as many as stay cached for a second product


def _covariance(training: Training) -> Covariance:
    """Compute sums of products of the channels over all rows, and over those of each group with no fewer rows.

    The groups take no more memory than the features.
    """
    x, folds = training.x, training.folds
    channels = x.shape[-1]
    members, group_of = np.unique(folds, axis=1, return_inverse=True)
    groups, rest, whole = [], np.ones(len(x), bool), np.zeros((channels, channels))
    for number in np.flatnonzero(members.any(axis=0)):
        images, left_out_by = np.flatnonzero(group_of.ravel() == number), np.flatnonzero(members[:, number])
        if channels <= len(images) * x.shape[1]:
            rows = x[images].reshape(-1, channels)
            products = rows.T @ rows
            whole += products
            rest[images] = False
            groups.append(Group(left_out_by, products, []))
        else:
            parts = [part for image in images for part in np.array_split(x[image], -(-x[image].size // CACHED))]
            groups.append(Group(left_out_by, None, parts))
    rows = (x if rest.all() else x[rest]).reshape(-1, channels)
    whole += rows.T @ rows
    direction = whole[np.argmax(np.diagonal(whole))]
    largest = np.linalg.norm(whole @ direction) / max(np.linalg.norm(direction), np.finfo(float).tiny)
    return Covariance(whole, float(largest), groups)


def _moments_of_covariance(
    training: Training, covariance: Covariance, w: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiply the whole covariance with each model's direction, and subtract the images that the model leaves out.

    Returns what :func:`_moments` does, less precisely where the rest is small.
    """
    folds, means, sizes = training.folds, training.means, training.sizes
    moments = _in_blocks(w) @ covariance.whole
    by_set = moments[: len(w)].reshape(len(folds), -1, w.shape[1])  # (fold, set, channel)
    directions = w.reshape(by_set.shape)
    for left_out_by, products, parts in covariance.groups:
        some = directions[left_out_by].reshape(-1, w.shape[1])
        subtracted = np.zeros_like(some) if products is None else some @ products
        for part in parts:
            subtracted += (part @ some.T).T @ part
        by_set[left_out_by] -= subtracted.reshape(len(left_out_by), -1, w.shape[1])
    offset = np.einsum("fsc,fc->fs", directions, means) * sizes[:, None]
    by_set -= offset[..., None] * means[:, None]
    return moments[: len(w)], np.einsum("mc,mc->m", moments[: len(w)], w)


def _in_blocks(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Append zeros up to a multiple of the column block of rows."""
    padded = np.zeros((_padded(len(w)), w.shape[1]))
    padded[: len(w)] = w
    return padded


def _moments(training: Training, w: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multiply features with each model's scores (model, channel), and sum the squares of the scores (model,).

    This takes one pass over the rows; the folds' directions are padded to a multiple of the column block.
    """
    x, ones, folds, means, _, _ = training
    models, images = len(w), len(x)
    sets = models // len(folds)
    directions = _in_blocks(w)
    offset = np.einsum("isc,ic->is", w.reshape(-1, sets, w.shape[1]), means).reshape(models)
    left_out = np.repeat(folds, sets, axis=0)
    moments, variance = np.zeros_like(directions), np.zeros(len(directions))
    for image in range(images):
        scores = x[image] @ directions.T  # (row, model)
        scores[:, :models] -= ones[:, None] * offset
        scores[:, :models][:, left_out[:, image]] = 0
        moments += scores.T @ x[image]
        variance += np.einsum("rf,rf->f", scores, scores)
    return moments[:models], variance[:models]
