"""A result: what it holds, how it is written, read back and compared, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from edited import rewrite
from published import GOLDEN
from shown import changed, scored, two_arrays
from sources import fresh, model_source

from brainscore_itmaps import (
    Grid,
    Recording,
    compare_results,
    load_model,
    load_recording,
    score,
    score_features,
    to_grid,
)
from brainscore_itmaps.benchmark.catalogue import TOLERANCE, BenchmarkSpec
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.saved import load_result, load_summary
from brainscore_itmaps.errors import ArrayError, DataError, InstallationError, UsageError
from brainscore_itmaps.metrics.inference import compare_replicates
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.protocol import OURS

OLD = GOLDEN / "results_of_version_2"


def same(first, second):
    """Are two dataclasses equal, arrays and what is undefined included?"""
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second, equal_nan=first.dtype.kind == "f") and first.dtype == second.dtype
    if hasattr(first, "__dataclass_fields__"):
        pairs = [(getattr(first, field.name), getattr(second, field.name)) for field in fields(first)]
        return type(first) is type(second) and all(same(*pair) for pair in pairs)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


@pytest.mark.parametrize("result", [scored, two_arrays], ids=["one array", "two arrays"])
def test_what_is_read_is_what_was_written(result, tmp_path):
    result = result()
    file, *_ = result.save(tmp_path)
    assert same(Result.load(file), result)


def test_a_score_and_an_interval_can_be_absent(tmp_path):
    lacking = Estimate(raw=0.25, reason="one site: no ceiling can be taken")
    result = replace(scored(), estimate=lacking, arrays=(), kind="external")
    loaded = Result.load(result.save(tmp_path)[0])
    assert same(loaded.estimate, lacking)
    assert np.isnan([loaded.score, loaded.ceiling, *loaded.interval]).all()
    told = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert (told["raw"], told["score"], told["interval"]) == (0.25, None, [None, None])


def test_repr_is_short_and_says_what_it_is():
    result = two_arrays()
    for shown in (repr(result), repr(result.arrays[0]), repr(result.estimate)):
        assert len(shown) < 300
    assert "SIMULATED" in repr(result)
    assert f"{result.score:.3f}" in repr(result)
    assert len(repr(load_recording("it_maps_simulated"))) < 300


def test_a_data_frame_has_a_row_for_each_array_and_their_mean():
    result = two_arrays()
    table = result.to_dataframe()
    assert list(table["array"]) == ["it_maps_simulated", "narrow", "mean"]
    assert list(table["simulated"]) == [True, False, True]
    for row, part in zip(table.to_dict("records"), (*result.arrays, result), strict=True):
        assert (row["model"], row["weights"], row["random"]) == (result.model, "random (seed 1)", True)
        for name in ("raw", "ceiling", "score", "error", "alignment"):
            assert row[name] == getattr(part, name)
        assert (row["low"], row["high"]) == part.interval
    assert len(replace(result, arrays=result.arrays[:1]).to_dataframe()) == 1
    external = replace(result, arrays=(), kind="external", benchmark="theirs")
    assert list(external.to_dataframe()["array"]) == ["theirs"]


WRITER = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path

import brainscore_itmaps.benchmark.saved as saved
from brainscore_itmaps.benchmark.result import Result

file, out, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
result = replace(Result.load(file), notes=("the newer one",))
array = result.arrays[0]
result = replace(result, arrays=(replace(array, predicted=array.predicted + 1), *result.arrays[1:]))
moves = 0

def dies(name):
    move = getattr(Path, name)
    def moved(self, *rest, **options):
        global moves
        moves += 1
        if moves == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return move(self, *rest, **options)
    setattr(Path, name, moved)

for name in ("replace", "write_bytes", "write_text", "unlink"):
    dies(name)
result.save(out)
"""


