import importlib.metadata
import subprocess
import sys

import pytest

from brainscore_itmaps.bridge import doctor
from brainscore_itmaps.bridge.doctor import examine
from brainscore_itmaps.errors import InstallationError


def findings(**wanted):
    return [f for f in examine() if all(getattr(f, name) == value for name, value in wanted.items())]


def pretend_version(monkeypatch, package, version):
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == package else real(name))


def test_a_sound_installation_has_no_trouble_and_every_topic_is_looked_at():
    assert findings(state="trouble") == []
    topics = {finding.topic for finding in examine()}
    assert topics >= {"Python", "brainscore_itmaps", "brainscore_vision", "plugins", "brainscore", "torch", "cv2"}
    assert any("RESULTCACHING_HOME" in topic for topic in topics)


def test_every_trouble_and_note_says_what_to_do():
    assert all(finding.fix for finding in examine() if finding.state != "ok")


@pytest.mark.parametrize(
    ("package", "version", "fix"),
    [
        ("brainio", "1.0", "pip uninstall brainio"),
        ("numpy", "2.1.0", "pip install 'numpy<2'"),
        ("brainscore_vision", "2.3.9", "brainscore-vision>=2.4,<3"),
        ("brainscore_vision", "3.0", "brainscore-vision>=2.4,<3"),
        ("brainscore_vision", "2.3rc1", "brainscore-vision>=2.4,<3"),
    ],
)
def test_versions_that_do_not_go_together_are_found(monkeypatch, package, version, fix):
    pretend_version(monkeypatch, package, version)
    (trouble,) = findings(state="trouble")
    assert trouble.topic == package
    assert fix in trouble.fix


@pytest.mark.parametrize("package", ["brainscore_vision", "brainscore_itmaps"])
def test_a_package_that_is_only_on_the_path_is_noted(monkeypatch, package):
    real = importlib.metadata.version

    def version(name):
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    (note,) = [finding for finding in findings(state="note") if finding.topic == package]
    assert "not installed, but imported from" in note.what
    assert note.fix


def test_a_hidden_brain_score_is_found_and_nothing_else_stumbles_over_it(monkeypatch):
    def hidden():
        raise InstallationError("A folder without __init__.py hides Brain-Score: /x.", "Remove that folder.")

    monkeypatch.setattr(doctor, "host_folder", hidden)
    (trouble,) = findings(state="trouble")
    assert (trouble.topic, trouble.fix) == ("brainscore_vision", "Remove that folder.")


def test_cv2_without_its_libraries_is_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    (trouble,) = findings(state="trouble")
    assert trouble.topic == "cv2"
    assert "apt-get install libgl1" in trouble.fix


def test_a_plugin_of_another_version_inside_brain_score_is_found(monkeypatch, tmp_path):
    ours = doctor.plugin_folders()
    other = tmp_path / ours["models"][0].name
    other.mkdir()
    (other / "__init__.py").write_text("# older")
    monkeypatch.setattr(doctor, "installed", lambda kind: [other] if kind == "models" else ours[kind])
    assert any("differ from those of this package" in finding.what for finding in findings(state="trouble"))


def test_an_identifier_that_somebody_else_has_too_is_found(monkeypatch, tmp_path):
    ours = doctor.plugin_folders()["models"][0]
    monkeypatch.setattr(
        doctor, "identifiers", lambda kind: {"efficientnet_lite0": [ours, tmp_path]} if kind == "models" else {}
    )
    assert any("registered twice" in finding.what for finding in findings(state="trouble"))


def test_the_command_exits_with_0_or_5(tmp_path):
    code = (
        "import sys; sys.argv = ['brainscore', 'doctor']\n"
        "import importlib.metadata as m; real = m.version\n"
        "m.version = lambda name: {versions}.get(name) or real(name)\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    for versions, expected in (({}, 0), ({"numpy": "2.0.0"}, 5)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(versions=versions)], capture_output=True, text=True, check=False
        )
        assert done.returncode == expected, done.stdout + done.stderr
        assert ("trouble" in done.stdout) == (expected == 5)
