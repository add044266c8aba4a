"""What the published code computed; see golden/README.md."""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as stored:
        return dict(stored)