@pytest.mark.slow
def test_a_result_is_the_older_or_the_newer_one_whenever_the_process_is_killed(tmp_path):
    """Killed before each step that touches the disk, while an older result lies there."""
    old = scored()
    source, *_ = old.save(tmp_path / "source")
    outcomes = []
    for stop in range(1, 40):
        out = tmp_path / f"out-{stop}"
        (file, *_) = old.save(out)
        command = [sys.executable, "-c", WRITER, str(source), str(out), str(stop)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        loaded = Result.load(file)
        newer = loaded.notes == ("the newer one",)
        expected = old.arrays[0].predicted + newer
        np.testing.assert_array_equal(loaded.arrays[0].predicted, expected)
        outcomes.append(newer)
        again, *_ = replace(old, notes=("once more",)).save(out)
        assert Result.load(again).notes == ("once more",)
        assert sorted(left.name for left in out.iterdir()) == sorted(
            f"{old.file_stem}.{ending}" for ending in ("controls.csv", "csv", "json", "npz")
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert outcomes[-1]
    assert len(outcomes) > 6
    assert not outcomes[0]


def test_a_full_disk_leaves_the_older_result(tmp_path, monkeypatch):
    old = scored()
    file, *_ = old.save(tmp_path)
    newer = replace(old, notes=("the newer one",))
    for refused in (1, 2, 3, 4):
        asked = []

        def full(write, asked=asked, refused=refused):
            def written(self, content, *rest, **options):
                asked.append(1)
                if len(asked) == refused:
                    raise OSError(28, "No space left on device")
                return write(self, content, *rest, **options)

            return written

        for name in ("write_bytes", "write_text"):
            monkeypatch.setattr(type(file), name, full(getattr(type(file), name)))
        with pytest.raises(InstallationError, match="No space left on device"):
            newer.save(tmp_path)
        monkeypatch.undo()
        assert Result.load(file).notes == old.notes
        assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"score": "0.5"},
        {"score": True},
        {"raw": [0.5]},
        {"interval": [0.1]},
        {"interval": 0.1},
        {"arrays": 3},
        {"arrays": [{}]},
        {"weights": "random (seed 0)"},
        {"weights": {"kind": "another"}},
        {"request": None},
        {"version": 6},
        {"version": "3"},
        {"format": "another"},
        {"npz_sha256": "0" * 64},
        {"notes": "one"},
        {"benchmark": None},
    ],
    ids=str,
)
def test_a_file_that_was_edited_is_refused(tmp_path, change):
    file, *_ = scored().save(tmp_path)
    told = json.loads(file.read_text())
    rewrite(file, change)
    with pytest.raises(DataError, match="cannot be read as a result"):
        Result.load(file)
    for text in (json.dumps(told | change), json.dumps(told)[:-200], "[" * 100_000, "3", ""):
        file.write_text(text)
        with pytest.raises(DataError, match="cannot be read as a result"):
            Result.load(file)
    rewrite(file, told | {"score": float("inf")})
    with pytest.raises(DataError, match="cannot be read as a result"):
        Result.load(file)


def test_what_was_changed_after_a_result_was_written_is_named(tmp_path):
    """Also where the changed value is a possible one: 0.61 instead of 0.60."""
    result = scored()
    file, *_ = result.save(tmp_path)
    told = json.loads(file.read_text())
    for name, other in (("score", told["score"] + 0.01), ("model", "another"), ("notes", ["new"]), ("seen", 1)):
        file.write_text(json.dumps(told | {name: other}))
        with pytest.raises(DataError, match=f"was changed after it was written: {name}\\."):
            Result.load(file)
    for name in ("score", "checksums"):
        file.write_text(json.dumps({key: value for key, value in told.items() if key != name}))
        with pytest.raises(DataError, match="cannot be read"):
            Result.load(file)
    file.write_text(json.dumps(told | {"version": 4, "score": 0.9}))
    with pytest.raises(DataError, match="was changed after it was written: version, score"):
        Result.load(file)
    file.write_text(json.dumps(told, indent=4) + "\n")  # only its spaces differ
    assert Result.load(file).score == result.score


@pytest.mark.parametrize(
    "change",
    [{"raw": 1e308}, {"ceiling": -3}, {"score": 1e9}, {"interval": [0.9, 0.1]}, {"imagenet_top1": 101}, {"error": 1e7}],
    ids=str,
)
def test_numbers_beyond_their_range_are_refused(tmp_path, change):
    file, *_ = scored().save(tmp_path)
    rewrite(file, change)
    with pytest.raises(DataError, match=r"not between|is reversed"):
        Result.load(file)
    with pytest.raises(DataError, match=r"not between|is reversed"):
        load_result(file, numbers=True)


