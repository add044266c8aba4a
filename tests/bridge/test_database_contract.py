"""What Brain-Score's database and its checks of uncertainty read from a benchmark, its score and its ceiling."""

from dataclasses import replace

import numpy as np
import pytest
from brainscore_core.submission import database
from brainscore_vision.benchmark_helpers.validate_error import assert_valid_uncertainty, validate_score_uncertainty
from pybtex.database.input import bibtex

from brainscore_itmaps import load_model
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge.benchmark import ItMapsBenchmark, get_benchmark
from brainscore_itmaps.bridge.models import brain_model
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.metrics.ceiling import noise_ceiling

pytestmark = pytest.mark.usefixtures("own_home")


def recording(seed, identifier, images, sites=5):
    """Return a recording with repeats; every site of every image has a signal."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(8, 1, 5, 5, 1)) + 0.5 * rng.normal(size=(8, 1, 5, 5, sites))
    return Recording.from_arrays(
        None, images, repeats=maps + 0.8 * rng.normal(size=(8, 4, 5, 5, sites)), identifier=identifier, window=(0, 9)
    )


@pytest.fixture
def arrays():
    """Two arrays of one monkey, with the same images, and one of another."""
    rng = np.random.default_rng(7)
    one, other = rng.integers(0, 256, (2, 8, 40, 40, 3), dtype=np.uint8)
    first = recording(1, "lab.first", one)
    second = replace(recording(2, "lab.second", one), images=first.images)
    return [first, second, recording(3, "lab.third", other)]


def test_the_error_of_a_mean_ceiling_leaves_shared_images_out_of_all_arrays_at_once(arrays):
    ceiling = ItMapsBenchmark(CATALOGUE["it_maps"], arrays).ceiling
    single = [noise_ceiling(each.maps, repeats=each.repeats) for each in arrays]
    assert float(ceiling) == pytest.approx(np.mean([each.value for each in single]))
    groups = len(single[0].replicates)
    variance = [
        (groups - 1) * replicates.var()
        for replicates in ((single[0].replicates + single[1].replicates) / 3, single[2].replicates / 3)
    ]
    assert ceiling.attrs["error"] == pytest.approx(np.sqrt(sum(variance)))
    independent = np.sqrt(sum(each.interval.error**2 for each in single)) / 3
    assert ceiling.attrs["error"] != pytest.approx(independent, rel=1e-3)


def test_the_error_of_the_ceiling_of_one_array_is_its_own(arrays):
    ceiling = ItMapsBenchmark(CATALOGUE["it_maps_simulated"], arrays[:1]).ceiling
    assert ceiling.attrs["error"] == noise_ceiling(arrays[0].maps, repeats=arrays[0].repeats).interval.error


@pytest.mark.parametrize("several", [False, True])
def test_brain_score_s_own_checks_accept_the_score_and_the_ceiling(several, arrays):
    benchmark = ItMapsBenchmark(CATALOGUE["it_maps"], arrays) if several else get_benchmark("it_maps_simulated")
    model = brain_model(load_model("timm:test_vit", weights="random"))
    score, ceiling = benchmark(model), benchmark.ceiling
    for each in (score, ceiling):
        assert_valid_uncertainty(each)
        assert validate_score_uncertainty(each, allow_nan_with_reason=False).warnings == []
        assert isinstance(database._retrieve_score_error(each), float)
        assert isinstance(database._retrieve_score_center(each), float)
    assert isinstance(score.attrs["raw"].item(), float)
    assert database._retrieve_score_center(score.raw) == score.attrs["raw"].item()
    assert database._retrieve_score_center(score.attrs["ceiling"]) == pytest.approx(ceiling.item())


def test_a_missing_error_has_a_reason():
    rsa = get_benchmark("it_maps_rsa_simulated")
    score = rsa(brain_model(load_model("timm:test_vit", weights="random")))
    assert_valid_uncertainty(score)
    for each in (score, rsa.ceiling):
        assert np.isnan(each.attrs["error"])
        assert each.attrs["error_nan_reason"] == each.attrs["reason"] != ""


@pytest.mark.parametrize("identifier", CATALOGUE)
def test_every_benchmark_has_a_version_and_one_reference_with_an_address(identifier):
    benchmark = get_benchmark(identifier)
    assert type(benchmark.version) is int
    (entry,) = bibtex.Parser().parse_string(benchmark.bibtex).entries.values()
    assert {"url", "doi"} & set(entry.fields)
    assert entry.persons["author"]
    assert entry.fields["year"]
