import warnings

import numpy as np
import pytest

from brainscore_itmaps import score_features
from brainscore_itmaps.benchmark import expected
from brainscore_itmaps.benchmark.expected import Work, announce, expected_work
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.progress import Countdown, LongWork


def test_work_grows_with_everything_that_it_depends_on():
    base = {"images": 14, "positions": 289, "channels": [768], "sites": [32], "refits": 7}
    work = expected_work(**base)
    for name, more in (("images", 28), ("positions", 578), ("channels", [1536]), ("sites", [64])):
        larger = expected_work(**base | {name: more})
        assert larger.seconds > work.seconds
        assert larger.bytes > work.bytes
    assert expected_work(**base | {"channels": [768, 768]}).seconds > 1.5 * work.seconds
    assert expected_work(**base | {"channels": [768, 768]}).bytes == work.bytes  # one layer at a time


def test_long_work_is_announced_and_short_work_is_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        announce(Work(50, 1e8), "One layer")
    with pytest.warns(LongWork, match="Many layers take about 10 min and 0.1 GB of memory"):
        announce(Work(600, 1e8), "Many layers")
    with pytest.warns(LongWork, match=r"about 5 s and 5.0 GB"):
        announce(Work(5, 5e9), "Large maps", memory=8 * 10**9)


def test_work_that_does_not_fit_is_refused_before_it_begins(monkeypatch, small_maps):
    """Whatever limits the memory: the machine, or the control group of a container or a job."""
    features, recording = small_maps
    monkeypatch.setattr(expected, "memory_of_machine", lambda: 10**6)
    monkeypatch.setattr(expected, "LARGE", 1e3)
    with pytest.raises(InstallationError, match=r"need about .* GB of memory, and there are .* GB"):
        score_features(features, recording)


@pytest.fixture
def small_maps(rng, images):
    from brainscore_itmaps.data.recording import Recording

    maps = rng.normal(size=(6, 20, 20, 3))
    return rng.normal(size=(6, 14, 14, 12)), Recording.from_arrays(maps, images, identifier="lab", window=(0, 9))


def test_the_limit_of_a_control_group_counts():
    """As the library that reads it does, of both versions of control groups."""
    from distributed.system import MEMORY_LIMIT

    assert expected.memory_of_machine() == MEMORY_LIMIT


def test_progress_is_written_as_lines_with_an_estimate():
    times, lines = iter(np.arange(0, 400, 10.0)), []
    report = Countdown(lines.append, every=30, clock=lambda: next(times))
    for done in range(13):
        report("layer 1 of 2, conv", done, 12)
    assert lines == [
        "layer 1 of 2, conv: 2 of 12, about 2 min left",
        "layer 1 of 2, conv: 5 of 12, about 70 s left",
        "layer 1 of 2, conv: 8 of 12, about 40 s left",
        "layer 1 of 2, conv: 11 of 12, about 10 s left",
    ]
    for _ in range(2):
        report("reading images", 0, 1)
    assert lines[4:] == ["reading images"]
