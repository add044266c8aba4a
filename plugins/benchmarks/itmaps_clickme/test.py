import pytest
from brainscore_vision import load_benchmark

from brainscore_itmaps.bridge.plugins import attach


def test_the_ceiling_is_the_published_one():
    attach()
    benchmark = load_benchmark("ClickMe.alignment")
    assert float(benchmark.ceiling) == pytest.approx(0.65753)
    assert benchmark.identifier == "ClickMe.alignment"
