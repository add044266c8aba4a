"""Find out how a layer is read, and verify that its units lie where its layout places them in the image.

The layout of an activation is inferred from its shape, which other arrays share: attention weights, or the hidden units
of a layer that mixes tokens. The model is therefore shown a noise image, and four copies of it in which one quadrant is
replaced. The responses of a unit to the four changes tell whether the unit lies left or right, and above or below. Over
the units of a map, both must be correlated with the place that the layout gives the unit. A layer is refused if no
possible layout places its units where they respond.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from brainscore_itmaps.cache import Expected, ResultCache, key_of
from brainscore_itmaps.errors import ItMapsError, ModelError, NoMapError, nearest
from brainscore_itmaps.models.forward import run_module
from brainscore_itmaps.models.layers import Layout, arranged, block_layers, other_layouts, shape_layout
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.selectors import (
    LAST,
    Elements,
    Selector,
    described,
    elements_text,
    selected,
    selector_of,
    tensors_in,
)
from brainscore_itmaps.text import short_repr

PLACES = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Vertical and horizontal half of each quadrant."""
SHOWN = 0.5
SHOWN_BY_SEVERAL = 0.4
"""Smallest correlation over units between the place by the responses and the place by the layout, for one noise image
and for the mean over several. Blocks of timm's models with random weights have 0.7 to 1, wrong layouts at most 0.3."""
OTHER_SHOWN = 0.7
FEWEST_OTHER_UNITS = 16
"""Smallest correlation and number of units for a layout that the shape alone does not show: there are many of these."""
SEEDS = (0, 1, 2, 3, 4)
CLEARER = 0.02
FEWEST_UNITS = 4
SMALLEST_CHANGE = 1e-5
"""Of the largest activation: smaller changes are rounding errors."""
SAME_IMAGE = 0.05
"""Largest difference between responses to the same image, as a share of their size, that half precision may cause."""
CURE = "state the layout of its units as spatial_layout of the model (docs/models.md)."

Responses = dict[tuple[Elements, Any], NDArray[np.float64]]


@dataclass(frozen=True)
class LayerReading:
    """How a layer is read.

    Attributes
    ----------
    selector : Selector
        Module, call and element.
    layout : str, tuple or None
        Layout of the activation; None for the one that its shape shows.
    note : str
        What a reader of the score should know; empty where the layer was named in full and its places were verified.
    """

    selector: Selector
    layout: Layout | None = None
    note: str = ""

    @property
    def read_as(self) -> str:
        """Describe a layout or element that does not follow from the layer's name and shape, for cache keys."""
        return "" if self.layout is None else f"{self.layout}"


@short_repr
@dataclass
class Observed:
    """What a layer gave for the five images.

    Attributes
    ----------
    calls : int
        Number of calls in the forward pass.
    responses : dict of (elements, layout) to array, shape (place, y, x)
        Size of the change of each unit for each change of the image; NaN if it is not finite.
    defaults : dict of elements to layout
        The layout that the shape shows, of each tensor with a map.
    units : dict of (elements, layout) to int
        Number of units of each map.
    kind : str
        Name of the type that the layer gives, after selection; empty for a tensor.
    text : str
        Tensors that the layer gives.
    """

    calls: int = 0
    responses: Responses = field(default_factory=dict)
    defaults: dict[Elements, Layout] = field(default_factory=dict)
    units: dict[tuple[Elements, Any], int] = field(default_factory=dict)
    kind: str = ""
    text: str = ""


READINGS: WeakKeyDictionary[torch.nn.Module, dict[tuple[Any, ...], "LayerReading | NoMapError"]] = WeakKeyDictionary()
"""Readings of the layers of each module in memory, by the hash of its parameters, the name of the layer, and what the
module states about it."""


