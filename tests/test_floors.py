"""Versions that dependencies must have: none with a hole that we know of."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
HOLES = {
    "cryptography": ("46.0.6", "CVE-2026-39892: buffers that are not contiguous"),
    "distributed": ("2025.12.0", "CVE-2026-23528: scripts through the dashboard"),
    "filelock": ("3.20.2", "CVE-2025-68146 (FileLock, until 3.20.0), CVE-2026-22701: symbolic links are followed"),
    "jinja2": ("3.1.5", "CVE-2025-27516"),
    "pillow": ("12.3.0", "GHSA-8g5g-8vmr-9782 and others: decoders write beyond their buffers"),
    "pyarrow": ("14.0.0", "CVE-2023-47248: code in Parquet files"),
    "requests": ("2.32.3", "CVE-2024-47081: passwords for other hosts"),
    "setuptools": ("78.1.0", "CVE-2025-47273: paths out of a folder"),
    "torch": ("2.9.1", "CVE-2026-24747, and CVE-2025-32434 until 2.5.1: weights_only=True runs code"),
}
"""Of each package the last version with a hole that this project's use of it could meet, and which."""


@pytest.mark.parametrize("name", HOLES)
def test_a_version_with_a_known_hole_is_not_installed(name):
    every = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    (required,) = (each for each in map(Requirement, every) if each.name == name)
    last, hole = HOLES[name]
    assert not required.specifier.contains(last), hole
    assert required.specifier.contains(version(name))
