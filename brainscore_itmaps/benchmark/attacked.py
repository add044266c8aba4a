"""Attack the images of a benchmark in batches, and correlate perturbations with human maps and controls."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from brainscore_itmaps.benchmark.human_controls import correlations_with_controls, random_models
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import AttackedImages
from brainscore_itmaps.cache import Expected, ResultCache, array_content, key_of
from brainscore_itmaps.data.labelled_images import Labelled, LabelledImages
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.features.attack import (
    Attack,
    AttackSettings,
    attack_pixels,
    checked_settings,
    joined_attacks,
    resized_pixels,
)
from brainscore_itmaps.features.attribution import saliency_maps
from brainscore_itmaps.features.minimum_norm import Decide, pixel_decision
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.text import short_repr

KEPT = 100
"""Number of images whose pixels a result keeps."""
PUBLISHED_SIZE = 224
UNKNOWN = -1
"""Label of an image whose class is unknown: the decision of the model is attacked."""
ATTACKED = ("ours", "published")
"""Protocols of adversarial alignment."""


def settings_of(request: ScoreRequest) -> AttackSettings:
    """Return how a request attacks images, with the defaults of its protocol.

    Raises
    ------
    UsageError
        When an option is invalid, or the protocol has no attack.

    Examples
    --------
    >>> settings_of(ScoreRequest(protocol="published")).steps
    1000
    """
    if request.protocol not in ATTACKED:
        raise UsageError(
            f"The protocol {request.protocol} has no attack.", f"Use the protocol {' or '.join(ATTACKED)}."
        )
    asked = request.attack
    decision: Any = asked.decision or None
    return checked_settings(asked.steps, asked.restarts, decision, request.protocol)


@short_repr
class Measured(NamedTuple):
    """What was measured on each attacked image.

    Attributes
    ----------
    attacked : AttackedImages
    correlations : array, shape (image, variable, variable), or None
        Rank correlations among maps: size of the perturbation, human map, another image's human map, nearness to the
        centre, its squared and cubed ranks, noise, saliency, and the perturbation with random weights for each seed,
        of the model's own decision. None without human maps.
    seeds : tuple of int
        Seeds of random weights.
    notes : tuple of str
    """

    attacked: AttackedImages
    correlations: NDArray[np.float64] | None
    seeds: tuple[int, ...]
    notes: tuple[str, ...]


def measured_attacks(
    model: Model, images: LabelledImages, request: ScoreRequest, cache: ResultCache, progress: Report = silent
) -> Measured:
    """Attack images, and correlate the size of each perturbation with human maps and controls.

    Each image's attack is cached by its content, so that an interrupted run resumes.

    Parameters
    ----------
    model : Model
    images : LabelledImages
    request : ScoreRequest
    cache : ResultCache
    progress : callable
        Called with (step, images done, images in all).

    Raises
    ------
    DataError
        When there are no images, or one cannot be read.
    ModelError, UsageError
        As for :func:`~brainscore_itmaps.features.attack.attack`.
    """
    settings, batch_size = settings_of(request), request.model.batch_size
    count = min(len(images), request.attack.most)
    if not count:
        raise DataError("There are no images to attack.", "Give a folder with images.")
    random, notes = random_models(model, request.random_seeds if images.has_maps else 0)
    decide = pixel_decision(model, settings.decision)
    deciders = [(each, pixel_decision(each, settings.decision)) for each in random.values()]
    attacks: list[Attack] = []
    correlations: list[NDArray[np.float64]] = []
    fools: list[NDArray[np.bool_]] = []
    kept: list[NDArray[np.float32]] = []
    last = None
    if images.has_maps and count > 1:
        last = _prepared(model, images.read(count - 1), settings).heatmap
    for first in range(0, count, batch_size):
        examples = [images.read(number) for number in range(first, min(first + batch_size, count))]
        batch = [_prepared(model, example, settings) for example in examples]
        pixels = torch.stack([example.pixels for example in batch])
        labels = np.array([example.label for example in batch], dtype=np.int64)

        def report(done: int, total: int, first: int = first, size: int = len(batch)) -> None:
            progress("attacking images", first + done * size // max(total, 1), count)

        found = _cached_attack(model, decide, pixels, labels, settings, cache, report)
        own = np.full_like(labels, UNKNOWN)  # random weights would classify nearly all images wrongly
        others = [_cached_attack(each, random_decide, pixels, own, settings, cache) for each, random_decide in deciders]
        if settings.protocol == "published":
            found = replace(found, norms=_norms_as_published(found))
        noise = _noise_of(found, first)
        fools.append(_fools(decide, found, noise))
        if images.has_maps:
            heatmaps = np.stack([example.heatmap for example in batch if example.heatmap is not None])
            before = np.zeros_like(heatmaps[:1]) if last is None else last[None]
            maps = [
                _sizes(found, settings),
                np.abs(noise).max(axis=3) if settings.protocol == "ours" else _as_published(noise),
                _saliency(model, found, labels, heatmaps.shape[1:]),
                *(_sizes(other, settings) for other in others),
            ]
            maps[1] = np.where(_attackable(found)[:, None, None], maps[1], 0)
            correlations.append(
                correlations_with_controls(maps[0], heatmaps, np.concatenate([before, heatmaps[:-1]]), maps[1:])
            )
            last = heatmaps[-1]
            kept.append(heatmaps[: max(0, KEPT - first)])
        attacks.append(_without_pixels(found, KEPT - first))
    progress("attacking images", count, count)
    joined = joined_attacks(attacks)
    correlated = np.concatenate(correlations) if correlations else None
    attacked = _attacked(images.names[:count], joined, np.concatenate(fools), correlated, kept)
    return Measured(attacked, correlated, tuple(random), notes)


class _Prepared(NamedTuple):
    """Pixels (rgb, y, x) from 0 to 1 at the model's input size, the label, and the human map at the size it is used."""

    pixels: torch.Tensor
    label: int
    heatmap: NDArray[np.float32] | None


