import pytest
from brainscore_vision import load_benchmark, load_model

from brainscore_itmaps.bridge.plugins import attach


def test_score_of_an_embedded_model():
    attach()
    score = load_benchmark("it_maps_simulated")(load_model("efficientnet_lite0"))
    assert float(score) == pytest.approx(0.606, abs=0.005)


def test_transfer_between_two_halves_of_the_sites():
    attach()
    score = load_benchmark("it_maps_transfer_simulated")(load_model("efficientnet_lite0"))
    assert float(score) == pytest.approx(0.696, abs=0.005)


def test_score_of_an_embedded_model_without_a_regression():
    attach()
    rsa, cka = (load_benchmark(f"it_maps_{measure}_simulated") for measure in ("rsa", "cka"))
    assert float(cka(load_model("efficientnet_lite0"))) == pytest.approx(0.391, abs=0.005)
    assert float(cka.ceiling) == pytest.approx(0.980, abs=0.002)
    score = rsa(load_model("efficientnet_lite0"))
    assert float(score.attrs["raw"]) == pytest.approx(0.186, abs=0.005)
    assert score.attrs["reason"] == rsa.ceiling.attrs["reason"] != ""