def layer_readings(
    model: Model,
    layers: Iterable[str],
    omit: bool = False,
    cache: ResultCache | None = None,
    content: str | None = None,
) -> dict[str, LayerReading]:
    """Find out how layers are read, and verify the places of their units.

    A layout that the model states, as ``spatial_layout`` or by its number of leading tokens, is not refused but noted
    where the units show no place.

    Parameters
    ----------
    model : Model
    layers : iterable of str
        Selectors: names of modules, with a call (``@2``, ``@last``) or an element (``[0]``).
    omit : bool
        Whether layers without places are omitted, or an error.
    cache : ResultCache, optional
        Cache of how layers are read, for models with ``content``.
    content : str, optional
        Identifies weights, architecture and preprocessing of the model.

    Returns
    -------
    dict of layer to LayerReading

    Raises
    ------
    ModelError
        When a layer does not exist, is not called once, or gives several tensors of which none is selected.
    NoMapError
        When no layout gives the units of a layer the places that their responses show.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> model = load_model("timm:test_vit", "random")
    >>> layer_readings(model, ["blocks.3"])["blocks.3"]
    LayerReading(selector=Selector(module='blocks.3', call=None, elements=()), layout=None, note='')
    """
    selectors = {layer: layer_selector(model, layer) for layer in layers}
    known = READINGS.setdefault(model.module, {})
    keys = {layer: (model.sha256, layer, *_statements(model, layer)) for layer in selectors}
    missing = {layer: one for layer, one in selectors.items() if keys[layer] not in known}
    for layer, reading in _cached_readings(model, missing, cache, content).items():
        known[keys[layer]] = reading
    readings = {}
    for layer in selectors:
        reading = known[keys[layer]]
        if isinstance(reading, LayerReading):
            readings[layer] = reading
        elif not omit:
            raise NoMapError(reading.args[0], reading.fix)
    return readings


def _cached_readings(
    model: Model, selectors: Mapping[str, Selector], cache: ResultCache | None, content: str | None
) -> dict[str, LayerReading | NoMapError]:
    """Look up how layers are read, or find it out; only models with ``content`` are cached."""
    if cache is None or content is None or not selectors:
        return _readings(model, selectors)
    keys = {layer: key_of(places=content, layer=layer, states=_statements(model, layer)) for layer in selectors}

    def compute(missing: list[str]) -> Iterator[tuple[str, dict[str, NDArray[np.uint8]]]]:
        for layer, reading in _readings(model, {layer: selectors[layer] for layer in missing}).items():
            yield layer, {"reading": np.frombuffer(_encoded(reading).encode(), np.uint8)}

    entries = cache.computed_all(keys, compute, {layer: {"reading": Expected((-1,), "u")} for layer in selectors})
    try:
        return {layer: _decoded(entries[layer]["reading"].tobytes().decode(), selectors[layer]) for layer in selectors}
    except (ValueError, KeyError, TypeError):  # a damaged entry
        return _readings(model, selectors)


def _encoded(reading: LayerReading | NoMapError) -> str:
    if isinstance(reading, NoMapError):
        return json.dumps({"refused": [reading.args[0], reading.fix]})
    return json.dumps({"elements": reading.selector.elements, "layout": reading.layout, "note": reading.note})


def _decoded(text: str, selector: Selector) -> LayerReading | NoMapError:
    stored = json.loads(text)
    if "refused" in stored:
        return NoMapError(*stored["refused"])
    layout = tuple(stored["layout"]) if isinstance(stored["layout"], list) else stored["layout"]
    return LayerReading(Selector(selector.module, selector.call, tuple(stored["elements"])), layout, stored["note"])


def _readings(model: Model, selectors: Mapping[str, Selector]) -> dict[str, LayerReading | NoMapError]:
    """Observe layers once, and those that do not show their places several times more."""
    if not selectors:
        return {}
    try:
        observed = observe(model, selectors, SEEDS[0])
    except ItMapsError:
        raise
    except Exception:  # noqa: BLE001 - of the user's forward; if it fails again, the recording says so
        note = "the places of its units could not be verified: the model fails on noise images"
        return {layer: LayerReading(selector, note=f"{layer}: {note}") for layer, selector in selectors.items()}
    for layer, selector in selectors.items():
        check_calls(model, layer, selector, observed[layer].calls)
    evidence = {layer: _evidence([observed[layer]]) for layer in selectors}
    unshown = {layer: one for layer, one in selectors.items() if not _is_shown(observed[layer], evidence[layer])}
    repeated = [observe(model, unshown, seed, repeated=True) for seed in SEEDS] if unshown else []
    untrained = _blocks_without_training(model) if unshown else frozenset()
    readings = {}
    for layer, selector in selectors.items():
        stochastic, enough = False, SHOWN
        if runs := [run[layer] for run in repeated if layer in run]:
            evidence[layer] = _evidence(runs)
            stochastic, enough = not _same(runs[0], observed[layer]), SHOWN_BY_SEVERAL
            observed[layer].units |= runs[0].units
        named = Named(model.name, layer, selector, stated_layout(model, layer), _leading(model), layer in untrained)
        readings[layer] = _reading(named, observed[layer], evidence[layer], enough, stochastic)
    for layer in _varying(model, selectors):
        reading = readings[layer]
        if isinstance(reading, LayerReading) and "could not be verified" not in reading.note:
            note = (
                f"{layer} responds differently to the same image alone and among others (random numbers, or statistics "
                "of the batch): its score depends on chance or on the batch size"
            )
            readings[layer] = replace(reading, note="; ".join(filter(None, [reading.note, note])))
    return readings


