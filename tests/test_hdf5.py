"""Untrusted HDF5 files: none makes the package read another file or block."""

import base64
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from answers import assert_refused
from keras_files import layout, write_keras
from scipy.io import savemat

from brainscore_itmaps import hdf5, hdf5_reader, load_recording
from brainscore_itmaps.data.matfiles import numbers, texts
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.hdf5 import Hdf5Error, hdf5_file, is_hdf5
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.weights import fetch_weights
from brainscore_itmaps.models.zoo import ZOO

LOOPS = zlib.decompress(
    base64.b85decode(
        "c-rll!AiqG5QcYlTL>j$imkO?%q#c=A~u?XSWyq&G)fSmrcj|&5bUwOK_4Lx;6wOOLc5!tiOn87=t05xAWUawvzaY_4*6f>-r-tfyCDpoCu$-"
        "Pt1OV`&1z2lYm9(#hB22^uNS>7tOvM%sBAvL`o&oknbividd^$RMo%#RkvQ5vHSx04k>y=h*G(Kf#y@;6>Gh*+^C{MSoCNf*mR9#5c}hoDS@M"
        "uR7WFRJ8G~{bt6Tu6%tx`VuetiH9Ub(KVdbFU%ym1=#=AO7XCFF0ZdJZ7<79N7+ze8>KVN4}F$}{n48t%C!!XQmL%tb(*aJFf<R2*KJ74L(=`"
        "_O~Q7bB;=y;;@Qu+&C(U($!^#$yH3UYMTd}o5$ANxn9dvu+j^n0LBL*B-GgZ1(qnrJS$o~@6ruF+uOZ4I+KlXtcDzVfuli=t?{<Y_6qhjO!K3"
        "C*=dVg"
    )
)
"""Written by h5py 3.16 with one byte changed: HDF5 2.0 reads one of its attributes in an endless loop."""


def external_storage(group, name, other):
    group.create_dataset(name, (4,), "f4", external=[(str(other), 0, 16)])


def external_link(group, name, other):
    group[name] = h5py.ExternalLink(str(other), "/maps")


def virtual_dataset(group, name, other):
    sources = h5py.VirtualLayout((4,), "f4")
    sources[:] = h5py.VirtualSource(str(other), "maps", (4,))
    group.create_virtual_dataset(name, sources)


FOREIGN = (external_storage, external_link, virtual_dataset)


@pytest.fixture
def other(tmp_path):
    """Write a file that no other file may make the package read."""
    file = tmp_path / "other.h5"
    with h5py.File(file, "w") as opened:
        opened["maps"] = np.arange(4, dtype=np.float32)
    return file


