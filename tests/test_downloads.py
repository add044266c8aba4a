"""Downloads from a local server that breaks connections, returns wrong files, redirects and stalls."""

import threading
from hashlib import sha256

import pytest
from local_server import CONTENT, send, server

from brainscore_itmaps import downloads
from brainscore_itmaps.downloads import download
from brainscore_itmaps.errors import DataError, InstallationError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


def test_a_file_is_downloaded_completely_and_progress_is_reported(tmp_path):
    steps = []
    with server(lambda handler, number: send(handler)) as running:
        path = download(running.url, tmp_path / "file.zip", progress=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["file.zip"]
    assert len(running.asked) == 1
    assert steps[-1] == ("downloading file.zip (MB)", 0, 0)
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_connection_that_breaks_twice_is_retried(tmp_path):
    def answer(handler, number):
        send(handler, CONTENT[: int(len(CONTENT) * 0.6)] if number < 3 else CONTENT, length=len(CONTENT))
        if number < 3:
            handler.close_connection = True

    with server(answer) as running:
        assert download(running.url, tmp_path / "file.zip").read_bytes() == CONTENT
    assert len(running.asked) == 3


def test_a_connection_that_always_breaks_is_an_error_with_address_and_bytes(tmp_path):
    with (
        server(lambda handler, number: send(handler, CONTENT[:300_000], length=len(CONTENT))) as running,
        pytest.raises(InstallationError) as failed,
    ):
        download(running.url, tmp_path / "file.zip")
    assert running.url in str(failed.value)
    assert f"of {len(CONTENT)} bytes" in str(failed.value)
    assert len(running.asked) == downloads.TRIES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_file_missing_on_the_server_is_an_error(tmp_path, status):
    with (
        server(lambda handler, number: send(handler, b"<html>sorry</html>", status)) as running,
        pytest.raises(DataError, match=f"{running.url} cannot be downloaded: {status}"),
    ):
        download(running.url, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_another_hash_is_refused_and_removed(tmp_path):
    page = b"<!DOCTYPE html><title>Please log in</title>"
    with (
        server(lambda handler, number: send(handler, page)) as running,
        pytest.raises(DataError, match=r"returned a different file: .*SHA256.*yourself"),
    ):
        download(running.url, tmp_path / "file.zip", sha256=sha256(CONTENT).hexdigest())
    assert list(tmp_path.iterdir()) == []


def test_a_bit_that_flips_once_is_detected_and_the_download_retried(tmp_path):
    flipped = CONTENT[:9] + b"?" + CONTENT[10:]
    with server(lambda handler, number: send(handler, flipped if number == 1 else CONTENT)) as running:
        download(running.url, tmp_path / "file.zip", sha256=sha256(CONTENT).hexdigest())
    assert (tmp_path / "file.zip").read_bytes() == CONTENT
    assert len(running.asked) == 2


def test_redirections_are_followed_but_not_forever(tmp_path):
    def answer(handler, number):
        if handler.path == "/file.zip":
            send(handler, b"", 302, Location="/elsewhere.zip")
        elif handler.path == "/round":
            send(handler, b"", 302, Location="/round")
        else:
            send(handler)

    with server(answer) as running:
        assert download(running.url, tmp_path / "file.zip").read_bytes() == CONTENT
        with pytest.raises(InstallationError, match="redirects"):
            download(running.url.replace("file.zip", "round"), tmp_path / "other.zip")


def test_a_stalled_server_is_an_error(tmp_path):
    stop = threading.Event()

    def answer(handler, number):
        send(handler, CONTENT[:1000], length=len(CONTENT))
        stop.wait(20)

    with server(answer) as running, pytest.raises(InstallationError, match="timed out"):
        download(running.url, tmp_path / "file.zip", timeout=0.2)
    stop.set()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_server_is_an_error(tmp_path):
    with server(lambda handler, number: send(handler)) as running:
        url = running.url
    with pytest.raises(InstallationError, match="could not be downloaded"):
        download(url, tmp_path / "file.zip")


def test_an_endless_file_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 10**6)

    def answer(handler, number):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(CONTENT)
        except OSError:
            pass

    with server(answer) as running, pytest.raises(DataError, match="larger than 1000000 bytes"):
        download(running.url, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".writing-abcd").mkdir()
    (tmp_path / ".writing-abcd" / "tmp123").write_bytes(b"part")
    with server(lambda handler, number: send(handler)) as running:
        download(running.url, tmp_path / "file.zip")
    assert [file.name for file in tmp_path.iterdir()] == ["file.zip"]
