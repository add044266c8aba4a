"""Run independent computations in threads, as many as linear algebra may use, each with one thread of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from brainscore_itmaps.progress import Report, silent

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """The result of a computation is not needed any more."""


@cache
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def threads_allowed() -> int:
    """Return the number of threads that linear algebra may use, which ``OMP_NUM_THREADS`` and others limit.

    Examples
    --------
    >>> threads_allowed() >= 1
    True
    """
    pools = _linear_algebra().info()
    return max((int(pool["num_threads"]) for pool in pools), default=1)


def in_threads(
    run: Callable[[Item, Report], Result], items: Sequence[Item], progress: Report = silent, alone: bool = False
) -> Iterator[Result]:
    """Compute a function of each item, several at a time; yield the results in the order of the items.

    Linear algebra uses one thread in each computation, so that the result for an item does not depend on the others.
    Within such a computation, this function computes one item after the other.

    Parameters
    ----------
    run : callable
        Takes an item, and a callback for its progress. The callback ends the computation when its result is not needed
        any more, because another computation failed or the user pressed Ctrl-C.
    items : sequence
    progress : callable
        Called with (step, steps done, steps in all) of computations in the calling thread.
    alone : bool
        Compute one item after the other, with all threads of linear algebra: computations that take much memory.

    Yields
    ------
    result

    Raises
    ------
    Exception
        What ``run`` raises for the first item that fails.

    Examples
    --------
    >>> list(in_threads(lambda item, progress: item**2, [1, 2, 3]))
    [1, 4, 9]
    """
    if alone:
        yield from (run(item, progress) for item in items)
        return
    workers = min(threads_allowed(), len(items))
    stopped, caller = threading.Event(), threading.get_ident()

    def report(step: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise StoppedError
        if threading.get_ident() == caller:
            progress(step, done, total)

    with _linear_algebra().limit(limits=1):
        if workers < 2:
            yield from (run(item, report) for item in items)
            return
        with ThreadPoolExecutor(workers) as pool:
            waiting: list[Future[Result]] = []
            try:
                for item in items:  # no more at a time, so that finished results do not pile up in memory
                    waiting.append(pool.submit(run, item, report))
                    if len(waiting) > workers:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                stopped.set()
                for future in waiting:
                    future.cancel()


def computed_once(function: Callable[[], Result]) -> Callable[[], Result]:
    """Return a function that several threads may call, and that computes its result the first time.

    Examples
    --------
    >>> read = computed_once(lambda: print("reading") or 5)
    >>> read(), read()
    reading
    (5, 5)
    """
    results: list[Result] = []
    lock = threading.Lock()

    def get() -> Result:
        with lock:
            if not results:
                results.append(function())
        return results[0]

    return get