def _varying(model: Model, selectors: Mapping[str, Selector]) -> list[str]:
    """List the layers whose responses to an image depend on the images beside it, or on random numbers."""
    image = noise_images(model.spec.size, SEEDS[0])[0]
    beside = [Image.new("RGB", image.size, colour) for colour in ("black", "white")]
    try:
        alone = _first_responses(model, selectors, [image], seed=0)
        among = _first_responses(model, selectors, [image, *beside], seed=1)
    except Exception:  # noqa: BLE001 - the user's forward may raise anything; it may take one image only
        return []
    return [
        layer
        for layer in selectors
        if any(
            float((one - other).norm()) > SAME_IMAGE * float(one.norm())
            for one, other in zip(alone[layer], among[layer], strict=False)
            if one.shape == other.shape
        )
    ]


def _first_responses(
    model: Model, selectors: Mapping[str, Selector], images: Sequence[Image.Image], seed: int
) -> dict[str, list[torch.Tensor]]:
    """Record the tensors that layers give for the first of several images."""
    responses: dict[str, list[torch.Tensor]] = {layer: [] for layer in selectors}
    calls = dict.fromkeys(selectors, 0)

    def hook_for(layer: str, selector: Selector) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            calls[layer] += 1
            if selector.call in (None, LAST, calls[layer]):
                responses[layer] = [
                    tensor[:1].detach().to("cpu", torch.float32, copy=True)
                    for _, tensor in tensors_in(selected(output, selector.elements, len(images)))
                    if tensor.shape[:1] == (len(images),) and tensor.is_floating_point()
                ]

        return hook

    modules = dict(model.module.named_modules())
    hooks = [(modules[selector.module], hook_for(layer, selector)) for layer, selector in selectors.items()]
    with hooked(model.module, hooks), _own_randomness(next(model.module.parameters()).device, seed):
        run_module(model.module, model.preprocess(images))
    return responses


def _blocks_without_training(model: Model) -> frozenset[str]:
    """Return the blocks and the committed layers of an architecture with random weights; none with other weights."""
    if model.weights.kind != "random":
        return frozenset()
    return frozenset([*model.spec.layers.values(), *block_layers(model.module, model.spec.size)])


def verified_reading(
    model: str, layer: str, activation: NDArray[np.floating[Any]], prefix: int | None = None
) -> LayerReading:
    """Find out how a layer is read from its activation for noise images.

    Parameters
    ----------
    model : str
        Name of the model, for error messages.
    layer : str
    activation : array, shape (images, ...)
        Activation for the five images of :func:`noise_images` with seed 0, and those with further seeds.
    prefix : int, optional
        Number of leading tokens, if known.

    Raises
    ------
    NoMapError
        When no layout gives the units the places that their responses show.

    Examples
    --------
    >>> noise = np.stack([np.asarray(image, dtype=np.float64) for image in noise_images(8, seed=0)])
    >>> verified_reading("pixels", "pixels", noise).note
    ''
    """
    images = len(PLACES) + 1
    runs = [
        measured(torch.from_numpy(activation[first : first + images]), images, layer, None, prefix, repeated=True)
        for first in range(0, len(activation), images)
    ]
    named = Named(model, layer, Selector(layer), None, prefix)
    reading = _reading(named, runs[0], _evidence(runs), SHOWN_BY_SEVERAL)
    if isinstance(reading, NoMapError):
        raise reading
    return reading


Evidence = dict[tuple[Elements, Any], float]


def _is_shown(observed: Observed, evidence: Evidence) -> bool:
    """Return whether one noise image is enough to know how a layer is read."""
    values = [evidence.get((elements, _hashable(layout)), np.nan) for elements, layout in observed.defaults.items()]
    if len(values) > 1:
        return sum(value >= SHOWN for value in values) == 1
    return not any(value < SHOWN for value in values)  # more images do not reach a unit that one does not reach


