"""The benchmark of three arrays, on a stand-in for the published archive (simulated, in its layout)."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from answers import succeeded
from command_line import brainscore

from brainscore_itmaps import load_model, load_recording, score
from brainscore_itmaps.benchmark.ceilings import MAP_SITES, SITES
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.metrics.ceiling import map_ceiling, noise_ceiling

pytestmark = pytest.mark.slow

ARRAYS = ("monkey1_PL", "monkey1_ML", "monkey2_ML")


@pytest.fixture(scope="module")
def home(long_stand_in, made_once):
    """A home that knows the archive."""

    def fetch(folder):
        succeeded("data", "fetch", "--from", long_stand_in, ITMAPS_HOME=folder)

    before = os.environ["ITMAPS_HOME"]
    os.environ["ITMAPS_HOME"] = str(made_once("home-of-three-arrays", fetch))
    yield os.environ["ITMAPS_HOME"]
    os.environ["ITMAPS_HOME"] = before


@pytest.fixture(scope="module")
def model():
    return load_model("timm:test_vit", weights="random")


@pytest.fixture(scope="module")
def result(home, model):
    return score(model, "it_maps", controls=False)


def test_the_score_is_the_mean_over_arrays_of_each_one_s_own(result, model):
    assert [array.recording for array in result.arrays] == [f"Arcaro2020.{name}-simulated" for name in ARRAYS]
    assert result.formula.startswith("mean over 3 arrays of: mean over images of (median over sites")
    assert result.simulated
    for name in ("score", "raw", "ceiling", "explained", "alignment"):
        assert getattr(result, name) == pytest.approx(np.mean([getattr(a, name) for a in result.arrays]), abs=1e-12)
    for name, array in zip(ARRAYS, result.arrays, strict=True):
        alone = score(model, f"Arcaro2020.{name}-pls", controls=False, fresh=True)
        assert alone.score == pytest.approx(array.score, abs=1e-12)
        assert alone.interval == pytest.approx(array.interval, abs=1e-12)
        assert array.explained == pytest.approx(array.score * abs(array.score))
        assert array.ceiling_kind == SITES
        recording = load_recording(name)
        np.testing.assert_array_equal(array.site_ceiling, noise_ceiling(recording.maps).site_r)
        assert array.window == recording.window == ((150, 300) if name == "monkey2_ML" else (100, 250))


def test_the_interval_leaves_the_same_groups_out_of_arrays_that_share_images(result):
    first, second, third = (array.estimate for array in result.arrays)
    shared = (first.replicates + second.replicates + third.score) / 3
    own = (first.score + second.score + third.replicates) / 3
    np.testing.assert_allclose(result.estimate.replicates, np.concatenate([shared, own]))
    assert result.estimate.groups == (7, 7)
    assert result.interval[0] < result.score < result.interval[1]


def test_brain_score_s_entrance_gives_the_same_numbers_and_what_it_asks_of_a_score(result, model):
    from brainscore_vision import load_benchmark
    from brainscore_vision.benchmark_helpers.validate_error import validate_score_uncertainty

    from brainscore_itmaps.bridge.models import brain_model
    from brainscore_itmaps.bridge.plugins import attach

    attach()
    given = load_benchmark("it_maps")(brain_model(model))
    assert float(given) == pytest.approx(result.score, abs=1e-6)
    assert given.attrs["interval"] == pytest.approx(result.interval, abs=1e-6)
    checked = validate_score_uncertainty(given)
    assert (checked.problems, checked.warnings) == ([], [])
    assert float(pickle.loads(pickle.dumps(given))) == float(given)
    raw = given.attrs["raw"]
    assert raw.item() == pytest.approx(result.raw, abs=1e-6)
    by_site = raw.attrs["raw"]
    assert by_site.shape == (28, 32 + 31 + 32)
    for array in result.arrays:
        rows = [by_site["image_id"].values.tolist().index(image) for image in array.images]
        columns = np.flatnonzero(by_site["recording"].values == array.recording)
        np.testing.assert_allclose(by_site.values[np.ix_(rows, columns)], array.site_r, atol=1e-6)
        others = np.setdiff1d(np.arange(28), rows)
        assert np.isnan(by_site.values[np.ix_(others, columns)]).all()
        assert given.attrs["per_layer"][array.recording] == pytest.approx({array.layer: array.raw}, abs=1e-6)
        maps = given.attrs["maps"][array.recording]
        assert maps["predicted"].shape == maps["neural"].shape == array.neural.shape
        assert given.attrs["windows"][array.recording] == array.window
    np.testing.assert_allclose(given.attrs["per_array"].values, [array.score for array in result.arrays], atol=1e-6)
    assert set(given.attrs["versions"]) >= {"numpy", "torch", "timm", "brainscore_itmaps"}


def test_images_that_two_arrays_share_are_shown_once(home, model, monkeypatch):
    shown = []
    preprocess = type(model).preprocess
    monkeypatch.setattr(
        type(model), "preprocess", lambda self, images: shown.extend(images) or preprocess(self, images)
    )
    score(model, "it_maps", controls=False, fresh=True)
    shown = [image for image in shown if isinstance(image, Path)]  # not the noise that verifies the layer
    assert len(shown) == len(set(shown)) == 28


def test_alignment_compares_maps_averaged_over_sites(home, model):
    result = score(model, "it_maps_alignment", controls=False)
    for name, array in zip(ARRAYS, result.arrays, strict=True):
        assert array.raw == pytest.approx(array.map_rho.mean(), abs=1e-12)
        ceiling = map_ceiling(load_recording(name).maps, rng=np.random.default_rng(0))
        assert (array.ceiling, array.ceiling_kind) == (pytest.approx(ceiling.mean(), abs=1e-12), MAP_SITES)
    assert result.score == pytest.approx(np.mean([array.raw / array.ceiling for array in result.arrays]))


def test_values_stand_beside_ceilings_of_their_own_measure(home, model, tmp_path):
    """Spearman rho of averaged maps has another ceiling than Pearson r of a site."""
    from brainscore_itmaps.bridge.benchmark import to_score

    ridge, alignment = (score(model, f"Arcaro2020.monkey2_ML-{kind}", controls=False) for kind in ("pls", "alignment"))
    for result, values in ((ridge, "image_r"), (alignment, "map_rho")):
        (array,) = result.arrays
        np.testing.assert_array_equal(array.image_value, getattr(array, values))
        assert (array.raw, array.ceiling) == (array.image_value.mean(), array.image_ceiling.mean())
        per_image = to_score(result).attrs["per_image"][array.recording]
        np.testing.assert_array_equal(per_image.values, array.image_value)
        np.testing.assert_array_equal(per_image["ceiling"].values, array.image_ceiling)
    sites = [to_score(result).attrs["per_site"]["Arcaro2020.monkey2_ML-simulated"] for result in (ridge, alignment)]
    assert [hasattr(site, "ceiling") for site in sites] == [True, False]
    ceilings = [
        {line.rsplit(",", 1)[1] for line in result.save(tmp_path)[1].read_text().splitlines()[1:]}
        for result in (ridge, alignment)
    ]
    assert "" not in ceilings[0]
    assert ceilings[1] == {""}


@pytest.mark.parametrize("kind", ["screen-pls", "fixation-pls", "attribution", "ridge"])
def test_what_the_published_code_never_did_is_refused(home, kind):
    with pytest.raises(UsageError, match="The published protocol"):
        score("timm:resnet18", f"Arcaro2020.monkey2_ML-{kind}", weights="random", protocol="published")
    if kind != "ridge":
        with pytest.raises(UsageError, match="The published protocol has no benchmark like"):
            score("pixels", f"Arcaro2020.monkey2_ML-{kind}", protocol="published")


def test_compat_takes_the_best_layer_on_the_very_images_of_the_published_recording(home):
    model = load_model("timm:test_efficientnet", weights="random")
    model = type(model)(**vars(model) | {"spec": type(model.spec)(**vars(model.spec) | {"size": 224})})
    layers = ["blocks.2", "blocks.3", "blocks.4"]
    result = score(model, "Arcaro2020.monkey1_ML-pls", layers, protocol="published", controls=False)
    (array,) = result.arrays
    assert (array.neural.shape[-1], array.window) == (30, (50, 90))
    raw = {value.layer: value.raw for value in array.layers}
    assert list(raw) == layers
    assert set(array.layer_of_image) == {max(raw, key=raw.get)}
    assert array.raw == max(raw.values())
    assert result.layer == "best of 3"
    windowed = score(
        model, "Arcaro2020.monkey1_ML-pls", layers[:1], window="tutorial", protocol="published", controls=False
    )
    assert windowed.arrays[0].window == (130, 170)


def test_the_command_prints_every_array_and_their_mean(home, result, tmp_path):
    arguments = ("score", "-m", "timm:test_vit", "--weights", "random", "-b", "it_maps", "--out", tmp_path)
    done = succeeded(*arguments, ITMAPS_HOME=home)
    for name in ARRAYS:
        assert f"│ {name} │" in done.stdout
    assert f"{result.interval[0]:.3f} to {result.interval[1]:.3f}" in done.stdout
    assert done.stdout.count("SIMULATED") == 3
    (told,) = (json.loads(file.read_text()) for file in tmp_path.glob("*.json"))
    assert told["score"] == pytest.approx(result.score, abs=1e-9)
    assert [array["recording"] for array in told["arrays"]] == [array.recording for array in result.arrays]
    tables = [file for file in tmp_path.glob("*.csv") if not file.name.endswith(".controls.csv")]
    (rows,) = (file.read_text().splitlines() for file in tables)
    assert len(rows) == 1 + 14 * (32 + 31 + 32)
    as_json = brainscore(*arguments, "--json", ITMAPS_HOME=home).stdout
    assert json.loads(as_json)["score"] == told["score"]


def test_offline_and_without_the_archive_nothing_is_fetched(tmp_path):
    done = brainscore(
        "score", "-m", "timm:test_vit", "--weights", "random", "-b", "it_maps", "--offline", ITMAPS_HOME=tmp_path
    )
    assert (done.returncode, "offline mode forbids" in done.stderr) == (DataError.exit_code, True)
