"""Scores of recordings with identical images, with many images, and with one site: what results say and do."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from brainscore_itmaps import Recording, Result
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.comparison import compare_results
from brainscore_itmaps.benchmark.evaluate import evaluate, evaluate_features
from brainscore_itmaps.benchmark.folds import folds_of, notes_on_folds
from brainscore_itmaps.benchmark.layers import chosen_layers
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import EACH_IMAGE, Reading
from brainscore_itmaps.benchmark.source import Source
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.features.grid import downsample_if_larger
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.protocol import PUBLISHED
from brainscore_itmaps.study.table import tidy_table

SPEC = CATALOGUE["it_maps_simulated"]
READING = Reading(model="m", weights=Weights("module", sha256=""), layer="l", field_of_view="the whole image")


def planted(folder, contents, channels=4, sites=5, noise=2.0, repeats=2):
    """Features (image, channel, y, x) and a recording whose images with one number in ``contents`` are identical."""
    rng, contents = np.random.default_rng(0), np.array(contents)
    field = rng.normal(size=(contents.max() + 1, 5, 5, channels))[contents]
    signal = (rng.normal(size=(contents.max() + 1, 5, 5, 2)) @ rng.normal(size=(2, sites)))[contents]
    signal = signal + field[..., :2] @ rng.normal(size=(2, sites))
    presented = signal[:, None] + noise * rng.normal(size=(len(contents), max(repeats, 1), 5, 5, sites))
    pixels = rng.integers(256, size=(contents.max() + 1, 8, 8, 3), dtype=np.uint8)
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"image{number:02d}.{'bmp' if number % 2 else 'png'}")  # equal pixels, unequal bytes
        Image.fromarray(pixels[content]).save(files[-1])
    recording = Recording.from_arrays(
        presented.mean(axis=1), files, identifier="planted", window=(50, 150), repeats=presented if repeats else None
    )
    return np.moveaxis(field, -1, 1), recording


def scored(folder, features, recording, **request):
    return evaluate_features(features, recording, READING, SPEC, ScoreRequest(**request), ResultCache(folder))


COPIES = [*range(8), 0, 1, 2, 3, 4]


def test_a_result_says_which_images_are_identical_and_that_they_are_left_out_together(tmp_path):
    result = scored(tmp_path / "cache", *planted(tmp_path, COPIES))
    assert result.arrays[0].folds == "each image in turn, identical images together"
    assert "left out: each image in turn, identical images together" in result.formula
    (note,) = [note for note in result.notes if "identical" in note]
    assert "image00 = image08; image01 = image09; image02 = image10" in note
    assert "left out together" in note
    assert result.estimate.groups == (7,)
    plain = result.to_dict()
    assert plain["arrays"][0]["folds"] == result.arrays[0].folds
    loaded = Result.load(result.save(tmp_path / "saved")[0])
    assert (loaded.arrays[0].folds, loaded.notes) == (result.arrays[0].folds, result.notes)


@pytest.mark.parametrize("repeats", [2, 0])
@pytest.mark.parametrize("interval", ["groups", "images", "fixed"])
def test_copies_do_not_raise_a_score(tmp_path, repeats, interval):
    features, recording = planted(tmp_path, COPIES, channels=200, repeats=repeats)
    result = scored(tmp_path / "cache", features, recording, interval=interval)
    few = replace(
        recording,
        images=recording.images[:8],
        maps=recording.maps[:8],
        repeats=None if recording.repeats is None else recording.repeats[:8],
    )
    without = scored(tmp_path / "cache", features[:8], few, interval=interval)
    assert result.raw == pytest.approx(without.raw, abs=0.15)
    leaking = scored(tmp_path / "cache", features, recording, protocol="published")
    assert leaking.raw > without.raw + 0.2
    assert "left out alone, as published" in " ".join(leaking.notes)
    assert leaking.arrays[0].folds == EACH_IMAGE
    assert result.estimate.groups == without.estimate.groups
    assert result.estimate.groups == ((7,) if interval == "groups" else (8,))


def test_ten_copies_of_one_picture_leave_nothing_to_fit(tmp_path):
    features, recording = planted(tmp_path, [0] * 10)
    with pytest.raises(DataError, match="at least 3 different images, not 1: some of the 10 images are identical"):
        scored(tmp_path / "cache", features, recording)
    with pytest.raises(DataError, match="at least 3 images, not 2"):
        scored(tmp_path / "cache", *planted(tmp_path, [0, 1]))


@pytest.mark.parametrize("different", [3, 4, 5, 7, 8])
def test_few_different_images_have_as_many_groups(tmp_path, different):
    result = scored(tmp_path / "cache", *planted(tmp_path, [*range(different), 0, 1], channels=3, noise=0.1))
    assert result.estimate.groups == (min(7, different),)
    assert result.estimate.interval_kind == ("fixed" if different == 3 else "groups")


def test_more_than_32_images_are_left_out_in_14_groups_and_the_result_says_so(tmp_path):
    features, recording = planted(tmp_path, range(33))
    for interval, groups in (("groups", 7), ("images", 14), ("fixed", 33)):
        result = scored(tmp_path / "cache", features, recording, interval=interval)
        assert result.arrays[0].folds == "14 groups of images"
        assert "images (left out: 14 groups of images)" in result.formula
        assert any("33 images are left out in 14 groups" in note for note in result.notes)
        assert result.estimate.groups == (groups,)
        assert np.isfinite(result.interval).all()
    published = scored(tmp_path / "cache", features, recording, protocol="published")
    assert published.arrays[0].folds == EACH_IMAGE
    assert published.formula.startswith("mean over images of")


def test_the_folds_of_32_images_and_their_words_are_those_of_single_images(tmp_path):
    _, recording = planted(tmp_path, range(32))
    folds = folds_of(recording)
    np.testing.assert_array_equal(folds.left_out, np.eye(32, dtype=bool))
    assert (folds.text, folds.key, notes_on_folds(recording, folds)) == (EACH_IMAGE, {}, [])
    assert folds_of(recording, PUBLISHED).key == {}


def test_a_note_lists_at_most_eight_groups_and_names(tmp_path):
    _, recording = planted(tmp_path, [*range(12), *range(12), *[0] * 10])
    (note,) = notes_on_folds(recording, folds_of(recording))
    assert "4 more" in note  # images of the first group, and groups
    assert note.count(";") == 8


def test_the_layer_of_an_image_is_chosen_without_its_copies(tmp_path):
    """A layer that recognises images predicts copies; it is not chosen, because no copy is in the training images."""
    features, recording = planted(tmp_path, COPIES, channels=200, noise=0.5)
    layers = {"memory": features, "signal": features[:, :2]}

    def read(*_):
        return {name: downsample_if_larger(values, recording.grid) for name, values in layers.items()}

    result = evaluate(Source(READING, (), None, read), [recording], SPEC, ScoreRequest(), ResultCache(tmp_path / "c"))
    assert set(result.arrays[0].layer_of_image) == {"signal"}
    refits = {"a": np.full((3, 5), 0.1), "b": np.full((3, 5), 0.1)}
    refits["b"][1] = 0.5
    assert chosen_layers(refits, np.array([0, 1, 2, 1, 4])) == ("a", "b", "a", "b", "a")


def test_results_with_other_folds_are_not_compared(tmp_path):
    features, recording = planted(tmp_path, range(33))
    result = scored(tmp_path / "cache", features, recording)
    older = replace(result, arrays=(replace(result.arrays[0], folds=EACH_IMAGE),))
    with pytest.raises(UsageError, match="not comparable"):
        compare_results(result, older)
    table = tidy_table([result, replace(older, reading=replace(older.reading, model="older"))])
    assert any("leave out images in several ways" in problem for problem in table.troubles)


@pytest.mark.parametrize("sites", [1, 2])
def test_one_or_two_sites_have_a_raw_value_and_with_repeats_a_score(tmp_path, sites):
    features, recording = planted(tmp_path, range(8), sites=sites, noise=0.5, repeats=0)
    result = scored(tmp_path / "cache", features, recording)
    assert np.isfinite(result.raw)
    assert np.isnan([result.score, result.ceiling]).all()
    assert f"{sites} complete site{'s' if sites > 1 else ''} and no repeats" in result.estimate.reason
    assert result.to_dict()["score"] is None
    assert result.to_dataframe()["raw"][0] == result.raw
    assert "-" in result._repr_html_()
    assert Result.load(result.save(tmp_path / "saved")[0]).raw == result.raw
    repeated = scored(tmp_path / "cache", *planted(tmp_path, range(8), sites=sites, noise=0.5))
    assert np.isfinite([repeated.score, *repeated.interval]).all()
    assert not any("no reliable signal" in note for note in repeated.notes)