def _prepared(model: Model, example: Labelled, settings: AttackSettings) -> _Prepared:
    """Resize an image as a whole, and its human map with it; as published, crop both at the centre."""
    if settings.protocol == "published":
        return _prepared_as_published(model, example)
    pixels = resized_pixels(model, Image.fromarray(example.image))
    heatmap = None if example.heatmap is None else _resized(example.heatmap, model.spec.size)
    return _Prepared(pixels, example.label, heatmap)


def _resized(heatmap: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    values = torch.from_numpy(np.ascontiguousarray(heatmap))[None, None]
    resized: NDArray[np.float32] = functional.interpolate(
        values, (side, side), mode="bilinear", antialias=True
    )[0, 0].numpy()  # fmt: skip
    return resized


def _prepared_as_published(model: Model, example: Labelled) -> _Prepared:
    """Stack image and map, resize and crop them as timm does, and scale each from 0 to 1 by its own extremes.

    How the scripts resize a map beside an image is not stated: both are resized with the interpolation of the model.
    """
    from torchvision.transforms import functional as transforms
    from torchvision.transforms.functional import InterpolationMode

    spec, size = model.spec, model.spec.size
    colours = torch.from_numpy(example.image.copy()).permute(2, 0, 1).float()
    layers = [colours]
    if example.heatmap is not None:
        heatmap = torch.from_numpy(np.ascontiguousarray(example.heatmap))[None, None]
        layers.append(functional.interpolate(heatmap, colours.shape[1:], mode="bilinear", antialias=True)[0])
    mode = InterpolationMode(spec.interpolation or "bicubic")
    stacked = transforms.resize(torch.cat(layers), [int(size / spec.crop)], mode, antialias=True)
    stacked = transforms.center_crop(stacked, [size, size])
    pixels = _unit_range(stacked[:3])
    if example.heatmap is None:
        return _Prepared(pixels, example.label, None)
    resized = functional.interpolate(_unit_range(stacked[3:])[None], (PUBLISHED_SIZE,) * 2, mode="bicubic")
    return _Prepared(pixels, example.label, resized[0, 0].numpy())


def _unit_range(values: torch.Tensor) -> torch.Tensor:
    low, high = values.min(), values.max()
    return ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)


