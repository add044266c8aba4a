"""Fit partial least squares over folds of images on a GPU, as :mod:`brainscore_itmaps.metrics.pls` does on processors.

All folds advance together through batched products of matrices in double precision. The steps, their order and the
rules by which a fold stops are those of :func:`~brainscore_itmaps.metrics.pls.fit_pls`; its shortcuts for processors
are left out, because a GPU spends its time on starting operations, not on counting them.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.metrics.pls import ALONE, NOISE, SQUARINGS, PLSFolds, Training
from brainscore_itmaps.metrics.rows import EXHAUSTED, Options, Rows, centred

SHARE = 0.5
"""Share of the free memory of a device that is used at once."""
COPIES = 4
"""Arrays as large as the products of maps and features that are in memory together."""


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; on a processor, as if they were unlimited.

    Examples
    --------
    >>> free_memory(torch.device("cpu")) > 1e12
    True
    """
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 1 << 62


def fit_pls_on(
    rows: Rows, folds: NDArray[np.bool_], varying: NDArray[np.bool_], options: Options, device: str
) -> PLSFolds:
    """Fit PLS for every fold and set on a device, as many folds at once as fit into its free memory.

    Parameters
    ----------
    rows, folds, varying, options
        As in :func:`~brainscore_itmaps.metrics.pls.fit_pls`.
    device : str
        Such as ``"cuda"``.

    Returns
    -------
    PLSFolds
        With the predictions of :func:`~brainscore_itmaps.metrics.pls.fit_pls`, to rounding.

    Examples
    --------
    >>> from brainscore_itmaps.metrics.pls import fit_pls
    >>> from brainscore_itmaps.metrics.rows import rows_of
    >>> rng = np.random.default_rng(0)
    >>> rows = rows_of(rng.normal(size=(5, 4, 3, 8)), rng.normal(size=(1, 5, 4, 3, 2)))
    >>> arguments = rows, np.eye(5, dtype=bool), np.ones((1, 5, 2), bool), Options(components=6)
    >>> on_device, on_processor = fit_pls_on(*arguments, device="cpu"), fit_pls(*arguments)
    >>> bool(np.allclose(on_device.predicted(0, 0), on_processor.predicted(0, 0), atol=1e-12))
    True
    """
    sets, _, positions, sites = rows.maps.shape
    channels = rows.field.shape[-1]
    components = min(options.components, channels, int((~folds).sum(axis=1).min()) * positions)
    (x,), _, spread_x = centred(rows.field[None], rows.ones)
    y, mean_y, spread_y = centred(rows.maps, rows.ones)
    rounding = EXHAUSTED**2 * spread_x.sum() * spread_y.sum(axis=1)
    target = torch.device(device)
    shared = torch.as_tensor(x, device=target), torch.as_tensor(rows.ones, device=target)
    mapped = torch.as_tensor(y, device=target)
    of_fold = 8 * COPIES * sets * channels * (sites + components) + 8 * positions * channels
    parts = min(len(folds), 1 + int(len(folds) * of_fold // (SHARE * free_memory(target))))
    solved = []
    for number, some in enumerate(np.array_split(np.arange(len(folds)), parts)):
        offsets = None if rows.offsets is None else torch.as_tensor(rows.offsets[:, some], device=target)
        part = torch.as_tensor(varying[:, some], device=target), torch.as_tensor(rounding, device=target)
        left_out = torch.as_tensor(folds[some], device=target)
        solved.append(_solve(*shared, mapped, left_out, *part, offsets, components))
        options.progress(number + 1, parts)
    rotations, site_loadings, used, means_x, means_y = (np.concatenate(arrays) for arrays in zip(*solved, strict=True))
    sizes = float(rows.ones @ rows.ones) * (~folds).sum(axis=1)
    return PLSFolds(
        rotations,
        site_loadings,
        used.T,
        np.ones((sets, len(folds), components), np.int64),
        Training(x, rows.ones, folds, means_x, sizes, None),
        mean_y + means_y,
        None if options.intercept else rows.field,
    )


def _solve(
    x: torch.Tensor,
    ones: torch.Tensor,
    y: torch.Tensor,
    left_out: torch.Tensor,
    varying: torch.Tensor,
    rounding: torch.Tensor,
    offsets: torch.Tensor | None,
    components: int,
) -> tuple[NDArray[np.float64], ...]:
    """Fit some folds; return rotations, loadings of sites, numbers of components, and means of features and maps.

    Parameters
    ----------
    x : tensor, shape (image, row, channel)
        Centred features.
    ones : tensor, shape (row,)
    y : tensor, shape (set, image, row, site)
        Centred maps.
    left_out : tensor of bool, shape (fold, image)
    varying : tensor of bool, shape (set, fold, site)
    rounding : tensor, shape (set,)
    offsets : tensor, shape (set, fold, row, site), or None
    components : int
    """
    images, _, channels = x.shape
    sets, sites, folds = len(y), y.shape[-1], len(left_out)
    rest = (~left_out).to(x.dtype)  # (fold, image)
    sizes = (ones @ ones) * rest.sum(dim=1)
    means_x = rest @ torch.einsum("r,irc->ic", ones, x) / sizes[:, None]
    means_y = torch.einsum("fi,r,sirq->fsq", rest, ones, y) / sizes[:, None, None]
    of_images = torch.einsum("sirq,irc->isqc", y, x)
    products = (rest @ of_images.reshape(images, -1)).reshape(folds, sets, sites, channels)
    if offsets is not None:
        for fold in range(folds):
            total = torch.einsum("i,irc->rc", rest[fold], x)
            products[fold] -= torch.einsum("srq,rc->sqc", offsets[:, fold], total)
        means_y -= torch.einsum("r,sfrq->fsq", ones, offsets) / (ones @ ones)
    products -= sizes[:, None, None, None] * means_y[..., None] * means_x[:, None, None]
    products *= varying.swapaxes(0, 1)[..., None]
    products = products.reshape(folds * sets, sites, channels)  # model f * sets + s is fold f of set s
    skipped, means = left_out.repeat_interleave(sets, dim=0), means_x.repeat_interleave(sets, dim=0)
    rounding = rounding.repeat(folds)

    models = folds * sets
    rotations, loadings = (x.new_zeros(models, components, channels) for _ in range(2))
    site_loadings, used = x.new_zeros(models, components, sites), torch.zeros(models, dtype=torch.int64)
    live, largest = torch.ones(models, dtype=torch.bool, device=x.device), x.new_zeros(models)
    tiny = torch.finfo(x.dtype).tiny
    for component in range(components):
        grams = products @ products.mT
        size = torch.diagonal(grams, dim1=1, dim2=2).sum(dim=1)
        if component == 0:
            rounding = torch.maximum(rounding, float(EXHAUSTED) ** 2 * size)
        live &= size > rounding
        if not live.any():
            break
        weights = x.new_zeros(models, sites)
        weights[live] = _largest(grams[live])
        w = (weights[:, None] @ products)[:, 0]
        length = torch.linalg.norm(w, dim=1, keepdim=True).clamp_min(tiny)
        w = w / length
        for _ in range(2):
            along = (loadings[:, :component] @ w[..., None])[..., 0]
            w = w - (along[:, None] @ rotations[:, :component])[:, 0]
        moments, variance = _moments(x, ones, skipped, means, w)
        largest = torch.maximum(largest, variance)
        live &= variance > float(NOISE) ** 2 * largest
        share = torch.where(live, 1 / torch.where(live, variance, 1.0), 0.0)[:, None]
        rotations[:, component], loadings[:, component] = w, moments * share
        site_loadings[:, component] = (grams @ weights[..., None])[..., 0] / length * share
        used += live.cpu()
        products -= site_loadings[:, component, :, None] * moments[:, None]
    shape = folds, sets, components
    return (
        rotations.reshape(*shape, channels).cpu().numpy(),
        site_loadings.reshape(*shape, sites).cpu().numpy(),
        used.reshape(folds, sets).numpy(),
        means_x.cpu().numpy(),
        means_y.cpu().numpy(),
    )


def _largest(grams: torch.Tensor) -> torch.Tensor:
    """Compute the leading eigenvector of each Gram matrix by squaring, as ``exact_direction`` does."""
    powers = grams / torch.diagonal(grams, dim1=1, dim2=2).sum(dim=1)[:, None, None]
    for _ in range(SQUARINGS):
        powers = powers @ powers
        size = torch.diagonal(powers, dim1=1, dim2=2).sum(dim=1)
        powers = powers / size[:, None, None]
        done = size > 1 - ALONE
        if done.all():
            break
    row = torch.diagonal(powers, dim1=1, dim2=2).argmax(dim=1)
    weights = powers[torch.arange(len(powers), device=powers.device), row]
    if not done.all():
        weights[~done] = torch.linalg.eigh(grams[~done])[1][..., -1]
    unit: torch.Tensor = weights / torch.linalg.norm(weights, dim=1, keepdim=True)
    return unit


def _moments(
    x: torch.Tensor, ones: torch.Tensor, skipped: torch.Tensor, means: torch.Tensor, w: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiply features with each model's scores (model, channel), and sum the squares of the scores (model,)."""
    offset = (w * means).sum(dim=1)
    moments, variance = torch.zeros_like(w), torch.zeros_like(offset)
    at_once = max(1, int(SHARE * free_memory(x.device) // (16 * x.shape[1] * len(w))))
    for first in range(0, len(x), at_once):
        some = slice(first, first + at_once)
        features = x[some]
        scores = features @ w.T - ones[:, None] * offset  # (image, row, model)
        scores = scores.masked_fill(skipped[:, some].T[:, None], 0.0)
        flat = scores.reshape(-1, len(w))
        moments += flat.T @ features.reshape(len(flat), -1)
        variance += (flat**2).sum(dim=0)
    return moments, variance
