"""Pretrained models in installed packages, which are loaded only when the cache lacks something of their scores."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from brainscore_itmaps.benchmark.catalogue import View
from brainscore_itmaps.benchmark.codec import decode, encode
from brainscore_itmaps.benchmark.result import Reading, Saliency
from brainscore_itmaps.benchmark.source import HookedModel, Source
from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.grid import LayerFeatures
from brainscore_itmaps.models.checkpoint import packaged_file
from brainscore_itmaps.models.model import Model, chosen_device
from brainscore_itmaps.models.names import is_user_model
from brainscore_itmaps.models.spec import ModelRequest, ModelSpec, PackagedWeights
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.progress import Report
from brainscore_itmaps.protocol import OURS, Protocol
from brainscore_itmaps.threads import computed_once

LAZY_DEVICE = "cpu"
STORED = {"source": Expected((-1,), "u")}


@dataclass(frozen=True)
class PackagedModel:
    """A pretrained model in an installed package; see :class:`~brainscore_itmaps.benchmark.source.LoadedModel`.

    What its module states about a source of features, such as the part of cache keys that identifies it, is cached.

    Attributes
    ----------
    spec : ModelSpec
    load : callable
        Loads the model on the CPU the first time, and returns it.
    """

    spec: ModelSpec
    load: Callable[[], HookedModel]

    @property
    def name(self) -> str:
        """Return the name of the model."""
        return self.spec.identifier

    @property
    def visual_degrees(self) -> float:
        """Return the width of the field of view in degrees of visual angle."""
        return self.spec.visual_degrees

    @property
    def torch_model(self) -> Model:
        """Return the torch model, after loading it."""
        return self.load().torch_model

    @property
    def notes(self) -> tuple[str, ...]:
        """Return no notes: nothing is decided when these models are loaded."""
        return ()

    def source(
        self,
        layers: Sequence[str] = (),
        view: View = "whole",
        protocol: Protocol = OURS,
        cache: ResultCache | None = None,
    ) -> Source:
        """Return the source of the features of these layers; the model is loaded if the cache does not know it.

        Parameters
        ----------
        layers, view, protocol, cache
            As for :meth:`~brainscore_itmaps.benchmark.source.HookedModel.source`.

        Raises
        ------
        ModelError
            As for :meth:`~brainscore_itmaps.benchmark.source.HookedModel.source`.
        """
        loaded = computed_once(lambda: self.load().source(layers, view, protocol, cache))
        if cache is None:
            return loaded()
        new = torch.empty(0)  # of the type and on the device that modules are built with
        key = key_of(
            source=repr(vars(self.spec)),  # with the hash of the file; the repr of a spec is cut
            layers=list(layers),
            view=view,
            read_as=[protocol.preprocess, protocol.resample, LAZY_DEVICE],
            built_as=f"{new.dtype} {new.device}",
        )
        stored = cache.computed(key, lambda: {"source": _encoded(loaded())}, STORED)["source"]
        try:
            return _decoded(json.loads(stored.tobytes()), loaded)
        except (ValueError, LookupError, TypeError):  # a damaged entry
            return loaded()


def packaged_spec(request: ModelRequest) -> ModelSpec | None:
    """Return the specification of a requested model if it can be scored as a :class:`PackagedModel`, else None.

    It must be a pretrained model of the zoo in an installed package, on the CPU. A process that has imported timm loads
    models in a moment, and may have changed timm.

    Examples
    --------
    >>> packaged_spec(ModelRequest("timm:test_vit")) is None
    True
    """
    spec = ZOO.get(request.name)
    if spec is None or not isinstance(spec.weights, PackagedWeights) or is_user_model(request.name):
        return None
    changed = (request.arch, request.preprocessing, request.state_key, request.label)
    if request.weights.kind != "pretrained" or any(option is not None for option in changed):
        return None
    return spec if "timm" not in sys.modules and chosen_device(request.device) == LAZY_DEVICE else None


def packaged_model(spec: ModelSpec, load: Callable[[], HookedModel]) -> PackagedModel:
    """Return a model in an installed package, whose file is verified now, and which is loaded when it is needed.

    Parameters
    ----------
    spec : ModelSpec
    load : callable
        Loads the model on the CPU.

    Raises
    ------
    ModelError
        When the package is not installed, or its file has another sha256.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> packaged_model(ZOO["efficientnet_lite0"], lambda: HookedModel(load_model("efficientnet_lite0"))).name
    'efficientnet_lite0'
    """
    assert isinstance(spec.weights, PackagedWeights)
    packaged_file(spec.weights)
    return PackagedModel(spec, computed_once(load))


def _encoded(source: Source) -> Any:
    plain = {
        "reading": encode(source.reading).plain,
        "layers": source.layers,
        "content": source.content,
        "notes": source.notes,
        "read_as": dict(source.read_as),
    }
    return np.frombuffer(json.dumps(plain).encode(), np.uint8)


def _decoded(stored: Mapping[str, Any], loaded: Callable[[], Source]) -> Source:
    """Build a source that loads the model when features are read."""

    def read(
        recording: Recording, layers: Sequence[str], cache: ResultCache, progress: Report
    ) -> dict[str, LayerFeatures]:
        return loaded().read(recording, layers, cache, progress)

    def attribute(recording: Recording, layer_of_image: Sequence[str], method: str, progress: Report) -> Saliency:
        found = loaded().attribute
        assert found is not None
        return found(recording, layer_of_image, method, progress)

    reading = decode(Reading, stored["reading"], {})
    layers, notes = tuple(stored["layers"]), tuple(stored["notes"])
    return Source(reading, layers, stored["content"], read, attribute, notes, stored["read_as"])
