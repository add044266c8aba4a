"""Scores and intervals that are absent, and why; results without a score are not compared."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from brainscore_itmaps import Recording
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.comparison import compare_results
from brainscore_itmaps.benchmark.estimate import Estimate, estimate_array, mean_estimate
from brainscore_itmaps.benchmark.evaluate import evaluate, evaluate_features
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Reading
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.features.grid import downsample_if_larger
from brainscore_itmaps.metrics.ceiling import ceiling_of_images
from brainscore_itmaps.metrics.folds import groups_left_out
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.settings import overridden

SPEC = CATALOGUE["it_maps_simulated"]
READING = Reading(model="m", weights=Weights("module", sha256=""), layer="l", field_of_view="the whole image")
UNDEFINED_WITHOUT = "the score is undefined without one group of images"


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def planted(folder, images, sites, repeats=0, noise=0.5):
    """Features (image, channel, y, x), and a recording of their mixtures."""
    rng = np.random.default_rng(0)
    field = rng.normal(size=(images, 6, 6, 4))
    truth = (field @ rng.normal(size=(4, sites)))[:, None]
    presented = truth + noise * rng.normal(size=(images, max(repeats, 1), 6, 6, sites))
    pictures = rng.integers(256, size=(images, 8, 8, 3), dtype=np.uint8)
    with overridden(home=folder, brainio_home=folder):
        recording = Recording.from_arrays(
            presented.mean(axis=1),
            pictures,
            identifier="planted",
            window=(50, 150),
            repeats=presented if repeats else None,
        )
    return np.moveaxis(field, -1, 1), recording


def scored(folder, features, recording, **request):
    return evaluate_features(features, recording, READING, SPEC, ScoreRequest(**request), ResultCache(folder))


@pytest.mark.parametrize("interval", ["groups", "images", "fixed"])
def test_layers_are_not_chosen_on_three_images(tmp_path, interval):
    features, recording = planted(tmp_path, 3, 5, repeats=2)

    def read(*_):
        layers = {"first": features, "second": features[:, :2]}
        return {name: downsample_if_larger(layer, recording.grid, OURS) for name, layer in layers.items()}

    source = Source(READING, ("first", "second"), None, read)
    with pytest.raises(DataError, match="cannot be chosen on the training images of 3 images"):
        evaluate(source, [recording], SPEC, ScoreRequest(interval=interval), ResultCache(tmp_path))


def test_missing_ceilings_are_explained_and_no_map_is_called_constant(tmp_path):
    for sites, repeats, protocol, reason in (
        (1, 0, "ours", "planted has 1 complete site and no repeats, and a noise ceiling needs 3 sites"),
        (1, 2, "published", "planted has 1 complete site, and the published ceiling needs 2"),
        (2, 2, "published", "the noise ceiling is 0; use the raw value"),
    ):
        result = scored(tmp_path, *planted(tmp_path / f"{sites}{repeats}", 5, sites, repeats), protocol=protocol)
        assert np.isnan(result.score)
        assert result.raw > 0.5
        assert result.estimate.reason.startswith(reason)
        assert result.estimate.interval_kind == "groups"  # empty for older versions only
        assert result.undefined_sites == 0
        assert not any("constant" in note for note in result.notes)


def test_a_ceiling_of_zero_without_a_group_leaves_the_score_without_an_interval():
    ceiling = ceiling_of_images("reference", np.array([0.5, 0, 0, 0, 0]))
    estimate = estimate_array(np.full(5, 0.2), ceiling, None, groups_left_out(5))
    assert round(estimate.score, 3) == 2
    assert np.isnan(estimate.interval).all()
    assert estimate.reason == UNDEFINED_WITHOUT


def test_an_absent_interval_does_not_remove_the_mean_score():
    first = Estimate(0.3, 0.8, 0.375, replicates=np.array([0.35, 0.4, 0.375]), groups=(3,), explained=0.14)
    second = Estimate(0.5, 0.8, 0.625, explained=0.39, reason=UNDEFINED_WITHOUT)
    mean = mean_estimate([first, second], ["images", "images"])
    assert (mean.score, mean.reason, mean.replicates) == (0.5, UNDEFINED_WITHOUT, None)
    assert np.isnan(mean.interval).all()
    assert np.isnan(mean_estimate([first, Estimate(0.5, reason="none")], ["images", "images"]).score)


def test_a_result_without_a_score_is_named_when_compared(tmp_path):
    features, recording = planted(tmp_path, 6, 5, repeats=2)
    result = scored(tmp_path, features, recording)
    absent = replace(result, estimate=Estimate(result.raw, interval_kind="groups", reason="maps are noise"))
    for pair in ((result, absent), (absent, result)):
        with pytest.raises(UsageError, match=r"m has no score with an interval to compare on .*: maps are noise"):
            compare_results(*pair)


def test_constant_repeats_are_not_called_constant_maps(tmp_path):
    features, recording = planted(tmp_path, 5, 4, repeats=2)
    repeats = recording.repeats.copy()
    repeats[1, 0] = 1
    broken = replace(recording, repeats=repeats, maps=repeats.mean(axis=1))
    with pytest.raises(DataError, match=r"the noise ceiling is undefined on planted-0?1, because half of the repeats"):
        scored(tmp_path, features, broken)
