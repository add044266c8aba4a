"""Build a network of timm and fill it with weights from a file, for a model folder of Brain-Score.

``brainscore contribute export`` writes these functions into the folder of each model.
"""

import hashlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from brainscore_itmaps.images import read_image
from brainscore_itmaps.models.build import pad_like_keras


def build_network(
    architecture: str,
    weights: Path,
    *,
    names: Callable[[dict[str, torch.Tensor], torch.nn.Module], dict[str, torch.Tensor]] | None = None,
    same_padding: bool = False,
    **options: Any,
) -> torch.nn.Module:
    """Build an architecture of timm with the weights in a file.

    Parameters
    ----------
    architecture : str
    weights : Path
        A state dict, in safetensors or saved by torch.
    names : callable, optional
        Takes the state dict and the network; returns the state dict with the names of the network.
    same_padding : bool
        Pad the pooling and strided convolutions of a ResNet as TensorFlow does.
    **options
        Arguments of ``timm.create_model``.

    Returns
    -------
    torch.nn.Module
        In eval mode.

    Examples
    --------
    >>> import tempfile, timm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "weights.pth")
    ...     torch.save(timm.create_model("test_resnet").state_dict(), file)
    ...     network = build_network("test_resnet", file)
    >>> network.training
    False
    """
    import timm

    network = cast(torch.nn.Module, timm.create_model(architecture, **options))
    if same_padding:
        network = pad_like_keras(network)
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(weights)
    else:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state if names is None else names(state, network))
    return network.eval()


def verified(file: Path | str, digest: str) -> Path:
    """Check the SHA-1 or SHA-256 of a file: Brain-Score's download of weights does not.

    Raises
    ------
    ValueError
        When the file has another hash.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     verified(file.name, hashlib.sha1(b"").hexdigest()).name == Path(file.name).name
    True
    """
    with Path(file).open("rb") as opened:
        found = hashlib.file_digest(opened, "sha1" if len(digest) == 40 else "sha256").hexdigest()
    if found != digest:
        raise ValueError(f"{file} has the hash {found}, not {digest}. Delete it; it is then downloaded again.")
    return Path(file)


def packaged_file(path: str) -> Path:
    """Find a file in an installed Python package, whose name is the first part of the path.

    Raises
    ------
    FileNotFoundError
        When the package is not installed.

    Examples
    --------
    >>> packaged_file("numpy/__init__.py").name
    '__init__.py'
    """
    spec = find_spec(path.split("/")[0])
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"The package of {path} is not installed. Install the requirements.txt of this folder.")
    return Path(spec.submodule_search_locations[0]).parent / path


def preprocess(
    images: Sequence[str | Path],
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    interpolation: str,
) -> NDArray[np.float32]:
    """Read images and resize each as a whole to the input size, so that maps cover the image.

    Parameters
    ----------
    images : sequence of path
    size : int
        Height and width in pixels.
    mean, std : three floats
        For RGB values in [0, 1].
    interpolation : str

    Returns
    -------
    array, shape (image, 3, size, size)

    Examples
    --------
    >>> preprocess([], 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic").shape
    (0, 3, 224, 224)
    """
    from timm.data import create_transform

    transform = create_transform(
        input_size=size, interpolation=interpolation, mean=mean, std=std, crop_pct=1.0, crop_mode="squash"
    )
    inputs = [transform(read_image(Path(image))).numpy() for image in images]
    return np.stack(inputs) if inputs else np.empty((0, 3, size, size), np.float32)