@dataclass(frozen=True)
class Named:
    """The name of a layer, and what its model states about it.

    Attributes
    ----------
    model, layer : str
    selector : Selector
    stated : str, tuple or None
        Layout that the model states.
    prefix : int or None
        Number of leading tokens that the model states.
    untrained : bool
        Whether it is a block of an architecture with random weights, which may mix places that training separates.
    """

    model: str
    layer: str
    selector: Selector
    stated: Layout | None = None
    prefix: int | None = None
    untrained: bool = False


def _reading(
    named: Named, observed: Observed, evidence: Evidence, enough: float, stochastic: bool = False
) -> LayerReading | NoMapError:
    """Choose the element and the layout of a layer; return a NoMapError for a layer without places."""
    layer, selector, stated = named.layer, named.selector, named.stated
    maps: dict[Elements, Layout | None] = {elements: None for elements, _ in evidence} | observed.defaults
    said = []
    if observed.kind and observed.text:
        shown = [elements for elements in maps if _best(evidence, elements)[1] >= enough]
        only = list(maps) if len(maps) == 1 else shown
        if len(only) != 1:
            hint = f"{layer}{elements_text(next(iter(maps), (0,)))}"
            raise ModelError(
                f"The layer {layer!r} of {named.model} gives a {observed.kind}: {observed.text}.",
                f"Select one, for example {hint}." if maps else "Choose a layer whose units have places in the image.",
            )
        selector = Selector(selector.module, selector.call, (*selector.elements, *only[0]))
        maps = {only[0]: maps[only[0]]}
        said.append(f"{layer} gives a {observed.kind}: {selector}, its only map, was read")
    if not maps:
        return LayerReading(selector)  # the recording says what the layer gives instead of a map
    ((elements, default),) = maps.items()
    value = np.nan if default is None else evidence.get((elements, _hashable(default)), np.nan)
    layout, best = _best(evidence, elements)
    if layout != default and (best < OTHER_SHOWN or observed.units.get((elements, layout), 0) < FEWEST_OTHER_UNITS):
        layout, best = default, -1.0
    if value >= enough and (best < value + CLEARER or stated is not None):
        return LayerReading(selector, stated, "; ".join(said))
    if best >= enough and stated is None and layout != default:
        said.append(
            f"{layer} was read as {layout!r}, because changes of parts of the image show there and not at the places "
            f"of the layout that its shape suggests, {default!r}"
        )
        return LayerReading(selector, layout, "; ".join(said))
    if default is not None and (stochastic or np.isnan(value)):
        why = "its responses to the same image differ" if stochastic else "changes of the image do not reach it"
        said.append(f"{layer}: the places of its units could not be verified: {why}")
        return LayerReading(selector, stated, "; ".join(said))
    if stated is not None or (isinstance(default, tuple) and named.prefix):
        source = "as the model states them" if stated is None else "as spatial_layout states them"
        said.append(
            f"{layer}: the places of its units are read {source}; changes of parts of the image do not show them"
        )
        return LayerReading(selector, stated, "; ".join(said))
    if default is not None and named.untrained:
        said.append(
            f"{layer}: with random weights, changes of parts of the image do not show the places of its units; they "
            "are read as its shape suggests"
        )
        return LayerReading(selector, None, "; ".join(said))
    return NoMapError(
        f"The layer {layer!r} of {named.model} gives no map: {observed.text} might be one by its shape, but a "
        "change of one part of the image does not show there.",
        f"Choose a layer whose units have positions in the image, or {CURE}",
    )


def _best(evidence: Evidence, elements: Elements) -> tuple[Layout | None, float]:
    """Return the layout of a tensor that shows places best."""
    values = {layout: value for (at, layout), value in evidence.items() if at == elements and not np.isnan(value)}
    if not values:
        return None, -1.0
    layout = max(values, key=lambda one: values[one])
    return layout, values[layout]


def _evidence(runs: Sequence[Observed]) -> Evidence:
    """Compute the evidence for each layout, from the mean of the runs."""
    keys = runs[0].responses
    return {key: shows_places([run.responses[key] for run in runs if key in run.responses]) for key in keys}


