"""The benchmark of transfer, on SIMULATED arrays of two monkeys whose signals are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from answers import succeeded
from command_line import brainscore
from PIL import Image

from brainscore_itmaps import Grid, Recording, Result, compare_results, list_benchmarks, load_recording, score
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.ceilings import MAP_REPEATS, ceiling_of
from brainscore_itmaps.benchmark.controls import TYPICAL_MAP
from brainscore_itmaps.benchmark.maps import maps_benchmark
from brainscore_itmaps.benchmark.pairs import TWO_MONKEYS, Pair, pairs_of, two_halves
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import RECORDED_SOURCE, Reading
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.benchmark.transfer import TransferBenchmark
from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark
from brainscore_itmaps.bridge.images import images_of
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.errors import DataError, ModelError, UsageError
from brainscore_itmaps.features.controls import control_features
from brainscore_itmaps.features.grid import downsample_if_larger
from brainscore_itmaps.metrics.alignment import feature_alignment
from brainscore_itmaps.models.spec import ModelRequest, Weights
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.reporting.report import report

SPEC = CATALOGUE["it_maps_transfer"]
IMAGES, SIDE, CHANNELS = 8, 9, 4
HALVES = "it_maps_transfer_simulated"


class Planted:
    """A loaded model whose features (image, channel, y, x) are known for each image file."""

    def __init__(self, features, layers=("late",)):
        self.features, self.layers, self.reads = features, layers, 0
        self.name, self.visual_degrees, self.torch_model, self.notes = "planted", 8.0, None, ()

    def source(self, layers, view, protocol, cache=None):
        def read(recording, *_):
            self.reads += 1
            maps = np.stack([self.features[file.read_bytes()] for file in recording.images])
            return {layer: downsample_if_larger(maps, recording.grid, protocol) for layer in self.layers}

        return Source(Reading(model="planted", weights=Weights("module", sha256="")), self.layers, "planted", read)


@pytest.fixture
def planted(tmp_path, rng):
    """A model, two arrays of one monkey (8 images), and one of another monkey (5 of these and 2 of its own)."""
    features, files = {}, []
    for number in range(IMAGES + 2):
        files.append(tmp_path / f"image{number}.png")
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(files[-1])
        coarse = rng.normal(size=(CHANNELS, 3, 3))
        axis = np.cos(np.pi * np.arange(3) * np.linspace(0, 1, SIDE)[:, None])
        features[files[-1].read_bytes()] = np.einsum("ya,xb,cab->cyx", axis, axis, coarse)
    weights = rng.uniform(0.5, 1.5, size=(CHANNELS, 1))

    def array(name, numbers, side, sites, repeats, subject="monkey1"):
        native = np.stack([features[files[number].read_bytes()] for number in numbers])
        step = (SIDE - 1) // (side - 1)
        clean = np.moveaxis(native[:, :, ::step, ::step], 1, -1) @ (weights + 0.2 * rng.normal(size=(CHANNELS, sites)))
        presented = clean[:, None] + 2 * rng.normal(size=(len(numbers), repeats, side, side, sites))
        return Recording.from_arrays(
            None, [files[number] for number in numbers], repeats=presented, grid=Grid.even(side), subject=subject,
            identifier=f"Lab.{name}-simulated", window=(50, 150), citation=f"@{name}", simulated=True,
        )  # fmt: skip

    recordings = (
        array("PL", range(8), 9, 6, 3),
        array("ML", range(8), 5, 7, 2),
        array("other", (9, 2, 3, 4, 5, 6, 8), 5, 5, 2, "monkey2"),
    )
    return SimpleNamespace(model=Planted(features), recordings=recordings, cache=ResultCache(tmp_path / "cache"))


def scored(planted, **request):
    return TransferBenchmark(SPEC, planted.recordings).score(planted.model, ScoreRequest(**request), planted.cache)


def test_every_ordered_pair_of_arrays_is_a_row_and_those_of_two_monkeys_have_raw_values_only(planted, tmp_path):
    result = scored(planted)
    pairs = ["PL to ML", "PL to other", "ML to PL", "ML to other", "other to PL", "other to ML"]
    assert [array.recording for array in result.arrays] == [f"Lab.{pair}-simulated" for pair in pairs]
    for array in result.arrays:
        assert array.raw == array.map_rho.mean() == array.alignment
        assert array.raw > 0.8
        within = "other" not in array.recording
        assert np.isfinite([array.score, *array.interval]).all() == within
        assert np.isfinite([array.ceiling, array.score]).any() == within
        assert array.estimate.reason == ("" if within else TWO_MONKEYS)
    assert result.raw == pytest.approx(np.mean([array.raw for array in result.arrays]))
    assert (np.isnan(result.score), result.estimate.reason, result.simulated) == (True, TWO_MONKEYS, True)
    assert result.formula.startswith("mean over 6 pairs of arrays of: mean over images of Spearman rho")
    first = result.arrays[0]
    predicted, neural = (getattr(first, name)[..., 0].reshape(IMAGES, -1) for name in ("predicted", "neural"))
    pearson = [np.corrcoef(one, other)[0, 1] for one, other in zip(predicted, neural, strict=True)]
    np.testing.assert_allclose(first.site_r[:, 0], pearson)
    np.testing.assert_allclose(first.map_rho, feature_alignment(first.predicted, first.neural))
    loaded = Result.load(result.save(tmp_path / "saved")[0])
    np.testing.assert_equal(loaded.to_dict()["arrays"], result.to_dict()["arrays"])
    np.testing.assert_array_equal(loaded.arrays[2].predicted, result.arrays[2].predicted)


def test_the_score_is_divided_by_the_noise_ceiling_of_the_target(planted):
    result = scored(planted)
    for array, target in ((result.arrays[0], planted.recordings[1]), (result.arrays[2], planted.recordings[0])):
        ceiling = ceiling_of(target, SPEC, planted.cache)
        assert (array.ceiling, array.ceiling_kind) == (ceiling.value, MAP_REPEATS)
        assert array.score == array.raw / ceiling.value
        np.testing.assert_array_equal(array.neural, target.maps.mean(axis=-1, keepdims=True))
        assert array.estimate.groups == (7,)


def test_replicates_are_scores_without_a_group_of_images_in_mean_regression_and_ceiling(planted):
    """With the first image in no recording, raw values are those of the other images from the fits without it."""
    result = scored(planted, interval="images")
    without = replace(
        planted.recordings[0], images=planted.recordings[0].images[1:], maps=planted.recordings[0].maps[1:],
        repeats=planted.recordings[0].repeats[1:],
    )  # fmt: skip
    target = planted.recordings[1]
    pair = Pair(without, target)  # the target's first image is not the source's, and is left out of the mean below
    fields = [planted.model.source((), "whole", OURS).read(each)["late"].field(each.grid) for each in (without, target)]
    predicted = pair.predicted_by(*fields, "pls", None)[0].left_out
    raw = feature_alignment(predicted, pair.neural)[1:].mean()
    ceiling = ceiling_of(target, SPEC, planted.cache, interval="images")
    assert result.arrays[0].estimate.replicates[0] == pytest.approx(raw / ceiling.replicates[0])
    maps = pair.source_maps  # of images 1 to 7
    typical = [np.delete(maps, image, axis=0).mean(axis=0) for image in range(IMAGES - 1)]
    raw = feature_alignment(np.stack(typical), pair.neural[1:]).mean()
    replicates = result.arrays[0].controls[TYPICAL_MAP].replicates
    assert replicates[0] == pytest.approx(raw / ceiling.replicates[0])


def test_controls_are_fitted_to_the_source_like_the_model(planted):
    source, target, _ = planted.recordings
    pair = Pair(source, target)
    fields = [control_features(recording.images, recording.grid)["contrast"] for recording in (source, target)]
    predicted = pair.predicted_by(*fields, "pls", None)[0].left_out
    array = scored(planted).arrays[0]
    assert array.controls["contrast"].raw == pytest.approx(feature_alignment(predicted, pair.neural).mean())
    assert array.null.p_value <= 1
    assert array.null.paired.shape == (len(target.images),) * 2


def test_a_source_with_too_few_images_for_refits_gives_a_fixed_interval(planted):
    source, target, _ = planted.recordings
    few = replace(source, images=source.images[:3], maps=source.maps[:3], repeats=source.repeats[:3])
    result = scored(SimpleNamespace(**vars(planted) | {"recordings": (few, target)}))
    assert [array.estimate.interval_kind for array in result.arrays] == ["fixed", "fixed"]
    assert np.isfinite([array.interval for array in result.arrays]).all()
    assert [len(array.images) for array in result.arrays] == [8, 3]


def test_the_source_s_maps_of_an_image_do_not_change_its_prediction(planted, rng, tmp_path):
    source, target, other = planted.recordings
    before = scored(planted)
    repeats = source.repeats.copy()
    repeats[3] = 50 * rng.normal(size=repeats.shape[1:])
    changed = replace(source, repeats=repeats, maps=repeats.mean(axis=1))
    after = scored(SimpleNamespace(**vars(planted) | {"recordings": (changed, target, other)}))
    for row, expected in ((0, [3]), (1, [2])):  # image 3 is the third of the other monkey
        same = [np.allclose(*maps, rtol=1e-6) for maps in zip(before.arrays[row].predicted, after.arrays[row].predicted,
                                                              strict=True)]  # fmt: skip
        assert np.flatnonzero(same).tolist() == expected


def test_controls_are_the_source_s_own_map_and_its_typical_map(planted):
    result = scored(planted)
    first, other = result.arrays[0], result.arrays[1]
    source, target = (recording.maps.mean(axis=-1, keepdims=True) for recording in planted.recordings[:2])
    at_target = source[:, ::2, ::2]  # the coarse grid is every second position of the fine one
    own = feature_alignment(at_target, target)
    assert first.controls[RECORDED_SOURCE].raw == pytest.approx(own.mean())
    assert first.controls[RECORDED_SOURCE].score == pytest.approx(own.mean() / first.ceiling)
    typical = np.stack([at_target[np.arange(IMAGES) != image].mean(axis=0) for image in range(IMAGES)])
    expected = feature_alignment(typical, target).mean()
    assert first.controls[TYPICAL_MAP].raw == pytest.approx(expected)
    assert first.controls[TYPICAL_MAP].replicates.shape == first.estimate.replicates.shape
    assert "the source array has 5 of the 7 images" in other.controls[RECORDED_SOURCE].reason
    shared = feature_alignment(at_target[[2, 3, 4, 5, 6]], planted.recordings[2].maps.mean(-1, keepdims=True)[1:6])
    assert other.controls[RECORDED_SOURCE].raw == pytest.approx(shared.mean())
    assert other.controls[TYPICAL_MAP].reason == TWO_MONKEYS
    assert {RECORDED_SOURCE, TYPICAL_MAP} <= result.controls.keys()
    values = [array.controls[TYPICAL_MAP].raw for array in result.arrays]
    assert result.controls[TYPICAL_MAP].raw == pytest.approx(np.mean(values))


def test_features_are_read_once_and_values_come_from_the_cache(planted):
    first = scored(planted)
    assert planted.model.reads == 3  # the grids or images of all three differ
    again = scored(planted)
    assert planted.model.reads == 3
    np.testing.assert_equal(again.to_dict() | {"written": ""}, first.to_dict() | {"written": ""})
    scored(planted, interval="fixed")
    assert planted.model.reads == 6


def test_notes_say_which_images_are_left_out(planted):
    notes = "\n".join(scored(planted).notes)
    assert "Lab.PL to ML-simulated, Lab.ML to PL-simulated: both arrays have all 8 images" in notes
    assert "the source has 5 of the 7 images, each of which is left out of its own fit" in notes
    apart = replace(planted.recordings[2], images=planted.recordings[2].images[::6] + planted.recordings[0].images[:1],
                    maps=planted.recordings[2].maps[:3], repeats=None)  # fmt: skip
    few = replace(planted.recordings[0], images=planted.recordings[0].images[1:5], maps=planted.recordings[0].maps[:4],
                  repeats=None)  # fmt: skip
    result = scored(SimpleNamespace(**vars(planted) | {"recordings": (few, apart)}))
    assert "the source has none of the 3 images" in "\n".join(result.notes)
    assert np.isnan(result.arrays[0].controls[RECORDED_SOURCE].raw)


def test_several_layers_another_protocol_and_constant_maps_are_refused(planted):
    benchmark = maps_benchmark("it_maps_transfer")
    for layers in (("a", "b"), ("all",)):
        with pytest.raises(UsageError, match="scores one layer at a time"):
            benchmark.prepared(ScoreRequest(ModelRequest("pixels", layers=layers)))
    with pytest.raises(UsageError, match="The published protocol has no benchmark like it_maps_transfer"):
        benchmark.prepared(ScoreRequest(protocol="published"))
    two = SimpleNamespace(**vars(planted) | {"model": Planted(planted.model.features, ("early", "late"))})
    with pytest.raises(UsageError, match="scores one layer at a time"):
        scored(two)
    flat = {content: 0 * maps for content, maps in planted.model.features.items()}
    with pytest.raises(ModelError, match=r"predicts a constant map on image0, .*Lab\.PL to ML-simulated"):
        scored(SimpleNamespace(**vars(planted) | {"model": Planted(flat), "cache": replace(planted.cache, fresh=True)}))
    maps = planted.recordings[1].maps.copy()
    maps[4] = 1.0
    constant = replace(planted.recordings[1], maps=maps, repeats=None)
    with pytest.raises(DataError, match=r"Lab\.ML-simulated: the map averaged over sites is constant on image4"):
        scored(SimpleNamespace(**vars(planted) | {"recordings": (planted.recordings[0], constant)}))


def test_the_simulated_benchmark_splits_sites_and_repeats_so_that_no_noise_is_shared():
    recording = load_recording("it_maps_simulated")
    even, odd = two_halves(recording)
    assert not {*even.sites} & {*odd.sites}
    assert {*even.sites, *odd.sites} == {*recording.sites}
    np.testing.assert_array_equal(even.maps, recording.repeats[:, [0, 2, 4]][..., ::2].mean(axis=1))
    np.testing.assert_array_equal(odd.maps, recording.repeats[:, [1, 3, 5]][..., 1::2].mean(axis=1))
    assert next(pair.name for pair in pairs_of((even, odd))) == "it_maps_simulated.even to odd"
    assert {"it_maps_transfer", HALVES} <= {*list_benchmarks()}


def test_both_entrances_score_it_and_its_pages_show_the_images_of_the_targets():
    result = score("timm:test_resnet", HALVES, "layer3", weights="random")
    assert all(array.simulated for array in result.arrays)
    assert "the two arrays are SIMULATED: alternate sites of it_maps_simulated" in result.notes[0]
    assert np.isfinite([result.score, *result.interval]).all()
    assert compare_results(result, result).difference == 0
    benchmark = ItMapsBenchmark(CATALOGUE[HALVES])
    assert float(benchmark.ceiling) == pytest.approx(result.ceiling)
    assert images_of(result) == [list(load_recording("it_maps_simulated").images)] * 2
    page = report(result, images_of(result))
    assert page.count("mean over sites") > 1
    assert "it_maps_simulated.even to odd" in page


@pytest.mark.slow
def test_the_command_prints_every_pair_and_draws_the_maps(tmp_path):
    asked = ("score", "-m", "timm:test_resnet", "--weights", "random", "--layers", "layer3", "-b", HALVES)
    files = ("--out", tmp_path, "--report", "--figure", tmp_path / "maps.png")
    printed = succeeded(*asked, *files, COLUMNS="200").stdout
    assert "it_maps_simulated.odd to even" in printed
    assert "17 x 17 positions, mean over sites, 100-250 ms" in printed
    assert (tmp_path / "maps.png").stat().st_size > 10_000
    refused = brainscore("score", "-m", "pixels", "-b", HALVES, "--layers", "all")
    assert "scores one layer at a time" in refused.stderr


def test_for_brain_score_there_is_no_noise_ceiling_across_monkeys(planted):
    ceiling = ItMapsBenchmark(SPEC, list(planted.recordings)).ceiling
    assert (np.isnan(float(ceiling)), ceiling.attrs["reason"]) == (True, TWO_MONKEYS)