def test_lengths_and_scores_of_others_may_be_large(tmp_path):
    """A raw value is a length where images without maps were attacked, and anything in others' benchmarks."""
    for kind, measure in (("adversarial", TOLERANCE), ("external", "")):
        result = replace(scored(), kind=kind, measure=measure, estimate=Estimate(raw=48.3, score=48.3))
        assert load_result(result.save(tmp_path / kind)[0]).raw == 48.3


def test_the_numbers_of_a_comparison_are_read_without_maps_and_checked(tmp_path):
    result = scored()
    file, _, npz, *_ = result.save(tmp_path)
    numbers = load_result(file, numbers=True)
    assert numbers.arrays[0].predicted.size == 0
    np.testing.assert_array_equal(numbers.estimate.changes, result.estimate.changes)
    np.testing.assert_array_equal(numbers.arrays[0].controls["contrast"].changes,
                                  result.arrays[0].controls["contrast"].changes)  # fmt: skip
    stored = dict(np.load(npz))
    np.savez_compressed(npz, **stored | {"changes": stored["changes"] + 0.1})
    with pytest.raises(DataError, match=r"the numbers in .* are not those that were written with it"):
        load_result(file, numbers=True)


def test_a_list_reads_numbers_alone_and_notices_a_changed_one_and_a_cut_npz(tmp_path):
    result = scored()
    file, _, npz, *_ = result.save(tmp_path)
    summary = load_summary(file)
    for name in ("raw", "ceiling", "score", "interval", "best_control", "measure", "written"):
        assert getattr(summary, name) == getattr(result, name)
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"notes": ["not in a list"]}))
    assert load_summary(file).score == result.score
    file.write_text(json.dumps(told | {"score": 0.9}))
    with pytest.raises(DataError, match="was changed after it was written: score"):
        load_summary(file)
    file.write_text(json.dumps(told))
    npz.write_bytes(npz.read_bytes()[:-1])
    with pytest.raises(DataError, match="not the file that was written with it"):
        load_summary(file)
    older = load_summary(OLD / "two_arrays.json")
    assert older.score == Result.load(OLD / "two_arrays.json").score


def test_results_of_version_2_are_read_as_they_were():
    result = Result.load(OLD / "two_arrays.json")
    told = json.loads((OLD / "two_arrays.json").read_text())
    for name in ("model", "benchmark", "score", "raw", "ceiling", "explained", "error", "alignment", "written"):
        assert getattr(result, name) == told[name]
    assert result.interval == tuple(told["interval"])
    assert result.weights == Weights("random", seed=2, sha256=told["weights_sha256"])
    assert str(result.weights) == told["weights"]
    assert (result.request.model.name, result.protocol, result.kind) == ("timm:test_vit", "ours", "maps")
    assert result.request.model.layers == ("blocks.0", "blocks.1")
    with np.load(OLD / "two_arrays.npz") as stored:
        for array, old in zip(result.arrays, told["arrays"], strict=True):
            np.testing.assert_array_equal(array.predicted, stored[f"{array.recording}/predicted"])
            np.testing.assert_array_equal(array.site_r, stored[f"{array.recording}/site_r"])
            assert (array.score, array.layer_of_image) == (old["score"], tuple(old["layer_of_image"]))
    assert result.estimate.groups == (len(result.arrays[0].images),)
    assert result.notes[0].startswith(f"this result is of version {told['benchmark_version']} of")
    with pytest.raises(UsageError, match="earlier version"):
        compare_results(result, result)


def test_attributions_of_version_2_are_read_with_their_maps():
    result = Result.load(OLD / "attribution.json")
    assert result.weights == Weights("file", path="w.pt", sha256=result.weights_sha256, source="sha256 0123456789ab")
    assert (result.request.window, result.request.attribution) == ((130, 170), "smoothgrad")
    assert result.label == "130-170-smoothgrad"
    with np.load(OLD / "attribution.npz") as stored:
        np.testing.assert_array_equal(result.arrays[0].saliency.maps, stored["saliency"])
    assert result.raw == pytest.approx(result.arrays[0].saliency.rho.mean())