def _same(first: Observed, second: Observed) -> bool:
    """Return whether a layer gives the same responses to the same images."""
    return all(
        np.allclose(
            first.responses[key], response, rtol=1e-2, atol=1e-2 * float(np.max(response, initial=0)), equal_nan=True
        )
        for key, response in second.responses.items()
        if key in first.responses
    )


def shows_places(responses: Sequence[NDArray[np.float64]]) -> float:
    """Compute how well the units of a map show the place of a change.

    A unit's preference for the right over the left half, and for the lower over the upper half, is correlated with the
    unit's column and row, over units.

    Parameters
    ----------
    responses : sequence of array, shape (place, y, x)
        Size of the change of each unit for each of :data:`PLACES`; one array for each noise image.

    Returns
    -------
    float
        The smaller of the two correlations; NaN if the changes do not reach enough units.

    Examples
    --------
    >>> round(shows_places([np.array([[[5.0, 1], [1, 1]], [[1, 5], [1, 1]], [[1, 1], [5, 1]], [[1, 1], [1, 5]]])]), 3)
    1.0
    >>> shows_places([np.ones((4, 3, 3))]), shows_places([np.zeros((4, 3, 3))])
    (0.0, nan)
    """
    ratios = []
    for response in responses:
        mean = response.mean(axis=0)
        reached = mean > 1e-6 * mean.max()
        ratios.append(np.where(reached, response / np.where(reached, mean, 1), np.nan))
    with np.errstate(invalid="ignore"):
        ratio = np.mean(ratios, axis=0)  # (place, y, x)
    reached = np.isfinite(ratio).all(axis=0)
    if np.count_nonzero(reached) < FEWEST_UNITS:
        return float("nan")
    correlations = []
    for axis in (0, 1):
        sides = np.array([place[axis] for place in PLACES], dtype=np.float64)
        preference = np.tensordot(sides, ratio, axes=1)[reached]
        places = np.indices(reached.shape)[axis][reached]
        if np.ptp(places) == 0:
            return float("nan")
        varies = preference.std() > 1e-6
        correlations.append(float(np.corrcoef(preference, places)[0, 1]) if varies else 0.0)
    return min(correlations)


def observe(model: Model, selectors: Mapping[str, Selector], seed: int, repeated: bool = False) -> dict[str, Observed]:
    """Show a model a noise image and four copies with one changed quadrant each, and measure the responses of layers.

    Parameters
    ----------
    model : Model
    selectors : mapping of layer to Selector
    seed : int
        Seed of the noise.
    repeated : bool
        Whether layers did not show their places before: all layouts that the shape allows are tried, and the random
        numbers of the model differ.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> model = load_model("timm:test_vit", "random")
    >>> seen = observe(model, {"blocks.3": Selector("blocks.3")}, seed=0)["blocks.3"]
    >>> {layout: response.shape for (_, layout), response in seen.responses.items()}
    {('tokens', 1): (4, 10, 10)}
    """
    observed = {layer: Observed() for layer in selectors}
    images = len(PLACES) + 1

    def hook_for(layer: str, selector: Selector) -> Callable[[torch.nn.Module, object, object], None]:
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            seen = observed[layer]
            seen.calls += 1
            if selector.call not in (None, LAST, seen.calls):
                return
            try:
                element = selected(output, selector.elements, images)
            except (LookupError, TypeError) as error:
                raise element_error(model, layer, selector, output, images) from error
            calls = seen.calls
            stated, prefix = stated_layout(model, layer), _leading(model)
            observed[layer] = measured(element, images, layer, stated, prefix, repeated)
            observed[layer].calls = calls

        return hook

    modules = dict(model.module.named_modules())
    hooks = [(modules[selector.module], hook_for(layer, selector)) for layer, selector in selectors.items()]
    with hooked(model.module, hooks), _own_randomness(next(model.module.parameters()).device, int(repeated)):
        run_module(model.module, model.preprocess(noise_images(model.spec.size, seed)))
    return observed


