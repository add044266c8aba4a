"""Human alignment: a model's saliency compared with human importance maps (Fel et al. 2022)."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT, HUMAN_CITATION
from brainscore_itmaps.benchmark.classes import check_classes, classes_of
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.human_controls import (
    GIVEN,
    OverImages,
    beyond_controls,
    controls_of,
    correlations_with_controls,
    details_of,
    over_images,
    random_models,
    with_other_maps,
)
from brainscore_itmaps.benchmark.request import ScoreRequest, checked_seeds
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.class_folders import IMAGENET_CLASSES, IMAGES, MAPS, is_human_maps_folder
from brainscore_itmaps.data.clickme import ClickMe, read_clickme
from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files, shard_files, sizes_of
from brainscore_itmaps.data.human_maps import HumanMaps, human_maps
from brainscore_itmaps.data.images import plain_name
from brainscore_itmaps.errors import DataError, ModelError, UsageError, check_type, checked_batch_size, checked_integer
from brainscore_itmaps.features.attribution import check_method, saliency_maps
from brainscore_itmaps.files import sha256
from brainscore_itmaps.metrics.alignment import INTER_HUMAN, Agreement, agreement, summarised
from brainscore_itmaps.models.load import opened
from brainscore_itmaps.models.model import Model, on_device
from brainscore_itmaps.models.names import is_named_model
from brainscore_itmaps.models.own import Preprocessing
from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named
from brainscore_itmaps.settings import expanded
from brainscore_itmaps.text import interval_text, number_text

VERSION = 1
NO_CEILING = "the agreement between people is unknown for these maps"
AS_CLICKME = (
    "{} images of {}, not the held-out images of ClickMe: compare the score only with scores on the same images; the "
    "agreement between people is that published for ClickMe"
)
UNKNOWN_CLASSES = "the classes of the images are unknown: saliency is that of the class with the largest logit"
BATCH_SIZE = 32


@dataclass(frozen=True)
class HumanAlignment:
    """Agreement of a model's saliency with human maps.

    Attributes
    ----------
    agreement : Agreement
        Spearman rho, Dice and IoU of each image.
    accuracy : float
        Percent of these images whose label has the largest logit; NaN if the labels are unknown.
    interval : (float, float)
        95 % bootstrap interval of the score over images.
    raw_interval : (float, float)
        95 % bootstrap interval of the mean Spearman rho over images.
    notes : tuple of str
        How the images and maps of a folder were read, and why a control is absent, as clauses.
    controls : mapping of str to OverImages
        Spearman rho with the human map of what is not the model, by name: nearness to the centre (``centre``), the
        human map of the image before it (``other_image``), and saliency of the same architecture with random weights,
        averaged over seeds (``random_weights``).
    beyond : mapping of str to OverImages
        What of the agreement the controls leave, by name: see
        :func:`~brainscore_itmaps.benchmark.human_controls.beyond_controls`.
    """

    agreement: Agreement
    accuracy: float
    interval: tuple[float, float]
    raw_interval: tuple[float, float] = (np.nan, np.nan)
    notes: tuple[str, ...] = ()
    controls: Mapping[str, OverImages] = field(default_factory=dict)
    beyond: Mapping[str, OverImages] = field(default_factory=dict)

    def __repr__(self) -> str:
        images = len(self.agreement.spearman)
        low, high = self.raw_interval
        interval = "" if np.isnan((low, high)).any() else f" ({interval_text(low, high)})"
        return (
            f"<HumanAlignment on {images} image{'s' * (images != 1)}: rho {number_text(self.agreement.raw)}{interval}>"
        )


@dataclass(frozen=True)
class HumanBenchmark:
    """Human alignment on ClickMe's held-out images, or on a folder of images with human maps.

    See :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.

    Attributes
    ----------
    files : tuple of Path
        Shards in ClickMe's format; by default the downloaded shards of held-out images.
    folder : Path or None
        Folder with the subfolders ``images`` and ``maps``, which replaces the shards.
    as_clickme : bool
        Whether the maps of the folder are ClickMe's, so that the agreement between people is known.
    """

    files: tuple[Path, ...] = ()
    folder: Path | None = None
    as_clickme: bool = False

    @cached_property
    def identifier(self) -> str:
        """Return the name of the benchmark: that of the folder, if there is one, with a hash of its content."""
        if self.folder is None:
            return HUMAN_ALIGNMENT
        digest = hashlib.sha256(repr(self.content(ScoreRequest())).encode()).hexdigest()[:8]
        name = f"{plain_name(self.folder.resolve().name)}-{digest}"
        return f"{HUMAN_ALIGNMENT}:{name}" if self.as_clickme else name

    @property
    def ceiling(self) -> float:
        """Return the correlation between people; NaN if it is unknown for the maps of a folder."""
        return INTER_HUMAN if self.folder is None or self.as_clickme else np.nan

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "HumanBenchmark":
        """Check the request and list the shards, before the model is loaded.

        Raises
        ------
        UsageError
            For layers, a window, or an unknown attribution method.
        ModelError
            For a model without gradients.
        """
        if request.model.layers or request.window is not None:
            raise UsageError(f"{self.identifier} has no layers or windows.", "Leave out layers and window.")
        check_method(request.attribution)
        check_gradients(request.model)
        return replace(self, files=tuple(self._files()))

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Return the name and size of each shard, or the name and hash of each image and map."""
        if self.folder is not None:
            found = sorted(file for part in (IMAGES, MAPS) for file in (self.folder / part).rglob("*"))
            return [[str(file.relative_to(self.folder)), sha256(file)] for file in found if file.is_file()]
        return sizes_of(self._files())

    def score(
        self, model: LoadedModel, request: ScoreRequest, cache: ResultCache | None = None, progress: Report = silent
    ) -> Result:
        """Score a loaded model.

        Raises
        ------
        ModelError
            When the model gives no gradients, or has too few classes.
        DataError
            When the images were not downloaded.
        """
        if model.torch_model is None:
            raise without_gradients(model.name)
        torch_model, method = model.torch_model, request.attribution
        alignment = human_alignment(
            torch_model, self.folder or self._files(), attribution=method, protocol=request.protocol,
            batch_size=request.model.batch_size, random_seeds=request.random_seeds, progress=progress,
        )  # fmt: skip
        agreement = alignment.agreement
        low, high = alignment.raw_interval
        if not request.controls:
            alignment = replace(alignment, controls={}, beyond={})
        controls = {name: self._estimate(found.mean, found.interval) for name, found in alignment.controls.items()}
        notes = alignment.notes
        if np.isfinite(self.ceiling):
            ceiling_details: dict[str, Any] = {"ceiling_source": "published by Fel et al. 2022"}
            formula = "mean Spearman correlation of saliency and human map / that between people"
        else:
            ceiling_details = {"raw_low": low, "raw_high": high} | details_of(alignment.controls)
            formula = "none; raw is the mean Spearman correlation of saliency and human map"
        if self.as_clickme:
            notes = (AS_CLICKME.format(len(agreement.spearman), self.identifier.partition(":")[2]), *notes)
        dice, iou = (summarised(values).mean for values in (agreement.dice, agreement.iou))
        return Result(
            request=request,
            reading=Reading(
                model=torch_model.name,
                weights=torch_model.weights,
                imagenet_top1=torch_model.top1,
                imagenet_top1_source=torch_model.top1_source,
                device=str(next(torch_model.module.parameters()).device),
            ),
            benchmark=self.identifier,
            benchmark_version=VERSION,
            kind="human",
            measure="human alignment",
            estimate=self._estimate(agreement.raw, alignment.raw_interval),
            image_value=agreement.spearman,
            controls=controls,
            formula=formula,
            notes=notes,
            details=ceiling_details
            | {
                "dice": dice,
                "iou": iou,
                "images": len(agreement.spearman),
                "undefined": summarised(agreement.spearman).undefined,
                "attribution": method,
            }
            | ({"top1_on_these": alignment.accuracy} if np.isfinite(alignment.accuracy) else {})
            | details_of(alignment.beyond)
            | ({"partial_given": GIVEN} if alignment.beyond else {}),
            citations=(HUMAN_CITATION,),
        )

    def _estimate(self, mean: float, interval: tuple[float, float]) -> Estimate:
        """Divide a mean and its interval by the agreement between people, where that is known."""
        if np.isnan(self.ceiling):
            return Estimate(mean, reason=NO_CEILING)
        low, high = interval
        return Estimate(mean, self.ceiling, mean / self.ceiling, (low / self.ceiling, high / self.ceiling))

    def _files(self) -> Sequence[Path]:
        return () if self.folder is not None else self.files or clickme_files(HELD_OUT)


