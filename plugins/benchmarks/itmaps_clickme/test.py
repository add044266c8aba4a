import pytest
from brainscore_vision import load_benchmark

from brainscore_itmaps.bridge.plugins import attach


def test_the_ceiling_is_the_published_one():
    attach()
    benchmark = load_benchmark("ClickMe.alignment")
    assert float(benchmark.ceiling) == pytest.approx(0.65753)
    assert benchmark.identifier == "ClickMe.alignment"


def test_adversarial_alignment_has_no_ceiling_to_be_divided_by():
    attach()
    benchmark = load_benchmark("ClickMe.adversarial")
    assert float(benchmark.ceiling) == 1
    assert benchmark.identifier == "ClickMe.adversarial"
