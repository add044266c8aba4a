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
        ``score``, ``raw``, ``ceiling`` and ``error`` as numbers or None, ``comment``, ``citation``, and whatever plain
        attributes it has.
    """
    attrs = dict(score.attrs)
    numbers = {name: _number(attrs.get(name)) for name in ("raw", "ceiling", "error")}
    others = {name: value for name, value in attrs.items() if isinstance(value, PLAIN) and name not in numbers}
    told = {"model": model, "benchmark": benchmark, "score": _number(score), **numbers}
    return (
        told | {"comment": attrs.get("comment"), "citation": None} | {k: v for k, v in others.items() if k not in told}
    )


def _number(value: Any) -> float | None:
    """A single number; None where there is none, or several, or it is not finite."""
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
