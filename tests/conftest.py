"""Small things that many tests need."""

import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from local_server import send, server
from PIL import Image
from scipy.io import loadmat, savemat

from brainscore_itmaps.data.stand_in import write_stand_in


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def images(tmp_path, rng) -> tuple[Path, ...]:
    """Six small images of smooth noise, none like another."""
    files = []
    for number in range(6):
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        file = tmp_path / f"image-{number}.png"
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(file)
        files.append(file)
    return tuple(files)


@pytest.fixture
def own_home(tmp_path, monkeypatch) -> Path:
    """Empty folders of our own for one test."""
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRAINIO_HOME", str(tmp_path / "brainio"))
    return tmp_path / "home" / "recordings"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Write a file or folder once for all workers of a run: ``made_once(name, write)``. Not to be changed."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(name: str, write) -> Path:
        path, unfinished = shared / name, shared / f"unfinished-{name}"
        with FileLock(shared / f"{name}.lock"):
            if not path.exists():
                write(unfinished)
                unfinished.rename(path)
        return path

    return make


@pytest.fixture(scope="session")
def stand_in(made_once) -> Path:
    """A simulated archive of the published layout, 20 ms long."""
    return made_once("short.zip", lambda path: write_stand_in(path, seed=1, duration=20))


@pytest.fixture(scope="session")
def long_stand_in(made_once) -> Path:
    """A simulated archive of the published layout, 300 ms long, as short as eLife's windows allow."""
    return made_once("long.zip", lambda path: write_stand_in(path, duration=300))


@pytest.fixture(scope="session")
def unpacked(stand_in, made_once) -> Path:
    """The short archive as a folder. Not to be changed."""
    return made_once("unpacked", lambda folder: zipfile.ZipFile(stand_in).extractall(folder))


@pytest.fixture
def red(unpacked, tmp_path):
    """A folder of monkey 2's files to be changed: its variables, and ``write()``, which puts them there."""
    folder = tmp_path / "red"
    images = folder / "red_naturalface"
    images.mkdir(parents=True)
    file = folder / "red_062419_data.mat"
    original = unpacked / "Arcaro2020" / "Red"
    for image in (original / "red_naturalface").iterdir():
        (images / image.name).write_bytes(image.read_bytes())
    stored = loadmat(original / file.name)
    variables = {"imageRF": stored["imageRF"].copy(), "UniqueNames": stored["UniqueNames"], "SIMULATED": 1}

    def write(**options):
        savemat(file, variables, **options)
        return folder

    return SimpleNamespace(folder=folder, file=file, images=images, variables=variables, write=write)


@pytest.fixture
def serve_file():
    """Serve a file at every address: ``with serve_file(path) as running: running.url``."""

    def serve(path):
        return server(lambda handler, number: send(handler, path.read_bytes()))

    return serve


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """An empty home, and made-up tables in place of the published ones: path to text, which a test may change."""
    from made_up_tables import made_up_tables, manifest_of

    tables = made_up_tables()
    manifest = manifest_of(tables)
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "home"))
    for module in ("data.published", "data.published_tables", "study.published_files"):
        monkeypatch.setattr(f"brainscore_itmaps.{module}.published_files", lambda: manifest)
    return tables


@pytest.fixture
def stored_tables(made_up):
    """The made-up tables, in the folder where downloads are stored."""
    from made_up_tables import write_tables

    from brainscore_itmaps.data.published import published_folder

    return write_tables(published_folder(), made_up)
