"""Dask processes that offer other users of the machine nothing: no HTTP server, and signals that are ours alone."""

import signal
from typing import Any

from distributed import Scheduler, Worker


class PrivateScheduler(Scheduler):  # type: ignore[misc]
    """Dask's scheduler without its HTTP server, which listens even when no dashboard is asked for."""

    def start_http_server(self, *given: Any, **named: Any) -> None:
        """Start none: whoever reaches it reads what is computed, without a certificate."""


class PrivateWorker(Worker):  # type: ignore[misc]
    """Dask's worker without its HTTP server, deaf to Ctrl-C: that is for the process that stops the workers."""

    def __init__(self, *given: Any, **named: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        super().__init__(*given, **named)

    def start_http_server(self, *given: Any, **named: Any) -> None:
        """Start none: whoever reaches it reads what is computed, without a certificate."""
