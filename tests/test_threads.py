import threading
import time

import pytest

from brainscore_itmaps import threads
from brainscore_itmaps.metrics.folds import fit_folds, leave_one_out
from brainscore_itmaps.threads import StoppedError, computed_once, in_threads


@pytest.fixture
def four_threads(monkeypatch):
    allowed = iter([4])  # as in a computation of in_threads, the second call finds one thread
    monkeypatch.setattr(threads, "threads_allowed", lambda: next(allowed, 1))


@pytest.mark.usefixtures("four_threads")
def test_results_come_in_the_order_of_the_items_from_several_threads():
    used = set()

    def run(item, progress):
        used.add(threading.get_ident())
        time.sleep(0.02 * (5 - item))
        return item

    assert list(in_threads(run, [0, 1, 2, 3, 4])) == [0, 1, 2, 3, 4]
    assert len(used) > 1
    assert threading.get_ident() not in used


def test_in_one_thread_progress_is_reported(monkeypatch):
    monkeypatch.setattr(threads, "threads_allowed", lambda: 1)
    reported = []
    list(in_threads(lambda item, progress: progress("step", item, 2), [1, 2], lambda *step: reported.append(step)))
    assert reported == [("step", 1, 2), ("step", 2, 2)]


@pytest.mark.usefixtures("four_threads")
def test_an_error_stops_the_other_computations_and_is_raised():
    stopped, started = [], threading.Barrier(2)

    def run(item, progress):
        started.wait(5)
        if item == 0:
            raise ValueError("the first failed")
        try:
            for _ in range(500):
                time.sleep(0.01)
                progress("waiting", 0, 1)
        except StoppedError:
            stopped.append(item)
            raise

    with pytest.raises(ValueError, match="the first failed"):
        list(in_threads(run, [0, 1]))
    assert stopped == [1]


@pytest.mark.usefixtures("four_threads")
def test_computations_within_computations_use_no_further_threads_and_one_of_linear_algebra():
    def run(item, progress):
        inner = list(in_threads(lambda number, _: threading.get_ident(), [0, 1, 2]))
        return set(inner) == {threading.get_ident()}, [pool["num_threads"] for pool in threads._linear_algebra().info()]

    for within, pools in in_threads(run, [0, 1]):
        assert within
        assert set(pools) == {1}


def test_a_result_that_several_threads_need_is_computed_once():
    calls = []

    def slow():
        time.sleep(0.05)
        calls.append(1)
        return len(calls)

    get, results = computed_once(slow), []
    workers = [threading.Thread(target=lambda: results.append(get())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [1, 1, 1, 1]


def test_a_fit_gives_the_same_bytes_alone_and_among_others(rng):
    fields = [rng.normal(size=(5, 9, 9, 40)) for _ in range(3)]
    maps = fields[0][..., :4] + rng.normal(size=(5, 9, 9, 4))

    def run(field, progress):
        return fit_folds(field, maps, leave_one_out(5)).predicted.tobytes()

    together = list(in_threads(run, fields))
    assert together == [next(in_threads(run, [field])) for field in fields]
