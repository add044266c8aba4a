import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.files import (
    LOCK,
    WRITING,
    new_folder,
    owned_folder,
    private_folder,
    remove_leftovers,
    replacing,
    visible,
)
from brainscore_itmaps.npz import HEADER, read_npy, read_npz

WRITER = """
import os, signal, sys
from pathlib import Path
from brainscore_itmaps.files import new_folder, replacing
how = {"file": replacing, "folder": new_folder}[sys.argv[1]]
with how(Path(sys.argv[2])) as temporary:
    file = temporary if sys.argv[1] == "file" else temporary / "inside"
    file.write_text("half")
    print("writing", flush=True)
    if sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.readline()
"""


def writer(kind, path, how):
    return subprocess.Popen([sys.executable, "-c", WRITER, kind, str(path), how], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_a_running_one(tmp_path, kind):
    killed = writer(kind, tmp_path / "killed", "die")
    assert killed.wait(60) == -signal.SIGKILL
    assert list(tmp_path.glob(f"{WRITING}*"))
    running = writer(kind, tmp_path / "running", "wait")
    assert running.stdout.readline() == "writing\n"
    with replacing(tmp_path / "mine") as temporary:
        temporary.write_text("whole")
    assert len(list(tmp_path.glob(f"{WRITING}*"))) == 1  # that of the running one
    assert not (tmp_path / "killed").exists()
    running.communicate("\n", timeout=60)
    assert running.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "running"]


def test_a_folder_that_was_made_and_not_yet_locked_is_made_again(tmp_path):
    """As if another process took it for a leftover between the two steps."""
    entered = threading.Event()

    def other():
        while not entered.is_set():
            remove_leftovers(tmp_path)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for number in range(200):
            with new_folder(tmp_path / str(number)) as temporary:
                (temporary / "file").write_text("whole")
    finally:
        entered.set()
        thread.join()
    assert all((tmp_path / str(number) / "file").read_text() == "whole" for number in range(200))
    assert len(list(tmp_path.iterdir())) == 200


def test_one_process_at_a_time_has_the_folder_of_a_name(tmp_path):
    inside, most = [], []

    def write(number):
        with private_folder(tmp_path, "result") as folder:
            inside.append(number)
            most.append(len(inside))
            assert folder == owned_folder(tmp_path, "result")
            time.sleep(0.05)
            inside.remove(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert list(tmp_path.iterdir()) == []


def fail(file, error):
    with replacing(file) as temporary:
        temporary.write_text("newer")
        raise error


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path):
    file = tmp_path / "scores.csv"
    file.write_text("older")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(file, error)
    with pytest.raises(InstallationError, match=r"Cannot write .*scores.csv: No space left.* bytes are free"):
        fail(file, OSError(28, "No space left on device"))
    with pytest.raises(InstallationError, match="is a folder, not a file"), replacing(tmp_path):
        pass
    assert file.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_files_have_the_permissions_of_new_files(tmp_path):
    with replacing(tmp_path / "a") as temporary:
        temporary.write_text("")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_hidden_files_are_not_listed(tmp_path):
    for name in ("b.json", "a.json", ".c.json", ".d/e.json", f"{WRITING}1/{LOCK}"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in visible(tmp_path.rglob("*"), tmp_path)] == ["a.json", "b.json"]


def test_arrays_that_unpack_to_far_more_than_their_file_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(30_000_000))
    with pytest.raises(ValueError, match="more than 100 times as many"):
        read_npz(tmp_path / "bomb.npz")
    np.savez_compressed(tmp_path / "small.npz", a=np.zeros(1_000_000))
    assert read_npz(tmp_path / "small.npz")["a"].shape == (1_000_000,)


@pytest.mark.parametrize("array", [np.eye(3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array("text"),
                                   np.array(["a", "bc"]), np.zeros((0, 3)), np.array(2.5), np.array([1, 2], "u1")],
                         ids=repr)  # fmt: skip
def test_arrays_are_read_as_numpy_reads_them(tmp_path, array):
    np.savez(tmp_path / "it.npz", a=array)
    np.save(tmp_path / "it.npy", array)
    for found in (read_npz(tmp_path / "it.npz")["a"], read_npy(tmp_path / "it.npy")):
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.flags.writeable or not found.size


def test_headers_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "it.npy"
    np.save(file, np.zeros((2, 3)))
    whole = file.read_bytes()
    for old, new in ((b"(2, 3)", b"(9, 9)"), (b"(2, 3)", b"(-2,3)"), (b"<f8", b"|O8"), (b"NUMPY", b"NUMPI")):
        file.write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match="is damaged"):
            read_npy(file)
    file.write_bytes(whole[:8] + (HEADER + 1).to_bytes(2, "little") + b" " * (HEADER + 1))
    with pytest.raises(ValueError, match="has a header of"):
        read_npy(file)
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects"):
        read_npy(file)
    os.truncate(file, 3)
    with pytest.raises(ValueError, match="is damaged"):
        read_npy(file)