@contextmanager
def _own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's random numbers within a ``with`` block, and restore them afterwards."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def measured(
    output: object,
    images: int,
    layer: str,
    stated: Layout | None = None,
    prefix: int | None = None,
    repeated: bool = False,
) -> Observed:
    """Measure the responses in what a layer gave for the five images.

    Parameters
    ----------
    output : object
        Tensor, or tuple, list or dict of tensors.
    images : int
    layer : str
    stated : str or tuple, optional
        Layout that the model states.
    prefix : int, optional
        Number of leading tokens that the model states.
    repeated : bool
        Whether all layouts that the shape allows are tried.

    Examples
    --------
    >>> measured(torch.rand(5, 3, 4, 4), 5, "layer3").defaults
    {(): 'NCHW'}
    """
    kind = "" if isinstance(output, torch.Tensor) else type(output).__name__
    observed = Observed(kind=kind, text=described(output, layer, images))
    tensors = list(tensors_in(output))
    for elements, tensor in tensors:
        if tensor.shape[:1] != (images,) or not tensor.is_floating_point():
            continue
        if any(_is_attention(tensor, other) for _, other in tensors):
            continue
        layout = stated or shape_layout(tensor.shape, prefix)
        layouts: list[Layout] = [] if layout is None else [layout]
        if layout is not None:
            observed.defaults[elements] = layout
        if isinstance(layout, tuple) and stated is None and prefix is None and layout[1]:
            layouts.append(("tokens", 0, layout[1]))  # a class token may also come last
        if (repeated or layout is None) and stated is None:
            layouts += [other for other in other_layouts(tensor.shape, layout) if other not in layouts]
        values = tensor.detach().to(torch.float32)
        for one in layouts:
            maps = arranged(values, one)
            if maps is not None and maps.shape[-1] > 1:
                observed.responses[elements, _hashable(one)] = _responses(maps)
                observed.units[elements, _hashable(one)] = maps.shape[-1] ** 2
    return observed


