"""Dask's scheduler and worker without HTTP servers, which every user of the machine could read."""

import atexit
import gc
import signal
from typing import Any

from distributed import Scheduler, Worker


class PrivateScheduler(Scheduler):  # type: ignore[misc]
    """A scheduler without an HTTP server; Dask's own starts one even without a dashboard."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start no HTTP server: it would answer without a certificate."""


class PrivateWorker(Worker):  # type: ignore[misc]
    """A worker without an HTTP server that ignores Ctrl-C: the process that started it stops it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        atexit.register(gc.freeze)  # otherwise Python collects torch's objects at exit, which takes seconds
        super().__init__(*arguments, **options)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start no HTTP server: it would answer without a certificate."""
