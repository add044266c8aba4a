"""What a benchmark of Brain-Score's own says of a model, in plain numbers."""

from typing import Any

import numpy as np

PLAIN = (str, int, float, bool)


def described(score: Any, model: str, benchmark: str) -> dict[str, Any]:
    """Take the numbers out of a score of Brain-Score's.

    Parameters
    ----------
    score : brainscore_core.metrics.Score
    model, benchmark : str
        Their identifiers.

    Returns
    -------
    dict
        ``score``, ``raw``, ``ceiling`` and ``error`` as numbers or None, ``comment``, and whatever plain
        attributes it has.
    """
    attrs = dict(score.attrs)
    numbers = {name: _number(attrs.get(name)) for name in ("raw", "ceiling", "error")}
    plain = {name: value for name, value in attrs.items() if isinstance(value, PLAIN)}
    finite = {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in plain.items()
    }
    own = {"model": model, "benchmark": benchmark, "score": _number(score), "comment": attrs.get("comment")}
    return finite | own | numbers


def _number(value: Any) -> float | None:
    """A single number; None where there is none, or several, or it is not finite."""
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