def _is_attention(tensor: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether a tensor may hold attention weights, (image, token, token), between the tokens of another one."""
    square = tensor.ndim == other.ndim == 3 and tensor.shape[1] == tensor.shape[2]
    return square and other.shape[1] == tensor.shape[1] != other.shape[2]


def _hashable(layout: Layout) -> str | tuple[Any, ...]:
    return layout if isinstance(layout, str) else tuple(layout)


def _responses(maps: torch.Tensor) -> NDArray[np.float64]:
    """Compute the size of the change of each unit, shape (place, y, x); zeros if it is a rounding error."""
    changes = (maps[1:] - maps[:1]).square().mean(dim=1).sqrt()
    if not bool(torch.isfinite(changes).all()) or float(changes.max()) <= SMALLEST_CHANGE * float(maps.abs().max()):
        changes = torch.zeros_like(changes)
    return changes.cpu().numpy().astype(np.float64)


def noise_images(size: int, seed: int) -> list[Image.Image]:
    """Draw a noise image, and four copies of it of which one quadrant each has other noise.

    Parameters
    ----------
    size : int
        Height and width in pixels.
    seed : int

    Examples
    --------
    >>> len(noise_images(8, seed=0))
    5
    """
    rng = np.random.default_rng(seed)
    first, second = (_noise(size, rng) for _ in range(2))
    images = [first]
    for down, right in PLACES:
        changed = first.copy()
        rows, columns = (slice(size // 2, None) if half > 0 else slice(size // 2) for half in (down, right))
        changed[rows, columns] = second[rows, columns]
        images.append(changed)
    return [Image.fromarray(image) for image in images]


def _noise(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw coloured noise of three spatial scales, shape (size, size, 3)."""
    total = np.zeros((size, size, 3))
    for cells in (4, 16, size):
        colours = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(colours.resize((size, size), Image.Resampling.NEAREST), dtype=np.float64) - 127.5
    return np.asarray((total * 0.6 + 127.5).clip(0, 255).round(), dtype=np.uint8)


@contextmanager
def hooked(module: torch.nn.Module, hooks: Iterable[tuple[torch.nn.Module, Callable[..., None]]]) -> Iterator[None]:
    """Register forward hooks and run a model in eval mode, without gradients, within a ``with`` block.

    Examples
    --------
    >>> module, outputs = torch.nn.Linear(3, 2), []
    >>> with hooked(module, [(module, lambda module, inputs, output: outputs.append(output.shape))]):
    ...     _ = module(torch.zeros(1, 3))
    >>> outputs
    [torch.Size([1, 2])]
    """
    training = {child: child.training for child in module.modules()}
    handles = [child.register_forward_hook(hook) for child, hook in hooks]
    try:
        module.eval()
        with torch.inference_mode():
            yield
    finally:
        for handle in handles:
            handle.remove()
        for child, mode in training.items():
            child.training = mode


def stated_layout(model: Model, layer: str) -> Layout | None:
    """Return the layout that a model's attribute ``spatial_layout`` states for a layer, if there is one.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> model = load_model("timm:test_vit", "random")
    >>> model.module.spatial_layout = {"blocks.3": ("tokens", 1)}
    >>> stated_layout(model, "blocks.3"), stated_layout(model, "blocks.4")
    (('tokens', 1), None)
    """
    return layout_for(getattr(model.module, "spatial_layout", None), layer)


def layout_for(layouts: Any, layer: str) -> Layout | None:
    """Return the layout of a layer from one for all layers, or from a dict by layer or by region.

    Examples
    --------
    >>> layout_for("NHWC", "layer3"), layout_for({"IT": "NCHW"}, "layer3")
    ('NHWC', 'NCHW')
    """
    stated = layouts.get(layer, layouts.get("IT")) if isinstance(layouts, Mapping) else layouts
    return tuple(stated) if isinstance(stated, list) else cast("Layout | None", stated)


def _leading(model: Model) -> int | None:
    """Return the number of leading tokens that a model states."""
    return getattr(model.module, "num_prefix_tokens", None)


def _statements(model: Model, layer: str) -> tuple[str, str, bool]:
    """Return what a model states about a layer, as part of a key; its attributes may change after a first reading."""
    return repr(stated_layout(model, layer)), repr(_leading(model)), model.weights.kind == "random"


def layer_selector(model: Model, layer: str) -> Selector:
    """Return the module, call and element that a layer's name selects.

    Raises
    ------
    ModelError
        When there is no module of that name; the message contains the most similar names.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> layer_selector(load_model("timm:test_vit", "random"), "blocks.3[0]").elements
    (0,)
    """
    modules = dict(model.module.named_modules())
    selector = selector_of(layer, modules)
    if selector is None:
        committed = model.spec.layers.get("IT", "none")
        name = layer.split("@")[0].split("[")[0]
        fix = nearest(name, filter(None, modules), f"The layer committed to IT is {committed}.")
        if name in modules:
            fix = f"After {name}, write @2 (the second call), @last, [0] or [name of an entry]."
        raise ModelError(f"{model.name} has no layer {layer!r}.", fix)
    return selector


def check_calls(model: Model, layer: str, selector: Selector, calls: int) -> None:
    """Check that a layer is called in a forward pass as its selector requires.

    Raises
    ------
    ModelError
        When it is never called, repeatedly although no call is selected, or less often than the selected call.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> check_calls(load_model("timm:test_vit", "random"), "blocks.3", Selector("blocks.3"), calls=1)
    """
    if calls == 0:
        scripted = isinstance(model.module, torch.jit.ScriptModule)
        raise ModelError(
            f"The layer {layer!r} of {model.name} is not used: it gave 0 activations in a forward pass.",
            "Give the module without TorchScript, whose layers cannot be read." if scripted
            else "Choose a layer that every image passes.",
        )  # fmt: skip
    if selector.call is None and calls > 1:
        one = elements_text(selector.elements)
        raise ModelError(
            f"The layer {layer!r} of {model.name} runs {calls} times in a forward pass.",
            f"Select one call: {selector.module}@1{one} to {selector.module}@{calls}{one}, or "
            f"{selector.module}@last{one}.",
        )
    if selector.call is not None and selector.call > calls:
        last = f"{selector.module}@last{elements_text(selector.elements)}"
        raise ModelError(
            f"{layer!r} selects call {selector.call} of {selector.module!r}, which {model.name} runs "
            f"{calls} {'time' if calls == 1 else 'times'} in a forward pass.",
            f"Select a call from @1 to @{calls}, or {last}." if calls > 1 else "Leave out the call.",
        )


def element_error(model: Model, layer: str, selector: Selector, output: object, images: int) -> ModelError:
    """Build the error for an element that a layer does not give.

    Examples
    --------
    >>> from brainscore_itmaps import load_model
    >>> model = load_model("timm:test_vit", "random")
    >>> element_error(model, "blocks.3[1]", Selector("blocks.3", None, (1,)), (torch.zeros(2, 3),), images=2).fix
    'It contains blocks.3[0] (image, 3).'
    """
    name = str(Selector(selector.module, selector.call))
    given = described(output, name, images)
    return ModelError(
        f"{model.name} has no layer {layer!r}: {name!r} gives a {type(output).__name__}.",
        f"It contains {given}." if given else "Choose another layer.",
    )