def copy_of(levit, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(levit.read_bytes())
    return copy


@pytest.fixture(scope="module")
def levit(made_once):
    return made_once("levit-for-hdf5", lambda file: write_keras(file, layout("levit_small")))


@pytest.mark.parametrize(("foreign", "group"), list(itertools.product(FOREIGN, ["", "a", "a/b/c"])))
def test_no_other_file_is_read_at_any_level(tmp_path, other, foreign, group):
    file = tmp_path / "file.h5"
    with h5py.File(file, "w") as opened:
        foreign(opened.require_group(group or "/"), "maps", other)
        assert list(opened[group or "/"]["maps"]) == list(opened.get(f"{group}/maps"))  # h5py follows it
    with pytest.raises(Hdf5Error, match=f"{group}/?maps is stored in another file"), hdf5_file(file):
        pass


def test_a_link_to_another_file_is_refused_before_that_file_is_opened(tmp_path, monkeypatch):
    """The other file is a named pipe: opening it would block forever."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "file.h5", "w") as opened:
        external_link(opened, "maps", tmp_path / "pipe")
    monkeypatch.setattr(hdf5, "SECONDS", 0.5)
    with pytest.raises(Hdf5Error, match="maps is stored in another file"), hdf5_file(tmp_path / "file.h5"):
        pass


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_recording_in_matlab_7_3_reads_no_other_file(red, tmp_path, other, foreign):
    with h5py.File(red.file, "w") as opened:
        foreign(opened, "imageRF", other)
    with pytest.raises(DataError, match=r"red_062419_data\.mat cannot be read .* imageRF is stored in another file"):
        load_recording("monkey2_ML", (0, 2), red.folder)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_weights_read_no_other_file(tmp_path, other, levit, foreign):
    copy = copy_of(levit, tmp_path)
    with h5py.File(copy, "r+") as opened:
        del opened["head/head"]
        foreign(opened.create_group("head/head"), "bias:0", other)
    with pytest.raises(ModelError, match=r"copy\.h5 cannot be read .* head/head/bias:0 is stored in another file"):
        load_model("harmonized_levit_128", copy)


def test_weights_read_no_group_of_another_file(tmp_path, levit):
    copy = copy_of(levit, tmp_path)
    with h5py.File(copy, "r+") as opened:
        del opened["head"]
        opened["head"] = h5py.ExternalLink(str(levit), "/head")
    with pytest.raises(ModelError, match=r"copy\.h5 cannot be read .* head is stored in another file"):
        load_model("harmonized_levit_128", copy)


def test_a_netcdf_file_reads_no_other_file(tmp_path, other):
    netCDF4 = pytest.importorskip("netCDF4")  # noqa: N806
    file = tmp_path / "maps.nc"
    with netCDF4.Dataset(file, "w") as opened:
        opened.createDimension("site", 3)
        opened.createVariable("maps", "f8", ("site",))[:] = [1, 2, 3]
    with hdf5_file(file) as opened:
        assert list(opened.read("maps")) == [1, 2, 3]
    with h5py.File(file, "r+") as opened:
        external_link(opened, "more", other)
    with pytest.raises(Hdf5Error, match="more is stored in another file"), hdf5_file(file):
        pass


def test_datasets_reached_only_by_reference_are_checked_too(tmp_path, other):
    """The last entry of the root group is hidden by its count, so that listing the file does not find it."""
    file = tmp_path / "names.mat"
    with h5py.File(file, "w", libver="earliest") as opened:
        opened.create_dataset("hidden", (4,), "u2", external=[(str(other), 0, 8)])
        opened["cell"] = np.array([[opened["hidden"].ref]], dtype=h5py.ref_dtype)
    content = bytearray(file.read_bytes())
    content[content.index(b"SNOD") + 6] -= 1
    file.write_bytes(content)
    with hdf5_file(file) as opened:
        assert list(opened.datasets) == ["cell"]
    with pytest.raises(DataError, match="is stored in another file"):
        texts(file, "cell")


def renamed(file, old, new):
    """Give a link another name of the same length, which h5py would not write."""
    content = file.read_bytes()
    assert content.count(old) == 1
    file.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("name", [b"/h/z/data", b"h/z//data", b"./h/maps"])
def test_a_name_that_is_a_path_is_refused_before_its_links_are_followed(tmp_path, name):
    secret, file = tmp_path / "secret.h5", tmp_path / "file.mat"
    with h5py.File(secret, "w") as opened:
        opened["data/names"] = np.frombuffer(b"SECRET", np.uint8).astype(np.uint16)
    with h5py.File(file, "w") as opened:
        opened.create_group("h")["z"] = h5py.ExternalLink(str(secret), "/")
        opened["Qh-z-data"] = 1.0
        opened["cell"] = np.array([[b"/h/z/data/names"]], dtype=h5py.string_dtype())
    renamed(file, b"Qh-z-data", name.ljust(9, b"s"))
    with pytest.raises(Hdf5Error, match="an object with the invalid name"), hdf5_file(file):
        pass
    with pytest.raises(DataError, match="an object with the invalid name"):
        texts(file, "cell")


def test_text_is_not_used_as_a_reference(tmp_path):
    file = tmp_path / "file.mat"
    with h5py.File(file, "w") as opened:
        opened["maps"] = np.frombuffer(b"SECRET", np.uint8).astype(np.uint16)
        opened["cell"] = np.array([["/maps"]], dtype=h5py.string_dtype())
    with pytest.raises(DataError, match="cell is not a list of names"):
        texts(file, "cell")


def test_soft_links_are_not_followed(tmp_path):
    file = tmp_path / "file.mat"
    with h5py.File(file, "w") as opened:
        opened["maps"] = np.arange(4.0)
        opened["same"] = h5py.SoftLink("/maps")
        opened["nowhere"] = h5py.SoftLink("/nothing")
    with hdf5_file(file) as opened:
        assert list(opened.datasets) == ["maps"]
        with pytest.raises(Hdf5Error, match="it has no dataset 'same'"):
            opened.read("same")


def test_a_dataset_that_claims_more_than_is_stored_is_refused(tmp_path):
    file = tmp_path / "file.mat"
    with h5py.File(file, "w") as opened:
        opened.create_dataset("maps", (5 * 2**29,), "u2", chunks=(2**20,))
    assert file.stat().st_size < 2000
    with pytest.raises(Hdf5Error, match="maps claims 5368709120 bytes, of which only 0 are stored"), hdf5_file(file):
        pass


def test_an_attribute_that_repeats_a_long_text_takes_limited_memory(tmp_path):
    """3000 elements of an attribute that all refer to one megabyte of the file's heap."""
    file = tmp_path / "file.h5"
    with h5py.File(file, "w") as opened:
        opened.attrs["text"] = "x" * 10**6
        opened.attrs["names"] = np.array(["y"] * 3000, dtype=h5py.string_dtype())
    content = bytearray(file.read_bytes())
    long = content.index((10**6).to_bytes(4, "little"), content.index(b"text\0"))
    reference, short = bytes(content[long : long + 16]), (1).to_bytes(4, "little")
    first = content.index(short, content.index(b"names\0") + 40)
    while content[first + 16 : first + 20] != short or content[first + 32 : first + 36] != short:
        first = content.index(short, first + 1)
    content[first : first + 48000] = reference * 3000
    file.write_bytes(content)
    with pytest.raises(Hdf5Error, match="memory"), hdf5_file(file):
        pass


def test_too_many_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_reader, "LINKS", 3)
    with h5py.File(tmp_path / "file.h5", "w") as opened:
        for number in range(4):
            opened[f"{number}"] = [1.0]
        with pytest.raises(hdf5_reader.RefusedError, match="more than 3 objects"):
            hdf5_reader.contents(opened)


