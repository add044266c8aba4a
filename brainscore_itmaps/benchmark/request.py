"""The request of a score, with everything that is needed to reproduce it."""

from dataclasses import dataclass, field

from brainscore_itmaps.benchmark.catalogue import MOST_IMAGES, BenchmarkSpec
from brainscore_itmaps.benchmark.estimate import IntervalKind
from brainscore_itmaps.errors import checked_integer
from brainscore_itmaps.models.spec import ModelRequest
from brainscore_itmaps.protocol import OURS
from brainscore_itmaps.text import short_repr

Window = tuple[int, int] | str


def checked_seeds(seeds: int) -> int:
    """Return a number of seeds of random weights.

    Raises
    ------
    UsageError
        When it is negative, or not an integer.

    Examples
    --------
    >>> checked_seeds(5)
    5
    """
    return checked_integer(seeds, "number of seeds of random weights", least=0)


@dataclass(frozen=True)
class AttackRequest:
    """How images are attacked, for benchmarks of adversarial alignment.

    Attributes
    ----------
    steps : int or None
        Largest number of steps for an image; None for that of the protocol.
    restarts : int
        Number of further attacks of each image from random pixels around it.
    decision : str
        "classes" or "animate"; empty for that of the protocol.
    most : int
        Number of images at most, from the first on.

    Examples
    --------
    >>> AttackRequest(steps=10, most=4).label
    '10-steps-first-4'
    """

    steps: int | None = None
    restarts: int = 0
    decision: str = ""
    most: int = MOST_IMAGES

    @property
    def label(self) -> str:
        """Return what differs from the defaults, as words with dashes between them; empty for the defaults."""
        parts = (
            "" if self.steps is None else f"{self.steps}-steps",
            f"{self.restarts}-restarts" if self.restarts else "",
            self.decision,
            "" if self.most == MOST_IMAGES else f"first-{self.most}",
        )
        return "-".join(filter(None, parts))


@short_repr
@dataclass(frozen=True)
class ScoreRequest:
    """The request to score one model on one benchmark.

    Attributes
    ----------
    model : ModelRequest
    benchmark : str
        Name of a benchmark, or folder of a recording.
    window : (int, int), str or None
        Milliseconds after stimulus onset, or a window's name; None for the window of the benchmark.
    protocol : str
        Name of the :class:`~brainscore_itmaps.protocol.Protocol`.
    attribution : str
        Attribution method, for benchmarks that compare attribution or saliency maps.
    seed : int
        Seed of the random halves of a noise ceiling.
    method : str
        Regression of scored features, where it is not PLS; empty for a named benchmark, which sets its regression.
    interval : "groups", "images" or "fixed"
        Kind of the interval (:data:`~brainscore_itmaps.benchmark.estimate.INTERVAL_TEXTS`).
    controls : bool
        Whether controls, what the model adds to them, and the null distribution are computed.
    random_seeds : int
        Number of seeds with which the model's architecture is scored with random weights, as a control.
    attack : AttackRequest
        For benchmarks of adversarial alignment.
    """

    model: ModelRequest = field(default_factory=lambda: ModelRequest(""))
    benchmark: str = ""
    window: Window | None = None
    protocol: str = OURS.name
    attribution: str = "gradient"
    seed: int = 0
    method: str = ""
    interval: IntervalKind = "groups"
    controls: bool = True
    random_seeds: int = 0
    attack: AttackRequest = field(default_factory=AttackRequest)

    @property
    def window_label(self) -> str:
        """Return the requested window as one word, empty for the window of the benchmark."""
        return self.window if isinstance(self.window, str) else "-".join(map(str, self.window or ()))


def interval_kind(request: ScoreRequest, benchmark: BenchmarkSpec) -> IntervalKind:
    """Return the kind of interval: without refits for attribution, whose maps are not computed again.

    Examples
    --------
    >>> from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    >>> interval_kind(ScoreRequest(), CATALOGUE["it_maps"])
    'groups'
    """
    return "fixed" if benchmark.measure == "attribution" else request.interval
