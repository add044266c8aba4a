"""Plugin folders: how Brain-Score's parsers read them, and how it finds them."""

import importlib.util
import re
from importlib.machinery import PathFinder

import pytest
from command_line import python

from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.bridge import plugins
from brainscore_itmaps.bridge.metrics import METRICS
from brainscore_itmaps.data.arcaro2020 import ARRAYS
from brainscore_itmaps.data.load import SIMULATIONS
from brainscore_itmaps.data.osie import RECORDINGS as GAZE
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.models.zoo import ZOO

OURS = {
    "models": set(ZOO),
    "benchmarks": {*CATALOGUE, "ClickMe.alignment", "ClickMe.adversarial"},
    "data": {*SIMULATIONS, *GAZE, *(array.identifier for array in ARRAYS.values())},
}


def registered(kind):
    """List the identifiers that the strictest of Brain-Score's four parsers would read."""
    line = re.compile(rf"{plugins.KINDS[kind]}_registry\['([^'\]]+)'\] = lambda: get_\w+\('[^'\]]+'\)")
    lines = [
        text
        for folder in plugins.plugin_folders()[kind]
        for text in (folder / "__init__.py").read_text().splitlines()
        if f"{plugins.KINDS[kind]}_registry[" in text
    ]
    matches = [line.fullmatch(text) for text in lines]
    assert all(matches), lines
    return [match[1] for match in matches]


@pytest.mark.parametrize("kind", OURS)
def test_every_name_is_registered_once_by_a_literal_line(kind):
    assert sorted(registered(kind)) == sorted(OURS[kind])


@pytest.mark.parametrize("kind", OURS)
def test_no_name_and_no_folder_is_taken_upstream(kind):
    upstream = [path for path in (plugins.host_folder() / kind).iterdir() if not path.name.startswith("itmaps_")]
    assert not {folder.name for folder in plugins.plugin_folders()[kind]} & {path.name for path in upstream}
    for name, folders in plugins.identifiers(kind).items():
        if name in OURS[kind]:
            assert [folder.name.startswith("itmaps_") for folder in folders] == [True], name