def test_a_group_that_contains_itself_is_listed_once(tmp_path):
    file = tmp_path / "file.h5"
    with h5py.File(file, "w") as opened:
        opened["a/b/maps"] = [1.0]
        opened["a/b/again"] = opened["a"]
    with hdf5_file(file) as opened:
        assert list(opened.datasets) == ["a/b/maps"]


@pytest.mark.parametrize("dtype", [">f8", "<f4", "f2", ">i2", "u1", "<u8"])
@pytest.mark.parametrize("shape", [(3, 4), (0, 4), ()])
def test_numbers_equal_those_read_by_h5py(tmp_path, rng, dtype, shape):
    file = tmp_path / "file.mat"
    values = rng.integers(0, 100, shape).astype(dtype)
    with h5py.File(file, "w") as opened:
        opened["group/values"] = values
        opened["values"] = values
    with hdf5_file(file) as opened:
        read = opened.read("group/values")
        assert read.shape == shape
        np.testing.assert_array_equal(read, values)
        assert opened.datasets["values"].shape == shape
        if shape == (3, 4):
            np.testing.assert_array_equal(opened.read("values", (slice(1, 3), slice(None, None, 2))), values[1:3, ::2])
    np.testing.assert_array_equal(numbers(file, "values"), values.T)


def test_other_values_than_real_numbers_are_refused(tmp_path):
    file = tmp_path / "file.h5"
    with h5py.File(file, "w") as opened:
        opened["long"] = np.ones(2, np.longdouble)
        opened["complex"] = np.ones(2, complex)
        opened["text"] = "text"
        opened["pair"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        opened.attrs["nothing"] = h5py.Empty("S10")
    with hdf5_file(file) as opened:
        assert opened.attributes == {"": {}}
        for name in opened.datasets:
            with pytest.raises(Hdf5Error, match=f"{name} contains .*, not real numbers"):
                opened.read(name)


@pytest.mark.parametrize("block", [0, 512, 2048])
def test_hdf5_files_are_recognised_by_their_signature(tmp_path, block):
    file = tmp_path / "file"
    with h5py.File(file, "w", userblock_size=block):
        pass
    assert is_hdf5(file)
    for content in (b"", b"\x89HDF", b"something else" * 100):
        file.write_bytes(content)
        assert not is_hdf5(file)


def test_reading_an_endless_file_is_stopped_and_the_next_file_is_read(tmp_path, monkeypatch, levit):
    monkeypatch.setattr(hdf5, "SECONDS", 1.0)
    monkeypatch.setenv("ITMAPS_HOME", str(tmp_path / "home"))
    file = tmp_path / "weights.h5"
    file.write_bytes(LOOPS)
    with pytest.raises(ModelError, match=r"weights\.h5 cannot be read .* exceeded the time limit"):
        fetch_weights(ZOO["harmonized_levit_128"], file=file)
    monkeypatch.setattr(hdf5, "SECONDS", 30.0)
    assert fetch_weights(ZOO["harmonized_levit_128"], file=levit).file_size == levit.stat().st_size  # the lock is free


def test_reading_an_endless_matlab_file_is_stopped(red, monkeypatch):
    monkeypatch.setattr(hdf5, "SECONDS", 1.0)
    red.file.write_bytes(LOOPS)
    with pytest.raises(DataError, match=r"red_062419_data\.mat cannot be read .* exceeded the time limit"):
        load_recording("monkey2_ML", (0, 2), red.folder)


def test_a_crash_of_the_reading_process_is_an_error(tmp_path, monkeypatch, other):
    reader = tmp_path / "reader.py"
    reader.write_text("import os, signal, sys\nsys.stdin.readline()\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(hdf5, "READER", reader)
    monkeypatch.setattr(hdf5, "_reader", None)
    with pytest.raises(Hdf5Error, match=r"ended with exit code -11"), hdf5_file(other):
        pass


def in_a_fork(function):
    """Return whether a function returns True in a forked process."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends a child that waits forever
        try:
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@contextmanager
def another_thread_reading():
    """Hold the lock of the reader in another thread, which a fork does not have, so that it stays locked there."""
    holds, ends = threading.Event(), threading.Event()

    def hold():
        with hdf5._lock:
            holds.set()
            ends.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def test_a_forked_process_starts_its_own_reader(other):
    with hdf5_file(other) as opened:
        opened.read("maps")

        def reads_its_own():
            with hdf5_file(other) as reopened:
                return reopened._owner is not opened._owner and list(reopened.read("maps")) == [0, 1, 2, 3]

        def is_refused_its_parents():
            with pytest.raises(Hdf5Error, match="opened by the parent of this forked process"):
                opened.read("maps")
            return True

        with another_thread_reading():
            assert in_a_fork(reads_its_own)
        assert in_a_fork(is_refused_its_parents)
        assert list(opened.read("maps")) == [0, 1, 2, 3]


def test_an_open_file_is_not_called_damaged_when_the_reader_ended_on_another(tmp_path, monkeypatch, other):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(LOOPS)
    with hdf5_file(other) as opened:
        monkeypatch.setattr(hdf5, "SECONDS", 0.2)
        with pytest.raises(Hdf5Error, match="exceeded the time limit"), hdf5_file(bad):
            pass
        with pytest.raises(Hdf5Error, match="ended while it read another file; open it again"):
            opened.read("maps")
    with hdf5_file(other) as opened:
        assert list(opened.read("maps")) == [0, 1, 2, 3]


def test_reading_a_blocking_file_is_stopped(tmp_path, monkeypatch):
    """A named pipe stands for a file on a disk that does not answer; :func:`hdf5_file` would refuse it."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(hdf5, "SECONDS", 0.1)
    with pytest.raises(Hdf5Error, match="exceeded the time limit"):
        hdf5._running_reader().ask("open", 0, path=str(tmp_path / "pipe"))


def _reader_of(process):
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.Error):  # another child, which has ended
                if "hdf5_reader.py" in " ".join(child.cmdline()) and child.cpu_times().user > 0.5:
                    return child
        time.sleep(0.05)
    raise AssertionError("nothing reads")


def _is_gone(process, seconds=60):
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


FETCH = """
import brainscore_itmaps.hdf5
brainscore_itmaps.hdf5.SECONDS = {seconds}
from brainscore_itmaps.cli.start import main
main()
"""


def fetching(file, seconds):
    """Start a command that reads weights; return it and its reading process."""
    command = [sys.executable, "-c", FETCH.format(seconds=seconds), "models", "fetch", "harmonized_levit_128"]
    running = subprocess.Popen([*command, "--from", str(file)], stderr=subprocess.PIPE, text=True)
    return running, _reader_of(running)


@pytest.mark.slow
def test_ctrl_c_interrupts_the_reading_of_an_endless_file(own_home, tmp_path):
    file = tmp_path / "weights.h5"
    file.write_bytes(LOOPS)
    running, reader = fetching(file, 600)
    running.send_signal(signal.SIGINT)
    _, message = running.communicate(timeout=60)
    assert (running.returncode, message) == (130, "interrupted; run the same command again to resume.\n")
    assert _is_gone(reader)
    assert_refused(4, "There is no file", "models", "fetch", "harmonized_levit_128", "--from", tmp_path / "no.h5")


@pytest.mark.slow
def test_the_reader_of_an_endless_file_ends_after_its_command_was_killed(own_home, tmp_path):
    file = tmp_path / "weights.h5"
    file.write_bytes(LOOPS)
    running, reader = fetching(file, 5)
    running.kill()
    running.communicate()
    assert _is_gone(reader, 40)  # by its limit of computing; the one of elapsed time comes after 50 seconds


@pytest.fixture
def ctrl_c_interrupts():
    """Install Python's handler of Ctrl-C: an import in another test, such as dask-jobqueue, may have replaced it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_an_interrupted_answer_is_not_used_for_the_next_request(tmp_path, other):
    file = tmp_path / "loops.h5"
    file.write_bytes(LOOPS)
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt), hdf5_file(file):
        pass
    timer.join()
    with hdf5_file(other) as opened:
        assert list(opened.read("maps")) == [0, 1, 2, 3]


def test_only_regular_files_are_opened(tmp_path):
    """Opening a named pipe would block forever."""
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(Hdf5Error, match="it is not a regular file"), hdf5_file(tmp_path / "pipe.h5"):
        pass
    with pytest.raises(Hdf5Error, match="it is not a regular file"), hdf5_file(Path("/dev/zero")):
        pass


@pytest.mark.parametrize("kind", ["string", "struct"])
def test_names_that_are_no_cell_array_are_refused_with_what_to_do_in_matlab(tmp_path, kind):
    file = tmp_path / "names.mat"
    with h5py.File(file, "w", userblock_size=512) as opened:
        if kind == "struct":  # of dir()
            opened["names/name"] = np.array([[1]], np.uint64)
        else:
            opened["names"] = np.array([[0xDD000000], [2], [1], [1], [1], [1]], np.uint32)
            opened["names"].attrs["MATLAB_class"] = np.bytes_("string")
    with pytest.raises(DataError, match=rf"names is a MATLAB {kind} array.*a cell array of .*names = cellstr\(names\)"):
        texts(file, "names")
    savemat(file, {"names": {"name": "face.png"}})
    with pytest.raises(DataError, match=r"a cell array of .*names = cellstr\(names\)"):
        texts(file, "names")
