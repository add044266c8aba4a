"""The profile of a model's score on a benchmark of maps, by names, as :func:`~brainscore_itmaps.bridge.score.score`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from brainscore_itmaps.benchmark.maps import Benchmark, MapsBenchmark
from brainscore_itmaps.benchmark.profile import Profile, check_layer, check_spec, checked_values, without_maps
from brainscore_itmaps.benchmark.profiled import profile_source
from brainscore_itmaps.benchmark.request import ScoreRequest, Window
from brainscore_itmaps.benchmark.transfer import TransferBenchmark
from brainscore_itmaps.bridge.score import opened_model, with_request
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.features.record import BATCH_SIZE
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.own import Preprocessing
from brainscore_itmaps.progress import Report, shows_progress, silent
from brainscore_itmaps.protocol import Protocol


@shows_progress
def profile(
    model: str | Path | Model | torch.nn.Module,
    benchmark: str | Path | Recording = "it_maps_simulated",
    over: str = "blur",
    values: Sequence[float] | None = None,
    layers: str | None = None,
    *,
    window: Window | None = None,
    weights: str | Path = "pretrained",
    seed: int = 0,
    arch: str | None = None,
    preprocessing: Preprocessing | None = None,
    state_key: str | None = None,
    name: str | None = None,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    protocol: str | Protocol = "ours",
    interval: str = "groups",
    fresh: bool = False,
    cache: ResultCache | None = None,
    progress: Report = silent,
) -> Profile:
    """Score one layer of a model at several blurs of its features, or with several numbers of PLS components.

    Parameters
    ----------
    model, benchmark
        As in :func:`~brainscore_itmaps.score`; the benchmark has maps.
    over : "blur" or "components"
        "blur" averages the features of each image over positions with the weights of a Gaussian; the maps stay as
        recorded. "components" varies the number of PLS components.
    values : sequence of float, optional
        Standard deviations of the Gaussian in degrees of visual angle, by default 0, 0.5, 1, 1.5, 2, 3 and 4; 0 is
        the score of :func:`~brainscore_itmaps.score`. Or numbers of components, by default 1, 2, 3, 5, 10, 15, 25, 35
        and 50, as far as the layer allows them.
    layers : str, optional
        One layer to read, by default the one committed to IT.
    window, weights, seed, arch, preprocessing, state_key, name, batch_size, device
        As in :func:`~brainscore_itmaps.score`.
    protocol, interval, fresh, cache, progress
        As in :func:`~brainscore_itmaps.score`.

    Returns
    -------
    Profile

    Raises
    ------
    UsageError, ModelError
        When a name is unknown or a value impossible, several layers are named, or the benchmark has no such profile.
    DataError
        When a recording cannot be downloaded or scored.

    Examples
    --------
    >>> found = profile("timm:test_resnet", over="components", values=[1, 5], layers="layer3", weights="random")
    >>> found.to_dataframe()[["components", "array"]]
       components              array
    0           1  it_maps_simulated
    1           5  it_maps_simulated
    """
    kind, checked = checked_values(over, values)
    check_layer(layers)

    def computed(
        request: ScoreRequest, found: Benchmark, loaded: Model | None, cache: ResultCache, progress: Report
    ) -> Profile:
        if isinstance(found, MapsBenchmark | TransferBenchmark):
            check_spec(kind, found.spec)
        if not isinstance(found, MapsBenchmark):
            raise without_maps(found.identifier)
        prepared = found.prepared(request, progress)
        with opened_model(request.model, loaded, progress) as opened:
            source, recordings = prepared.inputs(opened, request, cache, progress)
            result = profile_source(source, recordings, prepared.spec, kind, checked, request, cache, progress)
        return replace(result, notes=(*result.notes, *opened.notes))

    return with_request(
        computed, model, benchmark, layers, window=window, weights=weights, seed=seed, arch=arch,
        preprocessing=preprocessing, state_key=state_key, name=name, batch_size=batch_size, device=device,
        attribution="gradient", protocol=protocol, interval=interval, random_seeds=0, controls=False,
        fresh=fresh, cache=cache, progress=progress,
    )  # fmt: skip
