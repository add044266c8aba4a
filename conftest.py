"""Homes of their own for all tests, those of the plugin folders too, instead of the user's."""

import os

import pytest


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
