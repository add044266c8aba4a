"""`brainscore data fetch clickme`, as somebody types it."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from answers import assert_refused, succeeded
from local_server import send, server
from shards import write_shard

from brainscore_itmaps.data.clickme_shards import clickme_files

pytestmark = pytest.mark.usefixtures("own_home")


def test_a_split_is_brought_from_a_folder(tmp_path):
    for number in range(18):
        write_shard(tmp_path / "usb" / f"val-{number}.tfrecords", 1, seed=number)
    done = succeeded("data", "fetch", "clickme", "--split", "val", "--from", tmp_path / "usb")
    assert "18 shards, 18 images" in done.stdout
    assert "no licence is stated" in done.stdout
    assert "clickme-val.lock.json" in done.stdout
    assert len(clickme_files("val")) == 18


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["clickme"], 2, "Give --split val"),
        (["clickme", "--split", "test"], 2, "'train', 'val'"),
        (["clickme", "--split", "val", "--sha256", "0" * 64], 2, "no SHA-256 is published"),
        (["--split", "val"], 2, "--split applies only to ClickMe"),
        (["clickmee"], 2, "'clickme'"),
        (["clickme", "--split", "val", "--from", "nowhere"], 3, "nowhere has none of the missing shards"),
        (["clickme", "--split", "val", "--offline"], 3, "val-0.tfrecords to val-17.tfrecords"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(arguments, code, said):
    assert_refused(code, said, "data", "fetch", *arguments, COLUMNS="200", NO_COLOR="1")


@pytest.mark.enable_socket
def test_control_c_leaves_the_shards_that_are_here(own_home, tmp_path):
    shard = write_shard(tmp_path / "val-0.tfrecords", 1).read_bytes()
    arrived, stop = threading.Event(), threading.Event()

    def answer(handler, number):
        if handler.path.endswith("val-0.tfrecords"):
            send(handler, shard)
            return
        send(handler, shard[:1000], length=len(shard))
        arrived.set()
        stop.wait(30)

    with server(answer) as running:
        address = running.url.rpartition("/")[0]
        process = subprocess.Popen(
            [sys.executable, "-m", "brainscore_itmaps", "data", "fetch", "clickme", "--split", "val", "--url", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert arrived.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        stop.set()
    assert process.returncode == 130
    assert errors.strip() == "interrupted; run the same command again to resume."
    home = own_home.parent / "clickme"
    assert [file.name for file in (home / "val").iterdir() if file.name != ".lock"] == ["val-0.tfrecords"]
    assert list(json.loads((home / "clickme-val.lock.json").read_text())["shards"]) == ["val-0.tfrecords"]
