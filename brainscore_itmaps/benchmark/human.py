"""Human alignment: does a network look where people say that it matters? (Fel et al. 2022, on ClickMe.)"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT
from brainscore_itmaps.data.clickme import ClickMe, read_clickme
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.features.saliency import saliency_maps
from brainscore_itmaps.metrics.alignment import summarised
from brainscore_itmaps.metrics.human import INTER_HUMAN, Agreement, agreement
from brainscore_itmaps.metrics.inference import bootstrap_over_images
from brainscore_itmaps.models.network import Network
from brainscore_itmaps.progress import Report, silent

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
    """Agreement of a network's saliency with human maps.

    Attributes
    ----------
    model, weights, weights_sha256 : str
    agreement : Agreement
        Picture by picture.
    accuracy : float
        Percent of these pictures whose label has the largest logit.
    method : str
        How saliency was computed.
    reference_compat : bool
    interval : (float, float)
        95 % bootstrap over pictures, of the score.
    """

    model: str
    weights: str
    weights_sha256: str
    agreement: Agreement
    accuracy: float
    method: str
    reference_compat: bool
    interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Numbers alone, as JSON takes them."""
        found = self.agreement
        overlap = {name: _plain(summarised(getattr(found, name)).mean) for name in ("dice", "iou")}
        return {
            "model": self.model,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "benchmark": HUMAN_ALIGNMENT,
            "benchmark_version": VERSION,
            "score": _plain(found.score),
            "interval": [_plain(end) for end in self.interval],
            "formula": "mean Spearman correlation of saliency and human map / that between people",
            "raw": _plain(found.raw),
            "ceiling": INTER_HUMAN,
            "ceiling_source": "published by Fel et al. 2022",
            **overlap,
            "top1_on_these": self.accuracy,
            "pictures": len(found.spearman),
            "undefined": summarised(found.spearman).undefined,
            "attribution": self.method,
            "reference_compat": self.reference_compat,
        }


def human_alignment(
    network: Network,
    files: Sequence[Path],
    *,
    attribution: str = "gradient",
    reference_compat: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: Report = silent,
) -> HumanAlignment:
    """Compare a network's saliency for the label of every picture with the picture's human map.

    Parameters
    ----------
    network : Network
        A classifier of ImageNet's thousand classes, or of those in the files.
    files : sequence of Path
        Shards of ClickMe, or in its format.
    attribution : "gradient", "integrated_gradients" or "smoothgrad"
        The size of the gradient is what was published.
    reference_compat : bool
        Blur human maps as the published code does, which moves them by half a pixel of 64; in single precision.
    batch_size : int
    progress : callable
        Told (what is being done, pictures done, pictures in all; 0 where that is not known).

    Raises
    ------
    DataError
        When a file is missing or damaged, or holds no pictures.
    ModelError
        When the network has too few classes, or lets no gradient through.
    """
    seen: list[Agreement] = []
    right: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
    for batch in _batches(read_clickme(files, reference_compat=reference_compat), batch_size):
        progress("comparing with human maps", sum(map(len, right)), 0)
        images, heatmaps = (np.stack([getattr(each, name) for each in batch]) for name in ("image", "heatmap"))
        labels = np.array([each.label for each in batch], dtype=np.int64)
        saliency, correct = saliency_maps(network, images, labels, attribution)
        seen.append(agreement(saliency, heatmaps, reference_compat=reference_compat))
        right.append(correct)
    if not seen:
        raise DataError("There are no pictures with human maps.", "Give files that hold some.")
    joined = Agreement(
        *(np.concatenate([getattr(each, name) for each in seen]) for name in ("spearman", "dice", "iou"))
    )
    return HumanAlignment(
        network.name,
        network.weights,
        network.sha256,
        joined,
        100 * float(np.concatenate(right).mean()),
        attribution,
        reference_compat,
        _interval(joined),
    )


def _batches(examples: Iterable[ClickMe], size: int) -> Iterator[list[ClickMe]]:
    waiting = iter(examples)
    while batch := list(itertools.islice(waiting, size)):
        yield batch


def _interval(found: Agreement) -> tuple[float, float]:
    """Of the score, over pictures."""
    defined = found.spearman[np.isfinite(found.spearman)]
    if len(defined) < 2:
        return (np.nan, np.nan)
    drawn = bootstrap_over_images(np.mean, defined, rng=np.random.default_rng(0), resamples=RESAMPLES)
    return drawn.low / INTER_HUMAN, drawn.high / INTER_HUMAN


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