def test_folders_hold_a_test_and_nothing_that_brain_score_would_hand_to_pip():
    for folders in plugins.plugin_folders().values():
        for folder in folders:
            assert list(folder.glob("test*.py")), folder
            assert not (folder / "requirements.txt").exists()
            assert not (folder / "setup.py").exists()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Brain-Score package of empty folders with one model."""
    folder = tmp_path / "brainscore_vision"
    for kind in plugins.KINDS:
        (folder / kind).mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "models" / "alexnet").mkdir()
    (folder / "models" / "alexnet" / "__init__.py").write_text(
        "model_registry[\"alexnet\"] = lambda: 1\n# model_registry['commented'] = lambda: 2\n"
    )
    monkeypatch.setattr(plugins, "host_folder", lambda: folder)
    return folder


def test_links_are_real_folders_of_links_and_are_removed_without_a_trace(host):
    before = sorted(host.rglob("*"))
    linked = plugins.link()
    assert sorted(folder.relative_to(host).as_posix() for folder in linked) == [
        "benchmarks/itmaps_arcaro2020",
        "benchmarks/itmaps_clickme",
        "benchmarks/itmaps_osie",
        "benchmarks/itmaps_simulated",
        "data/itmaps_arcaro2020",
        "data/itmaps_osie",
        "data/itmaps_simulated",
        "metrics/itmaps_metrics",
        "models/itmaps_baselines",
        "models/itmaps_embedded",
        "models/itmaps_harmonized",
    ]
    for folder in linked:
        assert folder.is_dir()
        assert not folder.is_symlink()
        for file in folder.rglob("*.py"):
            assert file.is_symlink()
            assert file.resolve().is_file()
    assert plugins.link() == linked
    assert plugins.unlink() == [host / kind / folder.name for kind in plugins.KINDS for folder in linked
                                if folder.parent.name == kind]  # fmt: skip
    assert sorted(host.rglob("*")) == before
    assert all((folder / "__init__.py").exists() for folders in plugins.plugin_folders().values() for folder in folders)


def test_a_folder_that_is_not_ours_is_never_touched(host):
    foreign = host / "models" / "itmaps_embedded"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("foreign")
    assert foreign not in plugins.link()
    assert (foreign / "__init__.py").read_text() == "foreign"
    plugins.unlink()
    assert foreign.exists()


def test_a_file_that_took_the_place_of_a_link_is_kept(host):
    """A plain install over the links writes such files."""
    linked = plugins.link()
    installed = linked[0] / "__init__.py"
    text = installed.read_text()
    installed.unlink()
    installed.write_text(text)
    plugins.unlink()
    assert installed.read_text() == text
    assert not linked[1].exists()
    assert plugins.link() == linked[1:]
    assert installed.read_text() == text


def register(host, kind, name, *lines):
    folder = host / kind / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_identifiers_that_brain_score_registers_in_another_folder_are_not_linked(host):
    register(host, "models", "merged", 'model_registry["efficientnet_lite1"] = lambda: 1')
    register(host, "metrics", "merged", *(f"metric_registry['{name}'] = lambda: 1" for name in METRICS))
    linked = {folder.name: folder for folder in plugins.link()}
    assert "itmaps_metrics" not in linked  # all of it is registered
    text = (linked["itmaps_embedded"] / "__init__.py").read_text()
    assert "efficientnet_lite1" not in text
    assert "model_registry['efficientnet_lite0']" in text
    assert [path.name for path in linked["itmaps_embedded"].iterdir() if path.is_symlink()] == ["model.py"]
    assert [len(folders) for folders in plugins.identifiers("models").values()].count(1) == len(ZOO) + 1
    said = [share.text for share in plugins.host_shares() if share.text]
    assert said == [
        "metrics/itmaps_metrics is left out: Brain-Score registers all of it in metrics/merged",
        "model:efficientnet_lite1 of models/itmaps_embedded: Brain-Score registers it",
    ]
    plugins.unlink()
    assert not linked["itmaps_embedded"].exists()
    assert (host / "models" / "merged" / "__init__.py").exists()


def test_attaching_leaves_identifiers_of_brain_score_to_it(tmp_path):
    code = (
        "import brainscore_vision, pathlib, sys\n"
        "from brainscore_itmaps.bridge import plugins, host\n"
        "folder = next(f for f in plugins.plugin_folders()['metrics'])\n"
        "share = host.Share(folder, ('metric:itmaps_pls', 'metric:itmaps_ridge'))\n"
        "plugins.host_shares = lambda: [share]\n"
        "brainscore_vision.metric_registry['itmaps_pls'] = 'of the host'\n"
        "import brainscore_vision.metrics\n"
        "brainscore_vision.metrics.__path__.append(str(folder.parent))\n"
        "plugins._import_beside_host(folder)\n"
        "print(brainscore_vision.metric_registry['itmaps_pls'], sorted(brainscore_vision.metric_registry))\n"
    )
    assert python("-c", code).stdout.split(maxsplit=3) == [
        "of", "the", "host", "['itmaps_alignment', 'itmaps_pls', 'itmaps_site_ceiling']\n",
    ]  # fmt: skip


def test_identifiers_are_read_as_text_and_comments_are_not(host):
    assert set(plugins.identifiers("models")) == {"alexnet", *ZOO}


def test_a_folder_that_hides_brain_score_is_an_error(tmp_path, monkeypatch):
    (tmp_path / plugins.HOST / "models").mkdir(parents=True)
    spec = PathFinder.find_spec(plugins.HOST, [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InstallationError, match=r"A folder without __init__\.py hides Brain-Score") as refused:
        plugins.host_folder()
    assert f"rm -r {tmp_path / plugins.HOST}" in refused.value.fix


def test_a_missing_brain_score_is_an_error(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstallationError, match="not installed"):
        plugins.host_folder()


def test_attaching_finds_plugins_of_both_packages_and_reports_unknown_ones():
    code = (
        "from brainscore_itmaps.bridge.plugins import attach; attach(); attach()\n"
        "from brainscore_vision import load_benchmark\n"
        "from brainscore_core.plugin_management.import_plugin import ImportPlugin\n"
        "print(load_benchmark('it_maps_simulated').identifier)\n"
        "print(load_benchmark('Arcaro2020.monkey2_ML-alignment').identifier)\n"
        "print(ImportPlugin('brainscore_vision', 'models', 'alexnet').locate_plugin())\n"
        "print(ImportPlugin('brainscore_vision', 'models', 'efficientnet_lite0').locate_plugin())\n"
        "try: ImportPlugin('brainscore_vision', 'models', 'nothing_has_this')\n"
        "except AssertionError as error: print(error)"
    )
    done = python("-c", code)
    assert done.stdout.splitlines() == [
        "it_maps_simulated",
        "Arcaro2020.monkey2_ML-alignment",
        "alexnet",
        "itmaps_embedded",
        "No registrations found for nothing_has_this",
    ], done.stderr
