"""Files of a pinned commit: downloads that stop, changed files, copies under other names."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from gaze import pinned
from local_server import send, server

from brainscore_itmaps.errors import DataError, InstallationError, ItMapsError
from brainscore_itmaps.pinned_files import PinnedFile, fetch_files, missing_files, read_manifest

pytestmark = [pytest.mark.enable_socket, pytest.mark.usefixtures("own_home")]
OPTIONS = {"what": "DATA", "command": "brainscore data fetch osie"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


@pytest.fixture
def original(tmp_path):
    """Three files of unequal size."""
    for number, name in enumerate(("a/1.csv", "b/2.jpg", "b/3.jpg")):
        file = tmp_path / "original" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * (1000 * number + 7))
    return tmp_path / "original"


@pytest.fixture
def serve(original):
    """Serve the files at their addresses on GitHub, except those for which ``answer(handler, file)`` returns True."""

    def start(answer=lambda handler, file: False):
        def respond(handler, number):
            prefix = "/lab/gaze/4a467890fcb4/"
            assert handler.path.startswith(prefix)
            file = original / handler.path.removeprefix(prefix)
            if not answer(handler, file):
                send(handler, file.read_bytes())

        return server(respond)

    return start


def root(running):
    return running.url.rpartition("/")[0]


def test_every_file_is_downloaded_once_to_its_path_and_progress_counts_files(original, serve, tmp_path):
    files, steps = pinned(original), []
    with serve() as running:
        fetched = fetch_files(
            files, tmp_path / "home", url=root(running), progress=lambda *step: steps.append(step), **OPTIONS
        )
        assert fetched == list(files)
        assert fetch_files(files, tmp_path / "home", url=root(running), **OPTIONS) == []
        assert len(running.asked) == 3
    for file in files:
        assert (tmp_path / "home" / file.path).read_bytes() == (original / file.path).read_bytes()
    assert [done for step, done, total in steps if step == "downloading DATA, files"] == [0, 1, 1, 2, 2, 3]


def test_the_address_of_a_repository_is_a_server_too(original, serve, tmp_path):
    with serve() as running:
        fetch_files(pinned(original), tmp_path / "home", url=f"{root(running)}/lab/gaze/4a467890fcb4/", **OPTIONS)
    assert missing_files(pinned(original), tmp_path / "home") == []


def test_a_download_that_stops_resumes_with_the_file_that_is_missing(original, serve, tmp_path):
    files, home = pinned(original), tmp_path / "home"

    def cut(handler, file):
        if file.name != "2.jpg":
            return False
        send(handler, file.read_bytes()[:100], length=file.stat().st_size)
        handler.close_connection = True
        return True

    with serve(cut) as running, pytest.raises(InstallationError, match=r"2\.jpg could not be downloaded"):
        fetch_files(files, home, url=root(running), **OPTIONS)
    assert [file.name for file in missing_files(files, home)] == ["2.jpg", "3.jpg"]
    assert not [path.name for path in home.rglob("*") if path.is_file() and path.name not in ("1.csv", ".lock")]
    with serve() as running:
        assert [file.name for file in fetch_files(files, home, url=root(running), **OPTIONS)] == ["2.jpg", "3.jpg"]
        assert [path.rpartition("/")[2] for path in running.asked] == ["2.jpg", "3.jpg"]


def test_a_changed_file_on_the_server_is_refused_by_name_and_not_kept(original, serve, tmp_path):
    files = pinned(original)

    def changed(handler, file):
        if file.name == "2.jpg":
            send(handler, file.read_bytes() + b"!")
        return file.name == "2.jpg"

    with serve(changed) as running, pytest.raises(DataError, match=r"2\.jpg returned a different file"):
        fetch_files(files, tmp_path / "home", url=root(running), **OPTIONS)
    assert [file.name for file in missing_files(files, tmp_path / "home")] == ["2.jpg", "3.jpg"]


def test_a_download_that_is_larger_than_its_file_is_stopped_before_it_fills_the_disk(original, serve, tmp_path):
    sent = []

    def endless(handler, file):
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            for _ in range(200):
                sent.append(handler.wfile.write(bytes(10**6)))
        return True

    with serve(endless) as running, pytest.raises(DataError, match="different file: it is larger than 7 bytes"):
        fetch_files(pinned(original), tmp_path / "home", url=root(running), **OPTIONS)
    assert sum(sent) < 10**8
    assert [path.name for path in (tmp_path / "home").rglob("*") if path.is_file()] == [".lock"]


def test_a_file_that_arrives_in_small_parts_is_not_too_large(original, serve, tmp_path):
    def parts(handler, file):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        content = file.read_bytes()
        for start in range(0, len(content), 100):
            part = content[start : start + 100]
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")
        return True

    with serve(parts) as running:
        assert len(fetch_files(pinned(original), tmp_path / "home", url=root(running), **OPTIONS)) == 3


def test_a_file_that_was_changed_on_disk_is_fetched_again(original, serve, tmp_path):
    files, home = pinned(original), tmp_path / "home"
    with serve() as running:
        fetch_files(files, home, url=root(running), **OPTIONS)
        damaged = home / files[1].path
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        assert fetch_files(files, home, url=root(running), **OPTIONS) == [files[1]]


@pytest.mark.usefixtures("serve")
def test_offline_mode_names_the_missing_files_and_connects_to_nothing(original, tmp_path, monkeypatch):
    monkeypatch.setenv("ITMAPS_OFFLINE", "1")
    with pytest.raises(DataError, match=r"3 of 3 files of DATA .* offline mode forbids .* 1.csv, 2.jpg, 3.jpg"):
        fetch_files(pinned(original), tmp_path / "home", **OPTIONS)


def test_copies_are_found_by_their_content_whatever_their_names(original, tmp_path):
    files = pinned(original)
    (tmp_path / "usb" / "deep").mkdir(parents=True)
    for number, file in enumerate(files):
        (tmp_path / "usb" / "deep" / f"copy{number}").write_bytes((original / file.path).read_bytes())
    assert fetch_files(files, tmp_path / "home", source=tmp_path / "usb", **OPTIONS) == list(files)
    assert missing_files(files, tmp_path / "home") == []


def test_copies_that_are_missing_or_changed_are_named_and_the_others_kept(original, tmp_path):
    files = pinned(original)
    (original / "b" / "2.jpg").write_bytes(b"x" * files[1].size)
    (original / "b" / "3.jpg").unlink()
    with pytest.raises(
        DataError, match=r"1 files were copied .* 2 of 3 .* missing: 2.jpg, 3.jpg \(with another content .*: 2.jpg\)"
    ):
        fetch_files(files, tmp_path / "home", source=original, **OPTIONS)
    assert [file.name for file in missing_files(files, tmp_path / "home")] == ["2.jpg", "3.jpg"]


@pytest.mark.parametrize("name", ["nowhere", "original/a/1.csv"])
def test_a_source_that_is_no_folder_is_refused(original, tmp_path, name):
    with pytest.raises(DataError, match="Name the folder with the files of DATA"):
        fetch_files(pinned(original), tmp_path / "home", source=tmp_path / name, **OPTIONS)


def test_two_processes_download_each_file_once(original, serve, tmp_path):
    files, failures = pinned(original), []

    def fetch(address):
        try:
            fetch_files(files, tmp_path / "home", url=address, **OPTIONS)
        except ItMapsError as error:
            failures.append(error)

    with serve() as running:
        threads = [threading.Thread(target=fetch, args=(root(running),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (failures, len(running.asked)) == ([], 3)


def test_a_manifest_gives_the_repository_of_each_row_or_one_of_all():
    text = "repository,commit,path,size,sha256\nlab/a,1,x.csv,3,ab\nlab/b,2,x.csv,3,cd\n"
    assert [file.address() for file in read_manifest(text)] == [
        "https://raw.githubusercontent.com/lab/a/1/x.csv",
        "https://raw.githubusercontent.com/lab/b/2/x.csv",
    ]
    one = PinnedFile("lab/c", "3", "x.csv", 3, "ab")
    assert read_manifest("path,size,sha256\nx.csv,3,ab\n", "lab/c", "3") == (one,)
    assert replace(one, path="y/x.csv").name == "x.csv"
