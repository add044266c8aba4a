"""What was asked of a model, and which weights it has: provenance as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

WeightsKind = Literal["pretrained", "random", "file", "module", "external"]


@dataclass(frozen=True)
class Weights:
    """Which weights a model has, or is asked to have.

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
        """A sentence for people; nothing reads it back."""
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
    """A model as it is asked for.

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
