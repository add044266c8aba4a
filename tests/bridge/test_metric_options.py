"""Options of the metrics for Brain-Score: groups of images, and the noise ceiling in the statistic of the score."""

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly

from brainscore_itmaps.bridge.metrics import get_metric
from brainscore_itmaps.metrics.ceiling import ceiling_of_halves, halves_of_sites


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
