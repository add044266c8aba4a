"""What every test gets: no network, and homes of its own instead of the user's."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session", autouse=True)
def own_homes(tmp_path_factory):
    """Point every cache at a temporary folder, before Brain-Score is imported: it reads one of them on import."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    os.environ.update(
        ITMAPS_HOME=str(home / "itmaps"),
        BRAINIO_HOME=str(home / ".brainio"),
        RESULTCACHING_HOME=str(home / "result_caching"),
        BRAINSCORE_HOME=str(home / "brain-score"),
        BS_INSTALL_DEPENDENCIES="no",
        COLUMNS="200",
    )
    yield home
    os.environ.clear()
    os.environ.update(before)


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