def _cached_attack(
    model: Model,
    decide: Decide,
    pixels: torch.Tensor,
    labels: NDArray[np.int64],
    settings: AttackSettings,
    cache: ResultCache,
    report: Any = None,
) -> Attack:
    """Attack the images of a batch that are not in the cache yet; a user's code is attacked every time."""
    if model.own_code:
        return attack_pixels(decide, pixels, labels, settings, progress=report)
    spec, side = model.spec, model.spec.size
    device = next(model.module.parameters()).device.type
    content = f"{model.module!r} {spec.architecture} {spec.options} {model.sha256} {spec.mean} {spec.std} {device}"
    keys = {
        number: key_of(attacked=content, pixels=array_content(image.numpy()), label=int(label), settings=repr(settings))
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True))
    }
    number_of = {
        "norm": Expected((), undefined=True, low=0), "norm_8_bit": Expected((), undefined=True, low=0),
        "label": Expected((), "i", low=0), "decided": Expected((), "i", low=0), "correct": Expected((), "b"),
        "adversarial": Expected((side, side, 3), low=0, high=1),
    }  # fmt: skip

    def attacked(missing: list[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        found = attack_pixels(decide, pixels[missing], labels[missing], settings, progress=report)
        for place, number in enumerate(missing):
            yield number, {
                "norm": _finite(found.norms[place]), "norm_8_bit": _finite(found.norms_8_bit[place]),
                "label": found.labels[place], "decided": found.decided[place], "correct": found.correct[place],
                "adversarial": found.adversarial[place],
            }  # fmt: skip

    entries = cache.computed_all(keys, attacked, dict.fromkeys(keys, number_of))
    column = {name: np.stack([entries[number][name] for number in keys]) for name in number_of}
    norm, rounded = (np.where(np.isnan(column[name]), np.inf, column[name]) for name in ("norm", "norm_8_bit"))
    images = pixels.permute(0, 2, 3, 1).numpy()
    return Attack(images, column["adversarial"], norm, rounded, column["label"], column["decided"], column["correct"])


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else np.nan


def _attackable(found: Attack) -> NDArray[np.bool_]:
    """Return which images were classified correctly and fooled."""
    return found.correct & found.fooled


def _sizes(found: Attack, settings: AttackSettings) -> NDArray[np.float64]:
    """Compute the size of the perturbation at each pixel: the largest over colours. 0 where there is none."""
    if settings.protocol == "published":
        sizes = _as_published(found.perturbations)
    else:
        sizes = np.abs(found.perturbations).max(axis=3).astype(np.float64)
    return np.where(_attackable(found)[:, None, None], sizes, 0)


def _as_published(perturbations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the size as published: after resizing, the absolute value of the largest signed difference."""
    sizes: NDArray[np.float64] = np.abs(_resized_as_published(perturbations).max(axis=3)).astype(np.float64)
    return sizes


def _norms_as_published(found: Attack) -> NDArray[np.float64]:
    """Compute the length of each perturbation after image and attacked image are resized."""
    moved = _resized_as_published(found.adversarial) - _resized_as_published(found.images)
    lengths = np.linalg.norm(moved.reshape(len(moved), -1), axis=1)
    return np.where(found.fooled & found.correct, lengths, found.norms)


def _resized_as_published(perturbations: NDArray[np.float32]) -> NDArray[np.float32]:
    if perturbations.shape[1] == PUBLISHED_SIZE:
        return perturbations
    values = torch.from_numpy(perturbations).permute(0, 3, 1, 2)
    resized = functional.interpolate(values, (PUBLISHED_SIZE,) * 2, mode="bicubic")
    moved: NDArray[np.float32] = resized.permute(0, 2, 3, 1).numpy()
    return moved


def _noise_of(found: Attack, first: int) -> NDArray[np.float32]:
    """Draw Gaussian noise for each image that is as long as its perturbation; the image's number is the seed."""
    drawn = []
    for place, (image, norm) in enumerate(zip(found.images, found.norms, strict=True)):
        noise = np.random.default_rng(first + place).standard_normal(image.shape, dtype=np.float32)
        drawn.append(noise * (norm if np.isfinite(norm) else 0) / np.linalg.norm(noise))
    stacked: NDArray[np.float32] = np.stack(drawn).astype(np.float32)
    return stacked


def _fools(decide: Decide, found: Attack, noise: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return whether noise as long as the perturbation fools the model, too."""
    pixels = torch.from_numpy(np.clip(found.images + noise, 0, 1)).permute(0, 3, 1, 2)
    with torch.no_grad():
        decided = decide(pixels.contiguous()).argmax(dim=1).cpu().numpy()
    return np.asarray(decided != found.labels) & _attackable(found)


def _saliency(model: Model, found: Attack, labels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Compute the model's gradient saliency for the label of each image, at the size of the human maps."""
    saliency, _ = saliency_maps(model, (255 * found.images).astype(np.float32), labels)
    if saliency.shape[1:] != shape:
        saliency = functional.interpolate(
            torch.from_numpy(saliency)[:, None], tuple(shape), mode="bilinear", antialias=True
        )[:, 0].numpy()  # fmt: skip
    return np.where(_attackable(found)[:, None, None], saliency, 0)


def _without_pixels(found: Attack, most: int) -> Attack:
    """Keep the pixels of the first images only."""
    kept = max(0, most)
    return replace(found, images=found.images[:kept], adversarial=found.adversarial[:kept])


def _attacked(
    names: Sequence[str],
    found: Attack,
    noise_fools: NDArray[np.bool_],
    correlations: NDArray[np.float64] | None,
    heatmaps: Sequence[NDArray[np.float32]],
) -> AttackedImages:
    undefined = np.full(len(found), np.nan)
    return AttackedImages(
        names=tuple(names),
        labels=found.labels,
        decided=found.decided,
        correct=found.correct.astype(np.uint8),
        norms=np.where(found.fooled, found.norms, np.nan),
        norms_8_bit=np.where(np.isfinite(found.norms_8_bit), found.norms_8_bit, np.nan),
        noise_fools=noise_fools.astype(np.uint8),
        own_map=undefined if correlations is None else correlations[:, 0, 1],
        other_map=undefined if correlations is None else correlations[:, 0, 2],
        images=found.images,
        adversarial=found.adversarial,
        heatmaps=np.concatenate(heatmaps) if heatmaps else np.zeros((0, 0, 0), np.float32),
    )