def test_plain_numbers_of_earlier_versions_are_results():
    human, external = (Result.load(OLD / f"{name}.json") for name in ("human", "external"))
    assert (human.kind, human.score, human.interval, human.protocol) == ("human", 0.25, (0.125, 0.375), "published")
    assert (human.weights, human.details["dice"]) == (Weights("random", seed=3, sha256="ab12"), 0.5)
    assert human.request.attribution == human.label == "smoothgrad"
    assert (external.kind, external.score, external.raw, external.error) == ("external", 0.5, 0.4, 0.01)
    assert np.isnan([external.ceiling, *external.interval]).all()
    assert external.weights.kind == "pretrained"


@pytest.fixture(scope="module")
def pair():
    return [score("timm:test_resnet", weights="random", seed=seed) for seed in (1, 2)]


def test_two_results_are_compared_by_their_scores_without_each_group(pair):
    a, b = pair
    found = compare_results(a, b)
    assert found.difference == pytest.approx(a.score - b.score, abs=1e-12)
    first, second = a.estimate, b.estimate
    replicates, changes = first.replicates - second.replicates, first.changes - second.changes
    expected = compare_replicates(a.score - b.score, replicates, [7], changes)
    assert (found.p_value, *found.interval) == pytest.approx((expected.p_value, *expected.interval), abs=1e-12)
    assert found.interval[0] < found.difference < found.interval[1]
    assert compare_results(b, a).difference == pytest.approx(-found.difference, abs=1e-12)
    itself = compare_results(a, a)
    assert (itself.difference, itself.p_value) == (0, 1)


def test_what_was_not_scored_alike_is_not_compared(pair):
    a, b = pair
    array = b.arrays[0]
    for other in (
        replace(b, measure="alignment"),
        replace(b, arrays=(replace(array, window=(0, 50)),)),
        replace(b, arrays=(replace(array, images=array.images[::-1]),)),
    ):
        with pytest.raises(UsageError, match="not comparable scores on the same maps"):
            compare_results(a, other)
    with pytest.raises(UsageError, match="The intervals are of two kinds: groups and images"):
        compare_results(a, replace(b, estimate=replace(b.estimate, interval_kind="images")))
    for wrong in (0.5, changed(b, arrays=()), "a"):
        with pytest.raises(UsageError, match="no maps to compare"):
            compare_results(a, wrong)


def test_features_are_scored_on_a_recording_as_a_model_is(rng):
    recording = load_recording("it_maps_simulated")
    features = np.moveaxis(recording.maps, 0, 0)[..., :5] + rng.normal(size=(14, 17, 17, 5))
    result = score_features(features, recording)
    arrays = score_features(features, recording.maps, grid=recording.grid)
    assert result.raw == pytest.approx(arrays.score, abs=1e-12)
    np.testing.assert_allclose(result.arrays[0].site_r, arrays.site_r, rtol=0, atol=1e-12)
    assert result.score == pytest.approx(result.raw / result.ceiling)
    assert result.explained == pytest.approx(result.score**2)
    assert result.interval[0] < result.score < result.interval[1]
    assert result.simulated
    published = score_features(features, recording, protocol="published")
    assert published.raw == pytest.approx(score_features(features, recording.maps, protocol="published").score)
    assert published.protocol == "published"
    ridge = score_features(features, recording, method="ridge_cv")
    by_hand = score_features(features, recording.maps, method="ridge_cv", grid=recording.grid)
    assert ridge.raw == pytest.approx(by_hand.score)


@pytest.mark.parametrize(
    ("features", "maps", "name"),
    [
        ((6, 40, 7, 7), (6, 9, 9, 4), "features"),
        ((6, 7, 7, 40), (6, 20, 9, 9), "maps"),
        ((6, 8, 5, 5), (6, 5, 8, 4), "features"),
        ((6, 3, 4, 4), (6, 9, 9, 3), "features"),  # fewer channels than rows
    ],
)
def test_channels_before_positions_are_refused_where_the_shape_tells(rng, features, maps, name):
    with pytest.raises(ArrayError, match=rf"{name} .* look like \(image, (channel|site), y, x\).*moveaxis"):
        score_features(rng.normal(size=features), rng.normal(size=maps))


