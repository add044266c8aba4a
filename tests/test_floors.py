"""Minimum versions of dependencies exclude those with known vulnerabilities."""

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
"""Last version of each package with a vulnerability that is relevant for this project, and its identifier."""


@pytest.mark.parametrize("name", HOLES)
def test_versions_with_known_vulnerabilities_are_excluded(name):
    every = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    (required,) = (requirement for requirement in map(Requirement, every) if requirement.name == name)
    last, hole = HOLES[name]
    assert not required.specifier.contains(last), hole
    assert required.specifier.contains(version(name))
