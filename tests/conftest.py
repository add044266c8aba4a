"""Small things that many tests need."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def pictures(tmp_path, rng) -> tuple[Path, ...]:
    """Six small pictures of smooth noise, none like another."""
    files = []
    for number in range(6):
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        file = tmp_path / f"picture-{number}.png"
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(file)
        files.append(file)
    return tuple(files)
