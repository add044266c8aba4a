"""Options of the metrics for Brain-Score: groups of images, and the noise ceiling in the statistic of the score."""

from types import SimpleNamespace

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from PIL import Image

from brainscore_itmaps import predict_left_out
from brainscore_itmaps.bridge.metrics import get_metric
from brainscore_itmaps.metrics.ceiling import ceiling_of_halves, halves_of_sites
from brainscore_itmaps.metrics.predictivity import neural_predictivity


def assembly(values):
    images, y, x, neuroids = values.shape
    image, row, column = (index.ravel() for index in np.indices((images, y, x)))
    coords = {name: ("presentation", levels) for name, levels in (("image_id", image), ("row", row), ("col", column))}
    coords |= {"neuroid_id": ("neuroid", np.arange(neuroids)), "region": ("neuroid", ["IT"] * neuroids)}
    return NeuroidAssembly(values.reshape(-1, neuroids), coords=coords, dims=["presentation", "neuroid"])


@pytest.fixture
def field(rng):
    return rng.normal(size=(6, 5, 4, 6))


@pytest.fixture
def maps(field, rng):
    return field @ rng.normal(size=(6, 5)) + rng.normal(size=(6, 5, 4, 5))


def test_the_number_of_groups_is_that_of_the_interval(field, maps):
    pair = assembly(field), assembly(maps)
    for name in ("itmaps_pls", "itmaps_alignment"):
        scores = [get_metric(name, groups=groups)(*pair) for groups in (4, 6)]
        assert float(scores[0]) == pytest.approx(float(scores[1]))
        assert scores[0].attrs["error"] != scores[1].attrs["error"]


def test_the_ceiling_is_that_of_the_same_regression_and_reduction(maps):
    options = {"method": "ridge", "penalty": 5.0, "groups": 4}
    ceiling = get_metric("itmaps_site_ceiling", reducer="mean", **options)(assembly(maps))
    expected = ceiling_of_halves(halves_of_sites(maps, **options), 4, "mean")
    assert float(ceiling) == pytest.approx(expected.value)
    assert ceiling.attrs["error"] == pytest.approx(expected.interval.error)


def test_images_with_equal_pixels_in_the_stimulus_set_are_left_out_together(field, maps, rng, tmp_path):
    contents, files = [0, 1, 2, 3, 4, 0], {}
    pixels = rng.integers(256, size=(5, 8, 8, 3), dtype=np.uint8)
    for image, content in enumerate(contents):
        files[image] = tmp_path / f"{image}.png"
        Image.fromarray(pixels[content]).save(files[image])
    source, target = assembly(field), assembly(maps)
    alone = get_metric("itmaps_pls")(source, target)
    assert alone.attrs["folds"] == "each image in turn"
    target.attrs["stimulus_set"] = SimpleNamespace(stimulus_paths=files)
    together = get_metric("itmaps_pls")(source, target)
    assert together.attrs["folds"] == "each image in turn, identical images together"
    expected = neural_predictivity(predict_left_out(field, maps, images=contents).predicted, maps)
    assert float(together) == pytest.approx(expected.score)
    for name in ("itmaps_alignment", "itmaps_ridge"):
        assert get_metric(name)(source, target).attrs["folds"] == together.attrs["folds"]
    assert np.isfinite(float(get_metric("itmaps_site_ceiling")(target)))
