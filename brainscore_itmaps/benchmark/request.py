"""The request of a score: everything that is needed to compute it again."""

from dataclasses import dataclass, field

from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.protocol import OURS

Window = tuple[int, int] | str


@dataclass(frozen=True)
class ScoreRequest:
    """The request to score one model on one benchmark.

    Attributes
    ----------
    model : ModelRequest
    benchmark : str
        A name, or the folder of a recording.
    window : (int, int), str or None
        Milliseconds after stimulus onset, or a window's name; None: the benchmark's own.
    protocol : str
        Name of the :class:`~brainscore_itmaps.protocol.Protocol`.
    attribution : str
        How the size of a gradient is computed, for benchmarks that need one.
    seed : int
        Of the bootstrap over images.
    method : str
        Regression that features were scored by, where it is another than PLS; a named benchmark has its own.
    """

    model: ModelRequest = field(default_factory=lambda: ModelRequest(""))
    benchmark: str = ""
    window: Window | None = None
    protocol: str = OURS.name
    attribution: str = "gradient"
    seed: int = 0
    method: str = ""

    @property
    def window_label(self) -> str:
        """Return the requested window as one word; empty for the benchmark's own window."""
        return self.window if isinstance(self.window, str) else "-".join(map(str, self.window or ()))
