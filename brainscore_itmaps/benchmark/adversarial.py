"""Adversarial alignment: the smallest attacks on a model, how long they are, and whether they change what people use.

After Linsley et al. (2023, arXiv 2306.03229); docs/adversarial.md explains every number and what differs from there.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainscore_itmaps.benchmark.attack_statistics import controls_of_attacks, partial_alignments, tolerances
from brainscore_itmaps.benchmark.attacked import Measured, measured_attacks, settings_of
from brainscore_itmaps.benchmark.catalogue import ADVERSARIAL, ADVERSARIAL_FOLDER, ALIGNMENT, HUMAN_CITATION, TOLERANCE
from brainscore_itmaps.benchmark.classes import check_classes, classes_of
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.human import check_gradients, without_gradients
from brainscore_itmaps.benchmark.human_controls import details_of, over_images
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import AttackedImages, Reading, Result
from brainscore_itmaps.benchmark.source import LoadedModel
from brainscore_itmaps.cache import ResultCache, default_cache
from brainscore_itmaps.data.class_folders import IMAGENET_CLASSES, visible_files
from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files, sizes_of
from brainscore_itmaps.data.images import plain_name
from brainscore_itmaps.data.labelled_images import (
    LabelledImages,
    is_photographs,
    labelled_folder,
    labelled_shards,
    photographs,
)
from brainscore_itmaps.errors import DataError, UsageError, described
from brainscore_itmaps.features.attack import AttackSettings
from brainscore_itmaps.files import sha256
from brainscore_itmaps.metrics.alignment import INTER_HUMAN
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.progress import Report, silent
from brainscore_itmaps.protocol import protocol_named

VERSION = 1
NO_CEILING = "how well people agree is unknown in this measure"
NO_RATIO = "a length is not divided by anything"
FORMULAS = {
    ("ours", True): "none; raw is the mean over images of Spearman's rho of the perturbation's size with the human map "
    "of the image, minus that with the human map of another image",
    ("published", True): "none; raw is the mean over images of Spearman's rho of the perturbation with the human map",
    ("ours", False): "none; raw is the median length (L2) of the smallest perturbation that fools",
    ("published", False): "none; raw is the mean length (L2) of the perturbations of images that were fooled",
}
UNPROJECTED = (
    "the published attack projects nothing, so that its perturbations are not the smallest ones; for comparison only"
)
CITATION = """@article{linsley2023adversarial,
  title={Adversarial alignment: Breaking the trade-off between the strength of an attack and its relevance to human
    perception},
  author={Linsley, Drew and Feng, Pinyuan and Boissin, Thibaut and Ashok, Alekh Karkada and Fel, Thomas and
    Olaiya, Stephanie and Serre, Thomas},
  year={2023},
  url={https://arxiv.org/abs/2306.03229}
}"""


@dataclass(frozen=True)
class AdversarialBenchmark:
    """Adversarial alignment on ClickMe's held-out images, or on a folder of images.

    See :class:`~brainscore_itmaps.benchmark.maps.Benchmark`.

    Attributes
    ----------
    folder : Path or None
        Folder of images, see :func:`~brainscore_itmaps.data.labelled_images.labelled_folder`; None for ClickMe.
    files : tuple of Path
        Shards in ClickMe's format; by default the downloaded shards of held-out images.
    """

    folder: Path | None = None
    files: tuple[Path, ...] = ()

    @cached_property
    def identifier(self) -> str:
        """Return the name of the benchmark: that of the folder, if there is one, with a hash of its content."""
        if self.folder is None:
            return ADVERSARIAL
        if is_photographs(self.folder):
            return f"{ADVERSARIAL_FOLDER}:{self.folder}"
        digest = hashlib.sha256(repr(self.content(ScoreRequest())).encode()).hexdigest()[:8]
        return f"{ADVERSARIAL_FOLDER}:{plain_name(self.folder.resolve().name)}-{digest}"

    @property
    def ceiling(self) -> float:
        """Return NaN: how well people agree is unknown in this measure."""
        return np.nan

    def prepared(self, request: ScoreRequest, progress: Report = silent) -> "AdversarialBenchmark":
        """Check the request, and find the images, before the model is loaded.

        Raises
        ------
        UsageError
            For layers, a window, another attribution method, or an option of the attack that is invalid.
        ModelError
            For a model without gradients.
        DataError
            When the images are missing.
        """
        if request.model.layers or request.window is not None:
            raise UsageError(f"{self.identifier} has no layers or windows.", "Leave out layers and window.")
        if request.attribution != "gradient":
            raise UsageError("Attacks are compared with the gradient alone.", "Leave out the attribution.")
        settings_of(request)
        most = request.attack.most
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise UsageError(f"The largest number of images is {described(most)}.", "Give an integer of 1 or more.")
        check_gradients(request.model)
        if self.folder is None:
            return replace(self, files=tuple(self.files or clickme_files(HELD_OUT)))
        if is_photographs(self.folder):
            photographs()
        elif not self.folder.is_dir():
            raise DataError(f"There is no folder {self.folder} of images.", "Name an existing folder.")
        return self

    def content(self, request: ScoreRequest, progress: Report = silent) -> list[Any]:
        """Return the name and size of each shard, or the name and hash of each file of the folder."""
        if self.folder is None:
            return sizes_of(self.files or clickme_files(HELD_OUT))
        if is_photographs(self.folder):
            return [[file.name, sha256(file)] for file in photographs()]
        return [[str(Path(f).relative_to(self.folder)), sha256(Path(f))] for f in sorted(visible_files(self.folder))]

    def images(self, model: Model, request: ScoreRequest, progress: Report = silent) -> LabelledImages:
        """List the images, and check that their labels are classes of the model."""
        if self.folder is None:
            check_classes(model, IMAGENET_CLASSES)
            files = self.files or clickme_files(HELD_OUT)
            return labelled_shards(files, ADVERSARIAL, protocol_named(request.protocol))
        found = labelled_folder(self.folder, classes_of(model), progress=progress)
        if is_photographs(self.folder):
            check_classes(model, IMAGENET_CLASSES)
        return found

    def score(
        self, model: LoadedModel, request: ScoreRequest, cache: ResultCache | None = None, progress: Report = silent
    ) -> Result:
        """Attack a loaded model, and compare the perturbations with human maps where there are any.

        Raises
        ------
        ModelError
            When the model gives no gradients, is no classifier, or has other classes.
        DataError
            When an image cannot be read.
        """
        if model.torch_model is None:
            raise without_gradients(model.name)
        images = self.images(model.torch_model, request, progress)
        measured = measured_attacks(model.torch_model, images, request, cache or default_cache(), progress)
        return _result(model.torch_model, self.identifier, images, measured, request)


def _result(model: Model, identifier: str, images: LabelledImages, measured: Measured, request: ScoreRequest) -> Result:
    attacked, settings = measured.attacked, settings_of(request)
    published, correlations = settings.protocol == "published", measured.correlations
    with_maps = correlations is not None
    lengths = _details_of_lengths(attacked)
    controls: dict[str, Estimate] = {}
    if correlations is not None:
        values = attacked.own_map if published else attacked.own_map - attacked.other_map
        over = over_images(values, neighbours=not published)
        raw, alignments = (
            over.mean,
            details_of({"raw": over}) | _details_of_alignment(attacked, correlations, measured.seeds, request.controls),
        )
        if published and identifier == ADVERSARIAL:
            alignments["own_map_divided_by_agreement_of_people"] = raw / INTER_HUMAN
        if request.controls:
            found = controls_of_attacks(correlations, measured.seeds, minus_other=not published)
            controls = {name: Estimate(each.mean, reason=NO_CEILING) for name, each in found.items()}
            alignments |= details_of(found)
    else:
        values, alignments = attacked.norms, {}
        raw = lengths["tolerance_mean" if published else "tolerance"]
    alignments.pop("raw", None)
    return Result(
        request=request,
        reading=Reading(
            model=model.name,
            weights=model.weights,
            imagenet_top1=model.top1,
            imagenet_top1_source=model.top1_source,
            device=str(next(model.module.parameters()).device),
            field_of_view="cropped at the centre" if published else "each image fills the model's whole input",
        ),
        benchmark=identifier,
        benchmark_version=VERSION,
        kind="adversarial",
        measure=ALIGNMENT if with_maps else TOLERANCE,
        estimate=Estimate(raw, reason=NO_CEILING if with_maps else NO_RATIO),
        image_value=values,
        controls=controls,
        formula=FORMULAS[settings.protocol, with_maps],
        notes=(*_notes(images, lengths, settings, request.random_seeds), *measured.notes),
        details=lengths
        | alignments
        | {"steps": settings.steps, "restarts": settings.restarts, "decision": settings.decision},
        citations=(CITATION, HUMAN_CITATION) if identifier == ADVERSARIAL else (CITATION,),
        attacked=attacked,
    )


def _details_of_lengths(attacked: AttackedImages) -> dict[str, Any]:
    """Count images, and summarise the lengths of perturbations."""
    correct, found = attacked.correct.astype(bool), np.isfinite(attacked.norms)
    rounded = np.where(np.isnan(attacked.norms_8_bit), np.inf, attacked.norms_8_bit)[correct]
    return {
        "images": len(attacked.names),
        "wrongly_classified": int((~correct).sum()),
        "not_fooled": int((correct & ~found).sum()),
        **tolerances(attacked.norms, correct),
        "tolerance_8_bit": _median(rounded),
        "noise_fools": f"{int(attacked.noise_fools.sum())} of {int((correct & found).sum())}",
    }


def _details_of_alignment(
    attacked: AttackedImages, correlations: NDArray[np.float64], seeds: Sequence[int], with_controls: bool
) -> dict[str, float]:
    """Compute rho with the own and with another image's map, and with controls what they leave of it."""
    details = details_of(
        {"own_map": over_images(attacked.own_map), "other_map": over_images(attacked.other_map, neighbours=True)}
    )
    if not with_controls:
        return details
    with_own = controls_of_attacks(correlations, seeds, minus_other=False)
    human = np.where(np.isfinite(attacked.own_map), correlations[:, 1, 2], np.nan)
    return (
        details
        | details_of(partial_alignments(correlations))
        | {f"own_map_{name}": each.mean for name, each in with_own.items()}
        | {"own_map_other_image": over_images(human).mean}
    )


def _median(lengths: NDArray[np.float64]) -> float:
    """Compute the median; NaN where it is infinite, or there is none."""
    median = float(np.median(lengths)) if len(lengths) else np.nan
    return median if np.isfinite(median) else np.nan


def _notes(
    images: LabelledImages, counts: Mapping[str, Any], settings: AttackSettings, random_seeds: int
) -> Iterator[str]:
    if images.simulated:
        yield "the human maps are SIMULATED: no person was asked"
    if settings.protocol == "published":
        yield UNPROJECTED
    if wrong := counts["wrongly_classified"]:
        yield f"{wrong} of {counts['images']} images are classified wrongly without an attack, and are left out"
    if left := counts["not_fooled"]:
        yield f"{left} images were not fooled: the median counts them as longer than all others, means leave them out"
    if random_seeds and not images.has_maps:
        yield "random weights are attacked only where there are human maps"
    if len(images) > counts["images"]:
        yield f"the first {counts['images']} of {len(images)} images"
    yield from images.notes
