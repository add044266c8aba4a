"""Human alignment: a model's saliency compared with human importance maps (Fel et al. 2022)."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading, Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.clickme import ClickMe, read_clickme
from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files
from brainscore_itmaps.errors import DataError, ModelError, UsageError, check_type
from brainscore_itmaps.features.attribution import check_method, saliency_maps
from brainscore_itmaps.metrics.alignment import INTER_HUMAN, Agreement, agreement, summarised
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.names import is_named_model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import Protocol, accept_reference_compat, protocol_named

VERSION = 1
BATCH_SIZE = 32
RESAMPLES = 2000
CITATION = """@inproceedings{fel2022harmonizing,
  title={Harmonizing the object recognition strategies of deep neural networks with humans},
  author={Fel, Thomas and Rodriguez, Ivan F and Linsley, Drew and Serre, Thomas},
  booktitle={Advances in Neural Information Processing Systems},
  volume={35},
  year={2022},
  url={https://arxiv.org/abs/2211.04533}
}"""


@dataclass(frozen=True)
class HumanAlignment:
    """Agreement of a model's saliency with human maps.

    Attributes
    ----------
    agreement : Agreement
        Spearman rho, Dice and IoU of each image.
    accuracy : float
        Percent of these images whose label has the largest logit.
    interval : (float, float)
        95 % bootstrap interval of the score over images.
    """

    agreement: Agreement
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class HumanBenchmark:
    """Human alignment on ClickMe's held-out images; see :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.

    Attributes
    ----------
    files : tuple of Path
        Shards in ClickMe's format; by default the downloaded shards of held-out images.
    """

    files: tuple[Path, ...] = ()
    identifier: str = HUMAN_ALIGNMENT

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
            raise UsageError(f"{self.identifier} has no layers or windows.", "Leave out --layers and --window.")
        check_method(request.attribution)
        if (
            request.model.weights.kind != "module"
            and request.model.arch is None
            and not is_named_model(request.model.name)
        ):
            raise self._without_gradients(request.model.name)
        return replace(self, files=tuple(self._files()))

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Return the name and size of each shard."""
        return [[file.name, file.stat().st_size] for file in self._files()]

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
            raise self._without_gradients(model.name)
        torch_model, method = model.torch_model, request.attribution
        alignment = human_alignment(
            torch_model, self._files(), attribution=method, protocol=request.protocol,
            batch_size=request.model.batch_size, progress=progress,
        )  # fmt: skip
        agreement = alignment.agreement
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
            estimate=Estimate(agreement.raw, INTER_HUMAN, agreement.score, alignment.interval),
            image_value=agreement.spearman,
            formula="mean Spearman correlation of saliency and human map / that between people",
            details={
                "ceiling_source": "published by Fel et al. 2022",
                "dice": dice,
                "iou": iou,
                "top1_on_these": alignment.accuracy,
                "images": len(agreement.spearman),
                "undefined": summarised(agreement.spearman).undefined,
                "attribution": method,
            },
            citations=(CITATION,),
        )

    def _without_gradients(self, model: str) -> ModelError:
        return ModelError(
            f"{model} is a Brain-Score model, and Brain-Score's interface provides no gradients.",
            "Use a model of this package, or of timm (timm:<name>).",
        )

    def _files(self) -> Sequence[Path]:
        return self.files or clickme_files(HELD_OUT)


@accept_reference_compat
def human_alignment(
    model: Model,
    files: Sequence[Path],
    *,
    attribution: str = "gradient",
    protocol: str | Protocol = "ours",
    batch_size: int = BATCH_SIZE,
    progress: Report = silent,
) -> HumanAlignment:
    """Compare a model's saliency for the label of each image with the human importance map of that image.

    Parameters
    ----------
    model : Model
        A classifier of ImageNet's thousand classes, or of the classes in the shards.
    files : sequence of Path
        Shards of ClickMe, or in its format.
    attribution : "gradient", "integrated_gradients" or "smoothgrad"
        Attribution method; the published one is "gradient", the size of the gradient.
    protocol : str or Protocol
        "published" blurs human maps as the published code does, in single precision, which moves them by half of one of
        their 64 pixels.
    batch_size : int
        Images per forward and backward pass.
    progress : callable
        Called with (step, images done, 0), because the number of images is not known.

    Returns
    -------
    HumanAlignment

    Raises
    ------
    DataError
        When a shard is missing or damaged, or there are no images.
    ModelError
        When the model has too few classes, or its gradients cannot be computed.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> alignment = human_alignment(load_model("timm:resnet50"), clickme_files(HELD_OUT))  # doctest: +SKIP
    >>> alignment.agreement.score, alignment.interval  # doctest: +SKIP
    """
    check_type(model, Model, "a loaded model", "Give what load_model returns.")
    check_type(files, Iterable, "a list of ClickMe shards", "Give their paths, as clickme_files returns them.")
    protocol = protocol_named(protocol)
    agreements: list[Agreement] = []
    correct: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
    for batch in _batches(read_clickme(files, protocol=protocol), batch_size):
        progress("comparing with human maps", sum(map(len, correct)), 0)
        images, heatmaps = (np.stack([getattr(example, name) for example in batch]) for name in ("image", "heatmap"))
        labels = np.array([example.label for example in batch], dtype=np.int64)
        saliency, largest = saliency_maps(model, images, labels, attribution)
        agreements.append(agreement(saliency, heatmaps, protocol=protocol))
        correct.append(largest)
    if not agreements:
        raise DataError("There are no images with human maps.", "Give shards that contain images and their human maps.")
    joined = Agreement(
        *(np.concatenate([getattr(batch, name) for batch in agreements]) for name in ("spearman", "dice", "iou"))
    )
    return HumanAlignment(joined, 100 * float(np.concatenate(correct).mean()), _interval(joined))


def _batches(examples: Iterable[ClickMe], size: int) -> Iterator[list[ClickMe]]:
    remaining = iter(examples)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _interval(agreement: Agreement) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the score over images."""
    defined = agreement.spearman[np.isfinite(agreement.spearman)]
    if len(defined) < 2:
        return (np.nan, np.nan)
    interval = bootstrap_over_images(np.mean, defined, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return interval.low / INTER_HUMAN, interval.high / INTER_HUMAN
