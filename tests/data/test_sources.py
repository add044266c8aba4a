"""Downloads, copies and verification of the archive of Arcaro 2020, and removal of stored files."""

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import filelock
import numpy as np
import pytest
from command_line import brainscore, python

from brainscore_itmaps import load_recording
from brainscore_itmaps.data import sources
from brainscore_itmaps.data.load import list_stored_files, remove_stored_files
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.data.stand_in import write_stand_in
from brainscore_itmaps.errors import DataError, InstallationError
from brainscore_itmaps.files import sha256

pytestmark = pytest.mark.usefixtures("own_home")
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # of Linux


@pytest.fixture(scope="session")
def real_looking(stand_in, tmp_path_factory):
    """Write the short archive without the marker of simulated data, so that it looks like the published archive."""
    from scipy.io import loadmat, savemat

    path = tmp_path_factory.mktemp("real-looking") / "Arcaro2020.zip"
    folder = tmp_path_factory.mktemp("unpack")
    with zipfile.ZipFile(stand_in) as archive:
        archive.extractall(folder)
    for file in folder.rglob("*.mat"):
        savemat(file, {name: value for name, value in loadmat(file).items() if name in ("imageRF", "UniqueNames")})
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def change(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_an_archive_on_disk_is_verified_recorded_and_used(stand_in, own_home):
    record = sources.fetch(file=stand_in)
    assert (record.sha256, record.size, record.simulated) == (sha256(stand_in), stand_in.stat().st_size, True)
    assert json.loads((own_home / "Arcaro2020.lock.json").read_text())["sha256"] == record.sha256
    recording = load_recording("monkey2_ML", (0, 20))
    assert recording.sha256 == record.sha256
    np.testing.assert_array_equal(recording.maps, load_recording("monkey2_ML", (0, 20), stand_in).maps)
    assert stand_in.exists()


def test_an_archive_copied_by_the_user_is_verified_and_recorded_on_use(stand_in, own_home):
    own_home.mkdir(parents=True)
    shutil.copy(stand_in, own_home / "Arcaro2020.zip")
    assert load_recording("monkey2_ML", (0, 20)).sha256 == sha256(stand_in)
    assert sources.recorded_archive().origin == str(own_home / "Arcaro2020.zip")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_loading_downloads_a_missing_archive_once(stand_in, serve_file, monkeypatch):
    with serve_file(stand_in) as running:
        monkeypatch.setattr(sources, "URL", running.url)
        for _ in range(2):
            assert load_recording("monkey2_ML", (0, 20)).sha256 == sha256(stand_in)
    assert len(running.asked) == 1
    assert sources.recorded_archive().origin == running.url


def test_a_requested_hash_is_checked_for_every_origin(stand_in, real_looking, own_home):
    for origin in (stand_in, real_looking):
        with pytest.raises(DataError, match="is not the expected file: .*, the requested sha256 is " + "0" * 64):
            sources.fetch(file=origin, sha256="0" * 64)
    assert not (own_home / "Arcaro2020.zip").exists()
    record = sources.fetch(file=real_looking, sha256=sha256(real_looking).upper())
    assert sources.fetch(sha256=record.sha256) == record
    with pytest.raises(DataError, match="the requested sha256 is 1111"):
        sources.fetch(sha256="1" * 64)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_real_archive_replaces_a_stand_in_but_not_the_reverse(stand_in, real_looking, own_home, serve_file):
    sources.fetch(file=stand_in)
    with serve_file(real_looking) as running:
        record = sources.fetch(url=running.url)
    assert not record.simulated
    assert record.origin == running.url
    recording = load_recording("monkey2_ML", (0, 20))
    assert not recording.simulated
    assert recording.identifier == "Arcaro2020.monkey2_ML"
    with pytest.raises(DataError, match=r", a stand-in, is not .*If upstream has replaced .*, remove .*lock\.json"):
        sources.fetch(file=stand_in)
    assert sources.fetch() == record
    assert sha256(own_home / "Arcaro2020.zip") == record.sha256


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_changed_archive_is_downloaded_again_or_refused_offline(real_looking, own_home, serve_file, monkeypatch):
    archive = own_home / "Arcaro2020.zip"
    with serve_file(real_looking) as running:
        record = sources.fetch(url=running.url)
        for harm in (change, lambda file: os.truncate(file, 1000), os.remove):
            harm(archive)
            assert sources.recorded_archive() is None
            with pytest.raises(DataError) as refused:
                sources.fetch(offline=True)
            assert record.sha256 in refused.value.fix
            assert str(archive) in refused.value.fix
            assert sources.fetch(url=running.url).sha256 == record.sha256
    assert len(running.asked) == 4
    record = sources.recorded_archive()
    os.utime(archive, ns=(0, 0))
    assert sources.recorded_archive() == record  # the time alone is no change
    change(archive)
    os.utime(archive, ns=(0, record.changed))
    assert sources.recorded_archive() == record  # nothing shows
    assert sources.recorded_archive(rehash=True) is None
    with serve_file(real_looking) as running:
        assert sources.fetch(url=running.url).sha256 == record.sha256  # who asks for it gets it checked
    assert len(running.asked) == 1


def test_a_changed_unpacked_folder_does_not_block_a_valid_archive(stand_in, own_home):
    sources.fetch(file=stand_in)
    next(own_home.glob("Arcaro2020-*/**/img_05.png")).unlink()
    assert sources.fetch(file=stand_in).simulated


def test_the_real_archive_copied_over_a_stand_in_is_accepted(stand_in, real_looking, own_home, monkeypatch):
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    sources.fetch(file=stand_in)
    with pytest.raises(DataError, match="Only a simulated stand-in is stored"):
        sources.fetch()
    shutil.copy(real_looking, own_home / "Arcaro2020.zip")
    assert not load_recording("monkey2_ML", (0, 20)).simulated
    assert sources.fetch().sha256 == sha256(real_looking)


def test_waiting_for_another_process_is_reported(stand_in, own_home):
    own_home.mkdir(parents=True)
    steps = []

    def reported(step, done, total):
        steps.append(step)
        if step.startswith("waiting"):
            holder.release()

    holder = filelock.FileLock(own_home / ".lock")
    with holder:
        sources.fetch(file=stand_in, progress=reported)
    assert steps[0].startswith("waiting for another process")


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_different_archive_upstream_is_refused_and_the_record_stays(real_looking, tmp_path, own_home, serve_file):
    record = sources.fetch(file=real_looking)
    other = tmp_path / "other.zip"
    shutil.copy(real_looking, other)
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("more.txt", "more")
    (own_home / "Arcaro2020.zip").unlink()
    with serve_file(other) as running, pytest.raises(DataError, match=r"not the expected file: .* sha256 recorded on"):
        sources.fetch(url=running.url)
    assert sources.fetch(file=real_looking).sha256 == record.sha256


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><title>Log in</title>", "is not a zip archive.*<!DOCTYPE html>"),
        (b"PK\x05\x06" + bytes(18), "contains no george_060118_data.mat"),
    ],
)
def test_other_files_than_the_archive_are_removed(content, message, tmp_path, own_home, serve_file):
    (tmp_path / "page").write_bytes(content)
    with serve_file(tmp_path / "page") as running, pytest.raises(DataError, match=message):
        sources.fetch(url=running.url)
    assert [path.name for path in own_home.iterdir() if path.name != ".lock"] == []