def test_a_grid_that_is_not_square_is_no_other_order(rng):
    score_features(rng.normal(size=(6, 5, 8, 8)), rng.normal(size=(6, 5, 8, 3)))
    score_features(rng.normal(size=(6, 8, 5, 5)), rng.normal(size=(6, 8, 5, 3)))
    score_features(rng.normal(size=(6, 3, 4, 4)), rng.normal(size=(6, 9, 9, 3)), layout="NHWC")
    score_features(rng.normal(size=(6, 7, 7, 3)), rng.normal(size=(6, 5, 8, 3)))


def test_the_process_that_writes_leaves_no_lock_or_umask(tmp_path):
    before = os.umask(0o027)
    try:
        file, *_ = scored().save(tmp_path)
        assert file.stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_features_of_another_size_with_the_same_values_are_told_apart(own_home, images, rng):
    """At the grid, or still to be sampled: the same numbers mean another field."""
    grid = Grid(y=np.linspace(-5, 5, 5), x=np.linspace(-3, 7, 5), extent=16.0)
    maps = rng.normal(size=(6, 5, 5, 3)) + rng.normal(size=(6, 5, 5, 1))
    recording = Recording.from_arrays(maps, images, identifier="own", window=(0, 9), grid=grid)
    features = rng.normal(size=(6, 11, 11, 4))
    sampled = to_grid(np.moveaxis(features, -1, 1), grid)
    first, second = score_features(features, recording), score_features(sampled, recording)
    assert first.raw == pytest.approx(score_features(features, maps, grid=grid).score, abs=1e-12)
    assert second.raw == pytest.approx(score_features(sampled, maps, grid=grid).score, abs=1e-12)
    assert abs(first.raw - second.raw) > 1e-6
    assert first.file_stem != second.file_stem


def test_a_call_and_an_element_of_a_layer_have_their_own_files():
    result = scored()
    stems = {
        replace(result, reading=replace(result.reading, layer=layer)).file_stem for layer in ("IT@2", "IT[2]", "IT")
    }
    assert len(stems) == 3


def test_one_recording_in_two_windows_keeps_the_arrays_of_both(tmp_path):
    recordings = [load_recording("it_maps_simulated", window) for window in ((100, 250), (100, 200))]
    model = load_model("timm:test_resnet", "random")
    spec = BenchmarkSpec("two windows", ("it_maps_simulated",) * 2)
    result = evaluate(model_source(model, "layer3"), recordings, spec)
    for array, recording in zip(result.arrays, recordings, strict=True):
        alone = evaluate(model_source(model, "layer3"), [recording], spec, cache=fresh())
        assert array.score == pytest.approx(alone.score, abs=1e-12)
    json_file, _, npz, *_ = result.save(tmp_path)
    assert same(Result.load(json_file), result)
    assert len(result.to_dataframe()) == 3
    with np.load(npz) as held:
        windows = [held[f"{number}/it_maps_simulated/window"].tolist() for number in range(2)]
    assert windows == [[100, 250], [100, 200]]


def test_a_protocol_of_ones_own_is_refused():
    with pytest.raises(UsageError, match="is not a protocol of this package"):
        score_features(np.ones((4, 3, 3, 2)), np.ones((4, 3, 3, 2)), protocol=replace(OURS, components=1))
    with pytest.raises(UsageError, match="Did you mean published"):
        score("timm:test_vit", weights="random", protocol="publishd")
    for wrong in ([], 3, None):
        with pytest.raises(UsageError, match="no protocol named"):
            load_recording("monkey1_PL", protocol=wrong)


def test_a_killed_save_of_another_window_is_finished(tmp_path):
    """Its arrays still have their hidden name; those of a save that wrote no JSON are removed."""
    other = changed(scored(), label="50-90")
    file, _, npz, *_ = other.save(tmp_path)
    waiting = npz.with_name(f".{other.file_stem}.{json.loads(file.read_text())['npz_sha256'][:16]}.npz")
    npz.rename(waiting)
    abandoned = tmp_path / f".never-written.{'0' * 16}.npz"
    abandoned.write_bytes(b"")
    scored().save(tmp_path)
    assert same(Result.load(file), other)
    assert npz.is_file()
    assert not list(tmp_path.glob(".*"))