def check_gradients(model: ModelRequest) -> None:
    """Check that a requested model is not one of Brain-Score, before it is loaded.

    Raises
    ------
    ModelError
        When it is.

    Examples
    --------
    >>> check_gradients(ModelRequest("efficientnet_lite0"))
    """
    if model.weights.kind != "module" and model.arch is None and not is_named_model(model.name):
        raise without_gradients(model.name)


def without_gradients(model: str) -> ModelError:
    """Return the error about a model of Brain-Score, which gives no gradients.

    Examples
    --------
    >>> print(without_gradients("alexnet").fix)
    Use a model of this package, or of timm (timm:NAME).
    """
    return ModelError(
        f"{model} is a Brain-Score model, and Brain-Score's interface provides no gradients.",
        "Use a model of this package, or of timm (timm:NAME).",
    )


@accept_reference_compat
@shows_progress
def human_alignment(
    model: str | Path | Model | torch.nn.Module,
    files: str | Path | Sequence[Path] | HumanMaps,
    *,
    classes: int | None = None,
    attribution: str = "gradient",
    protocol: str | Protocol = "ours",
    weights: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    random_seeds: int = 0,
    progress: Report = silent,
) -> HumanAlignment:
    """Compare a model's saliency for the label of each image with the human importance map of that image.

    The same comparison of controls stands beside it: nearness to the centre, another image's human map and, if asked
    for, the architecture with random weights.

    Parameters
    ----------
    model : str, Path, Model or torch.nn.Module
        A classifier of the classes that the labels count: ImageNet's thousand, or those of a folder. As for
        :func:`~brainscore_itmaps.load_model`, or what it returns. A module is returned to its former state.
    files : str, Path, sequence of Path, or HumanMaps
        Shards of ClickMe, or in its format: a downloaded split, files, or their folder. Or a folder with the subfolders
        ``images`` (with a subfolder for each class, or without classes) and ``maps``, see
        :func:`~brainscore_itmaps.human_maps`; those maps are not blurred. For a
        folder, ``agreement.score`` means nothing, because the agreement between people is unknown: read
        ``agreement.raw``.
    classes : int, optional
        Number of classes that the labels of shards count; by default 1,000, those of ImageNet-1k.
    attribution : "gradient", "integrated_gradients" or "smoothgrad"
        Attribution method; the published one is "gradient", the size of the gradient.
    protocol : str or Protocol
        "published" blurs human maps as the published code does, in single precision, which moves them by half of one of
        their 64 pixels.
    weights, preprocessing
        As for :func:`~brainscore_itmaps.load_model`.
    device : str
        "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" or "mps". A loaded model stays where it is.
    batch_size : int
        Images per forward and backward pass.
    random_seeds : int
        Number of seeds with which the model's architecture is compared with random weights, as a control. All are in
        memory at once, and each takes as long as the model.
    progress : callable
        Called with (step, images done, images in all); the last is 0 for shards, whose number of images is not known.

    Returns
    -------
    HumanAlignment

    Raises
    ------
    UsageError
        When the batch size, the number of seeds or that of classes is invalid, or the attribution method is unknown.
    DataError
        When a shard is missing or damaged, there are no images, or the classes of a folder are not those of the model.
    ModelError
        When the model is unknown, has another number of classes or no classifier, or its gradients cannot be computed.

    Examples
    --------
    >>> alignment = human_alignment("timm:resnet50", clickme_files(HELD_OUT))  # doctest: +SKIP
    >>> alignment.agreement.score, alignment.interval  # doctest: +SKIP
    """
    fix = "Give a name, what load_model returns, or a torch.nn.Module."
    check_type(model, (str, Path, Model, torch.nn.Module), "a model", fix)
    check_type(
        files,
        (Iterable, Path, HumanMaps),
        "a list of ClickMe shards",
        "Give their paths, as clickme_files returns them, or a folder with the subfolders images and maps.",
    )
    batch_size, seeds = checked_batch_size(batch_size), checked_seeds(random_seeds)
    classes = None if classes is None else checked_integer(classes, "number of classes", least=2)
    if not isinstance(model, Model) or weights is not None or preprocessing is not None:
        with opened(model, weights, preprocessing, progress) as loaded:
            return human_alignment(
                on_device(loaded, device), files, classes=classes, attribution=attribution, protocol=protocol,
                batch_size=batch_size, random_seeds=seeds, progress=progress,
            )  # fmt: skip
    protocol = protocol_named(protocol)
    agreements: list[Agreement] = []
    correct: list[NDArray[np.bool_]] = []
    correlations: list[NDArray[np.float64]] = []
    if isinstance(files, str | Path) and is_human_maps_folder(files):
        folder, count = expanded(files), classes_of(model)
        files = human_maps(folder, classes=count, without_classes=True, progress=progress)
    elif isinstance(files, str | Path):
        files = shard_files(files)
    of_folder = isinstance(files, HumanMaps)
    if isinstance(files, HumanMaps):
        check_classes(model, files.class_count, files.name)
        examples, notes, total = _resized(files, model.spec.size), notes_on(files), len(files)
        unknown = not files.classes
    else:
        check_classes(model, classes or IMAGENET_CLASSES)
        examples, notes, total = read_clickme(files, protocol=protocol), (), 0
        unknown = False
    random, without_random = random_models(model, seeds)
    for batch in _batches(with_other_maps(examples), batch_size):
        progress("comparing with human maps", sum(map(len, correct)), total)
        images, heatmaps = (np.stack([getattr(example, name) for example, _ in batch]) for name in ("image", "heatmap"))
        labels = np.array([example.label for example, _ in batch], dtype=np.int64)
        saliency, largest = saliency_maps(model, images, labels, attribution)
        controls = [saliency_maps(each, images, labels, attribution)[0] for each in random.values()]
        others = np.stack([other for _, other in batch])
        agreements.append(agreement(saliency, heatmaps, protocol=protocol))
        correlations.append(correlations_with_controls(saliency, heatmaps, others, controls))
        correct.append(largest)
    if not agreements:
        raise DataError("There are no images with human maps.", "Give shards that contain images and their human maps.")
    joined = Agreement(
        *(_in_order([getattr(batch, name) for batch in agreements]) for name in ("spearman", "dice", "iou"))
    )
    low, high = over_images(joined.spearman).interval
    among = _in_order(correlations)
    return HumanAlignment(
        agreement=joined,
        accuracy=np.nan if unknown else 100 * float(np.concatenate(correct).mean()),
        interval=(np.nan, np.nan) if of_folder else (low / INTER_HUMAN, high / INTER_HUMAN),
        raw_interval=(low, high),
        notes=(*notes, *without_random),
        controls=controls_of(among, list(random)),
        beyond=beyond_controls(among),
    )


def notes_on(maps: HumanMaps) -> tuple[str, ...]:
    """Describe how a folder of images with human maps was read, as clauses."""
    simulated = ("the human maps are SIMULATED: no person was asked",) if maps.simulated else ()
    classes = () if maps.classes else (UNKNOWN_CLASSES,)
    return (*simulated, *classes, *maps.notes)


def _resized(maps: HumanMaps, side: int) -> Iterator[ClickMe]:
    """Read images and maps of a folder, each resized to a square as a whole."""
    for number in range(len(maps)):
        example = maps.read(number)
        image = Image.fromarray(example.image).resize((side, side), Image.Resampling.BICUBIC)
        heatmap = interpolate(
            torch.from_numpy(example.heatmap)[None, None], (side, side), mode="bilinear", antialias=True
        )
        yield ClickMe(np.asarray(image, dtype=np.float32), heatmap[0, 0].numpy(), example.label)


Paired = tuple[ClickMe, NDArray[np.float32]]


def _batches(examples: Iterable[Paired], size: int) -> Iterator[list[Paired]]:
    remaining = iter(examples)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _in_order(batches: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join the values of batches, of which the last is that of the first image."""
    return np.roll(np.concatenate(batches), 1, axis=0)
