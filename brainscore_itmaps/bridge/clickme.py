"""Human alignment and adversarial alignment as Brain-Score benchmarks."""

from dataclasses import replace

from brainscore_core.metrics import Score
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel

from brainscore_itmaps.benchmark.adversarial import CITATION as ADVERSARIAL_CITATION
from brainscore_itmaps.benchmark.adversarial import VERSION as ADVERSARIAL_VERSION
from brainscore_itmaps.benchmark.adversarial import AdversarialBenchmark
from brainscore_itmaps.benchmark.catalogue import ADVERSARIAL, HUMAN_ALIGNMENT, HUMAN_CITATION
from brainscore_itmaps.benchmark.estimate import Estimate
from brainscore_itmaps.benchmark.human import VERSION, HumanBenchmark
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.bridge.benchmark import plain_estimates
from brainscore_itmaps.bridge.candidate import BrainScoreModel, request_of
from brainscore_itmaps.metrics.alignment import INTER_HUMAN


def get_benchmark(identifier: str) -> "ClickMeBenchmark | AdversarialClickMe":
    """Return a benchmark on ClickMe for Brain-Score.

    Examples
    --------
    >>> benchmark = get_benchmark("ClickMe.alignment")
    >>> benchmark.identifier, round(float(benchmark.ceiling), 4)
    ('ClickMe.alignment', 0.6575)
    """
    assert identifier in (HUMAN_ALIGNMENT, ADVERSARIAL)
    return ClickMeBenchmark() if identifier == HUMAN_ALIGNMENT else AdversarialClickMe()


class ClickMeBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Brain-Score benchmark of human alignment on ClickMe.

    Only models of this package and of timm can be scored, because Brain-Score's interface gives no gradients.
    """

    def __init__(self) -> None:
        super().__init__(
            identifier=HUMAN_ALIGNMENT,
            ceiling_func=lambda: Score(INTER_HUMAN),
            version=VERSION,
            parent="behavior",
            bibtex=HUMAN_CITATION,
        )

    @property
    def ceiling(self) -> Score:
        """Return the published agreement between people."""
        return Score(INTER_HUMAN)

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model on ClickMe's held-out images.

        Raises
        ------
        ModelError
            When the model is not one of this package or of timm.
        DataError
            When the images have not been downloaded.
        """
        request = ScoreRequest(request_of(candidate), self.identifier)
        return to_score(HumanBenchmark().score(BrainScoreModel(candidate), request))


class AdversarialClickMe(BenchmarkBase):  # type: ignore[misc]
    """Brain-Score benchmark of adversarial alignment on ClickMe.

    Only models of this package and of timm can be scored, because Brain-Score's interface gives no gradients. How well
    people agree is unknown in this measure: its ceiling is 1, so that the score is the raw value.
    """

    def __init__(self) -> None:
        super().__init__(
            identifier=ADVERSARIAL,
            ceiling_func=lambda: Score(1),
            version=ADVERSARIAL_VERSION,
            parent="behavior",
            bibtex=ADVERSARIAL_CITATION,
        )

    def __call__(self, candidate: BrainModel) -> Score:
        """Attack a model on the first 1,000 of ClickMe's held-out images.

        Raises
        ------
        ModelError
            When the model is not one of this package or of timm.
        DataError
            When the images have not been downloaded.
        """
        request = ScoreRequest(request_of(candidate), self.identifier)
        result = AdversarialBenchmark().score(BrainScoreModel(candidate), request)
        low, high = (result.details[f"raw_{end}"] for end in ("low", "high"))
        return to_score(replace(result, estimate=Estimate(result.raw, 1.0, result.raw, (low, high))))


def to_score(result: Result) -> Score:
    """Convert a result to Brain-Score's score: ``raw`` divided by ``ceiling``, with other values in ``attrs``."""
    score = Score(result.score)
    low, high = result.interval
    attributes = result.to_dict() | result.details
    score.attrs |= {name: value for name, value in attributes.items() if isinstance(value, str | int | float | list)}
    raw = Score(result.raw)
    raw.attrs["raw"] = result.image_value
    numbers = {"raw": raw, "ceiling": Score(result.ceiling), "error": (high - low) / 2, "interval": result.interval}
    score.attrs |= numbers | {"weights": str(result.weights), "controls": plain_estimates(result.controls)}
    return score
