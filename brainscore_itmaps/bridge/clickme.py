"""Human alignment as a Brain-Score benchmark."""

from brainscore_core.metrics import Score
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel

from brainscore_itmaps.benchmark.catalogue import HUMAN_ALIGNMENT
from brainscore_itmaps.benchmark.human import CITATION, VERSION, HumanAlignment, human_alignment
from brainscore_itmaps.data.clickme_shards import HELD_OUT, clickme_files
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.metrics.human import INTER_HUMAN
from brainscore_itmaps.models.network import Network


def get_benchmark(identifier: str) -> "ClickMeBenchmark":
    """Give Brain-Score the benchmark."""
    assert identifier == HUMAN_ALIGNMENT
    return ClickMeBenchmark()


class ClickMeBenchmark(BenchmarkBase):  # type: ignore[misc]
    """Does a network look where people say that it matters?

    Brain-Score's interface gives no gradients: only our networks, and those of timm, can be asked.
    """

    def __init__(self) -> None:
        super().__init__(
            identifier=HUMAN_ALIGNMENT,
            ceiling_func=lambda: Score(INTER_HUMAN),
            version=VERSION,
            parent="behavior",
            bibtex=CITATION,
        )

    @property
    def ceiling(self) -> Score:
        """Agreement between people, as published."""
        return Score(INTER_HUMAN)

    def __call__(self, candidate: BrainModel) -> Score:
        """Score a model on ClickMe's held-out pictures.

        Raises
        ------
        ModelError
            When it is none of our networks.
        DataError
            When the pictures were not fetched.
        """
        network: Network | None = getattr(candidate, "itmaps_network", None)
        if network is None:
            raise ModelError(
                f"{candidate.identifier} gives no gradients through Brain-Score's interface.",
                "Score a network of ours or of timm (timm:<name>).",
            )
        return to_score(human_alignment(network, clickme_files(HELD_OUT)))


def to_score(found: HumanAlignment) -> Score:
    """Turn a result into Brain-Score's score: ``raw`` over ``ceiling``, with everything else in ``attrs``."""
    score = Score(found.agreement.score)
    raw = Score(found.agreement.raw)
    raw.attrs["raw"] = found.agreement.spearman
    told = {name: value for name, value in found.to_dict().items() if name not in ("score", "raw", "ceiling")}
    low, high = found.interval
    score.attrs |= told | {"raw": raw, "ceiling": Score(INTER_HUMAN), "error": (high - low) / 2}
    return score