@pytest.mark.parametrize("missing", ["george_060118_data.mat", "red_062419_data.mat", "img_07.png"])
def test_an_archive_that_lacks_a_file_is_not_recorded(stand_in, missing, tmp_path, own_home):
    with zipfile.ZipFile(stand_in) as complete, zipfile.ZipFile(tmp_path / "less.zip", "w") as less:
        for member in complete.infolist():
            if not member.filename.endswith(missing):
                less.writestr(member, complete.read(member))
    with pytest.raises(DataError, match=rf"less\.zip is invalid: .*{re.escape(missing)}"):
        sources.fetch(file=tmp_path / "less.zip")
    assert [path.name for path in own_home.iterdir() if path.name != ".lock"] == []


def test_offline_mode_names_the_file_to_download_and_its_path(own_home, monkeypatch):
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    for ask in (sources.fetch, lambda: load_recording("monkey1_PL")):
        with pytest.raises(DataError, match="offline mode forbids") as refused:
            ask()
        assert sources.URL in refused.value.fix
        assert str(own_home / "Arcaro2020.zip") in refused.value.fix
    monkeypatch.setenv("ITMAPS_OFFLINE", "0")
    done = brainscore("data", "--offline", "info", "monkey1_PL")
    assert (done.returncode, "offline mode forbids" in done.stderr) == (3, True)
    assert brainscore("data", "fetch", "--offline").returncode == 3
    assert load_recording("it_maps_simulated").simulated


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.slow
def test_eight_concurrent_processes_download_once_and_read_the_same(stand_in, own_home, serve_file, tmp_path):
    code = (
        "import hashlib, os, sys\nfrom brainscore_itmaps.data import load, sources\n"
        "for _ in range(8):\n    if os.fork() == 0: break\n"
        "else: sys.exit(any(os.wait()[1] for _ in range(8)))\n"
        "true_reader = load.read_array\n"
        f"def counted(*arguments):\n    open({str(tmp_path / 'reads')!r}, 'a').write('x')\n"
        "    return true_reader(*arguments)\n"
        "load.read_array = counted\n"
        "sources.fetch(url=sys.argv[1], allow_stand_in=True)\n"
        "recording = load.load_recording('monkey2_ML', (0, 20))\n"
        "line = f'{hashlib.sha256(recording.maps.tobytes()).hexdigest()} {len(recording.images)}\\n'\n"
        "os.write(1, line.encode())"  # at once, so that lines of two processes are not mixed
    )
    with serve_file(stand_in) as running:
        done = python("-c", code, running.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (len(lines), len(set(lines))) == (8, 1), lines
    assert len(running.asked) == 1
    assert (tmp_path / "reads").read_text() == "x"


def test_the_lock_of_a_process_that_died_is_taken_over(stand_in, own_home):
    own_home.mkdir(parents=True)
    code = (
        "import sys, time, filelock\nwith filelock.FileLock(sys.argv[1]): print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(own_home / ".lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(own_home / ".lock", timeout=0.1).acquire()
    holder.kill()
    holder.wait()
    assert (
        brainscore("data", "fetch", "--from", stand_in).returncode == 0
    )  # a lock that stays would have it wait forever


def limited(own_home, statement, size):
    code = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "from pathlib import Path\n"
        "from brainscore_itmaps import load_recording\nfrom brainscore_itmaps.data import sources\n"
        f"try: {statement}\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    return python("-c", code).stdout


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_a_full_disk_keeps_existing_files(stand_in, own_home, size, tmp_path):
    record = sources.fetch(file=stand_in)
    other = write_stand_in(tmp_path / "other.zip", seed=2, duration=20)
    message = limited(own_home, f"sources.fetch(file=Path({str(other)!r}))", size)
    assert message.startswith("InstallationError Cannot ")
    assert "File too large" in message
    assert "free" in message
    assert "Set ITMAPS_HOME" in message
    assert sources.recorded_archive(rehash=True) == record
    assert not [path for path in own_home.iterdir() if path.name.startswith((".candidate", ".Arcaro"))]


def test_a_full_disk_while_reading_leaves_no_incomplete_file(stand_in, own_home):
    sources.fetch(file=stand_in)
    message = limited(own_home, "load_recording('monkey2_ML', (0, 20))", 20_000)
    assert message.startswith("InstallationError Cannot write")
    assert list(own_home.glob("prepared/*")) == []
    assert load_recording("monkey2_ML", (0, 20)).maps.shape == (14, 9, 9, 32)


def test_a_read_only_home_can_be_read_and_says_how_to_write(stand_in, own_home):
    sources.fetch(file=stand_in)
    load_recording("monkey2_ML", (0, 20))
    folders = [own_home, *[path for path in own_home.rglob("*") if path.is_dir()]]
    for folder in folders:
        folder.chmod(0o555)
    code = (
        "from brainscore_itmaps import load_recording\n"
        "print(load_recording('monkey2_ML', (0, 20)).maps.shape)\n"
        "try: load_recording('monkey2_ML', (0, 19))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, preexec_fn=bound_by_permissions
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.stdout.startswith("(14, 9, 9, 32)\nInstallationError Cannot write in"), done.stdout + done.stderr
    assert "ITMAPS_HOME" in done.stdout


def bound_by_permissions():
    """Drop root's right to write against permissions (Linux), before another program is started."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0


def test_a_home_that_is_a_file_names_the_variable(stand_in, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "file"))
    with pytest.raises(InstallationError, match="ITMAPS_HOME"):
        sources.fetch(file=stand_in)
    with pytest.raises(InstallationError, match="ITMAPS_HOME"):
        load_recording("monkey2_ML", (0, 20), stand_in)


def test_a_damaged_record_is_an_error(stand_in, own_home):
    sources.fetch(file=stand_in)
    (own_home / "Arcaro2020.lock.json").write_text('{"sha256": ')
    with pytest.raises(DataError, match=r"The record .*Arcaro2020\.lock\.json is damaged"):
        load_recording("monkey2_ML", (0, 20))


def test_clean_removes_files_that_can_be_made_again_and_all_removes_the_archive(stand_in, own_home):
    sources.fetch(file=stand_in)
    recording = load_recording("monkey2_ML", (0, 20))
    (own_home / ".candidate-Arcaro2020.zip").write_bytes(b"left behind")
    (own_home / "notes-of-mine.txt").write_text("mine")
    pixels = np.zeros((3, 4, 4, 3), np.uint8)
    mine = Recording.from_arrays(np.ones((3, 2, 2, 1)), pixels, identifier="Arcaro2020.mylab", window=(0, 9))
    removed = [path for path, _ in remove_stored_files()]
    assert own_home / ".candidate-Arcaro2020.zip" in removed
    assert list_stored_files()["unpacked"] == list_stored_files()["prepared"] == list_stored_files()["leftovers"] == []
    assert recording.images[0].exists()
    np.testing.assert_array_equal(load_recording("monkey2_ML", (0, 20)).maps, recording.maps)
    remove_stored_files(everything=True)
    assert not recording.images[0].exists()
    assert not (own_home / "Arcaro2020.zip").exists()
    assert (own_home / "Arcaro2020.lock.json").exists()
    assert (own_home / "notes-of-mine.txt").exists()
    assert all(image.exists() for image in mine.images)
    assert remove_stored_files(everything=True) == []
