"""ClickMe's images and maps compared with the published code, and the download of its shards."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
from local_server import send, server
from published import GOLDEN, golden
from shards import jpeg, write_example, write_records, write_shard

from brainscore_itmaps import pinned
from brainscore_itmaps.data import clickme_shards
from brainscore_itmaps.data.clickme import as_heatmap, as_image, blurred, read_clickme, resized
from brainscore_itmaps.data.clickme_shards import clickme_files, fetch_clickme, shard_names
from brainscore_itmaps.errors import DataError, InstallationError, UsageError
from brainscore_itmaps.protocol import PUBLISHED

GREY = jpeg(np.arange(4096, dtype=np.uint8).reshape(64, 64))


def of_another_size(image, side):
    """Return a JPEG with a declared side in pixels."""
    offset = image.index(b"\xff\xc0") + 5
    return image[:offset] + side.to_bytes(2, "big") * 2 + image[offset + 4 :]


def test_the_published_blur_and_its_shift():
    stored = golden("clickme_blur")
    for heatmap, expected, small in zip(stored["hm_in"], stored["hm_out"], stored["hm_out_k5_2"], strict=True):
        heatmap = heatmap[..., 0].astype(np.float32)
        np.testing.assert_allclose(blurred(heatmap, blur="published"), expected[..., 0], rtol=0, atol=1e-4)
        for blur in ("published", "centred"):  # an odd number of points moves nothing in either
            np.testing.assert_allclose(blurred(heatmap, 5, 2.0, blur=blur), small[..., 0], rtol=0, atol=1e-4)
    impulse = blurred(stored["impulse_in"][..., 0], blur="published")
    np.testing.assert_allclose(impulse, stored["impulse_out"], rtol=0, atol=1e-7)


def test_the_default_blur_does_not_shift_maps_and_has_the_published_width():
    impulse = np.zeros((64, 64), np.float32)
    impulse[30, 21] = 1
    moved, widths = {}, {}
    places = np.arange(64)
    for blur in ("published", "centred"):
        blur_kernel = blurred(impulse, blur=blur)
        assert blur_kernel.sum() == pytest.approx(1, abs=1e-6)
        sums = blur_kernel.sum(axis=1), blur_kernel.sum(axis=0)
        middle = np.array([(places * line).sum() for line in sums])
        widths[blur] = [np.sqrt(((places - m) ** 2 * line).sum()) for m, line in zip(middle, sums, strict=True)]
        moved[blur] = middle - (30, 21)
    np.testing.assert_allclose(moved["centred"], 0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(moved["published"], (-0.46, -0.54), atol=0.001)
    np.testing.assert_allclose(widths["centred"], widths["published"], rtol=0.02)


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T])
def test_rotating_a_map_before_or_after_the_blur_is_the_same_except_at_the_borders(rng, turn):
    """No step shifts a map, except the published blur."""
    decoded = rng.integers(0, 256, (16, 16), dtype=np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    turned = np.ascontiguousarray(turn(decoded))
    np.testing.assert_allclose(as_heatmap(turned), turn(as_heatmap(decoded)), rtol=0, atol=1e-3)
    published = turn(as_heatmap(decoded, PUBLISHED))
    assert np.abs(as_heatmap(turned, PUBLISHED) - published).max() > 1


def test_decoded_images_and_maps_become_the_published_ones():
    stored = golden("clickme_parse")
    np.testing.assert_allclose(as_image(stored["decoded_image_0"])[::8, ::8], stored["image_sub"][0], atol=1e-4)
    first = stored["decoded_heatmap"][0]
    np.testing.assert_allclose(resized(first.astype(np.float32), 64), stored["heatmap0_64"][..., 0], atol=1e-4)
    for decoded, expected in zip(stored["decoded_heatmap"], stored["heatmap_sub"], strict=True):
        heatmap = as_heatmap(decoded, PUBLISHED)
        assert heatmap.shape == (224, 224)
        np.testing.assert_allclose(heatmap[::8, ::8], expected[..., 0], rtol=0, atol=1e-4)
        assert np.abs(as_heatmap(decoded) - heatmap).max() > 0.5


def test_records_give_image_map_and_label():
    """Pillow decodes JPEGs more accurately than TensorFlow by default: values differ by up to 16."""
    stored = golden("clickme_parse")
    examples = list(read_clickme([GOLDEN / "clickme_synth.tfrecords"], protocol="published"))
    assert [example.label for example in examples] == stored["labels"].tolist()
    for example, image, heatmap in zip(examples, stored["image_sub"], stored["heatmap_sub"], strict=True):
        assert example.image.dtype == example.heatmap.dtype == np.float32
        assert np.abs(example.image[::8, ::8] - image).max() < 16
        np.testing.assert_allclose(example.heatmap[::8, ::8], heatmap[..., 0], rtol=0, atol=0.7)


@pytest.mark.parametrize(
    "values",
    [
        {"image": [b"no jpeg"], "heatmap": [b"no"], "label": [1]},
        {"image": [jpeg(np.zeros((8, 8, 3), np.uint8))], "label": [1]},
        {"image": [b""], "heatmap": [b""], "label": [1.5]},
        {"image": [GREY], "heatmap": [GREY], "label": [-1]},
        {"image": [GREY], "heatmap": [GREY[:-40]], "label": [1]},
        {"image": [GREY], "heatmap": [of_another_size(GREY, 65535)], "label": [1]},
        {"image": [of_another_size(GREY, 5000)], "heatmap": [GREY], "label": [1]},
    ],
)
def test_records_of_other_content_are_refused(tmp_path, values):
    write_records(tmp_path / "a.tfrecords", [write_example(values)])
    with pytest.raises(DataError, match=r"a\.tfrecords: the record at byte 0 is not a ClickMe record"):
        list(read_clickme([tmp_path / "a.tfrecords"]))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\xff\xff hello", r"is not a tf\.train\.Example"),
        (write_example({"image/encoded": [b"x"], "label": [1]}), "no feature 'image', but 'image/encoded', 'label'"),
        (write_example({"image": [GREY], "heatmap": [1.5], "label": [1]}), "feature 'heatmap' is not one JPEG image"),
        (write_example({"image": [GREY, GREY], "heatmap": [GREY], "label": [1]}), "feature 'image' is not one JPEG"),
        (write_example({"image": [GREY], "heatmap": [GREY], "label": [b"cat"]}), "'label' is not one whole number"),
        (write_example({"image": [b"\x89PNG"], "heatmap": [GREY], "label": [1]}), "'image' is not a JPEG image"),
        (write_example({"image": [GREY[:-40]], "heatmap": [GREY], "label": [1]}), "The image in it cannot be read"),
    ],
)
def test_a_record_of_something_else_is_named_with_its_cause(tmp_path, record, message):
    write_records(tmp_path / "other.tfrecords", [record])
    with pytest.raises(DataError, match=rf"other\.tfrecords: the record at byte 0 .*{message}"):
        list(read_clickme([tmp_path / "other.tfrecords"]))


def test_an_empty_shard_is_named(tmp_path):
    write_shard(tmp_path / "a.tfrecords", 1)
    (tmp_path / "empty.tfrecords").touch()
    with pytest.raises(DataError, match=r"empty\.tfrecords contains no images with human maps: it is empty"):
        list(read_clickme([tmp_path / "a.tfrecords", tmp_path / "empty.tfrecords"]))


def test_the_last_shard_of_each_split_is_included():
    assert shard_names("val")[-1] == "val-17.tfrecords"
    assert shard_names("train")[-1] == "train-318.tfrecords"
    with pytest.raises(UsageError, match="Did you mean val"):
        shard_names("vall")


@pytest.fixture
def served(tmp_path, monkeypatch, own_home):
    """Serve three small shards at an address that records requests."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setitem(clickme_shards.SPLITS, "val", 3)
    for number in range(3):
        write_shard(tmp_path / "val" / f"val-{number}.tfrecords", 2, seed=number)

    def answer(handler, number):
        name = handler.path.rpartition("/")[2]
        file = tmp_path / "val" / name
        send(handler, file.read_bytes() if file.exists() else b"", 200 if file.exists() else 404)

    with server(answer) as running:
        yield tmp_path / "val", running.url.rpartition("/")[0], running.asked


@pytest.mark.enable_socket
def test_shards_are_downloaded_once_and_recorded_and_a_download_resumes(served):
    folder, address, requests = served
    last = (folder / "val-2.tfrecords").rename(folder / "gone")
    with pytest.raises(DataError, match=r"val-2\.tfrecords cannot be downloaded"):
        fetch_clickme("val", url=address)
    with pytest.raises(DataError, match=r"1 of 3 shards .*val-2\.tfrecords.*brainscore data fetch clickme --split val"):
        clickme_files("val")
    last.rename(folder / "val-2.tfrecords")
    requests.clear()
    downloaded = fetch_clickme("val", url=address)
    assert set(requests) == {"/val/val-2.tfrecords"}
    assert (len(downloaded.files), downloaded.records) == (3, 6)
    assert len(list(read_clickme(clickme_files("val")))) == 6
    recorded = json.loads(downloaded.lock.read_text())["shards"]["val-1.tfrecords"]
    assert recorded["records"] == 2
    assert recorded["from"] == f"{address}/val/val-1.tfrecords"


@pytest.mark.enable_socket
def test_damaged_and_different_shards_are_refused(served):
    folder, address, _ = served
    content = (folder / "val-1.tfrecords").read_bytes()
    (folder / "val-1.tfrecords").write_bytes(content[:-7])
    with pytest.raises(DataError, match=r"/val/val-1\.tfrecords is not accepted: it is .* damaged: record 1 at byte"):
        fetch_clickme("val", url=address)
    (folder / "val-1.tfrecords").write_bytes(content)
    downloaded = fetch_clickme("val", url=address)
    downloaded.files[1].unlink()
    write_shard(folder / "val-1.tfrecords", 2, seed=99)
    with pytest.raises(DataError, match="returned a different file"):
        fetch_clickme("val", url=address)
    with pytest.raises(DataError, match=r"not accepted: it is not the expected file: .* the recorded sha256 is"):
        fetch_clickme("val", folder=folder)
    (folder / "val-1.tfrecords").write_bytes(content)
    assert fetch_clickme("val", folder=folder).files == downloaded.files
    write_shard(downloaded.files[0], 2, seed=98)  # in order, and another one
    for ask in (lambda: fetch_clickme("val", folder=folder), lambda: clickme_files("val")):
        with pytest.raises(DataError, match=r"val-0\.tfrecords is not the expected file.*Delete it"):
            ask()
    assert not list(downloaded.folder.glob(".candidate-*"))


def test_a_full_disk_keeps_downloaded_shards(tmp_path, monkeypatch, own_home):
    monkeypatch.setitem(clickme_shards.SPLITS, "val", 2)
    for number in range(2):
        write_shard(tmp_path / f"val-{number}.tfrecords", 1, seed=number)
    copy = shutil.copyfile

    def full(source, target):
        copy(source, target)
        if source.name == "val-1.tfrecords":
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as small:
        small.setattr("shutil.copyfile", full)
        with pytest.raises(InstallationError, match=r"val-1\.tfrecords: No space left on device"):
            fetch_clickme("val", folder=tmp_path)
    assert [file.name for file in (own_home.parent / "clickme" / "val").glob("val-*")] == ["val-0.tfrecords"]
    (tmp_path / "val-0.tfrecords").unlink()
    assert fetch_clickme("val", folder=tmp_path).records == 2


def test_a_shard_with_another_modification_time_is_unchanged(tmp_path, monkeypatch, own_home):
    monkeypatch.setitem(clickme_shards.SPLITS, "val", 1)
    write_shard(tmp_path / "val-0.tfrecords", 1)
    downloaded = fetch_clickme("val", folder=tmp_path)
    os.utime(downloaded.files[0], (1, 1))
    assert clickme_files("val") == downloaded.files
    fetch_clickme("val", offline=True)
    assert json.loads(downloaded.lock.read_text())["shards"]["val-0.tfrecords"]["changed"] == 10**9
    monkeypatch.setattr(pinned, "hash_of", lambda file: pytest.fail("hashed again"))
    assert clickme_files("val") == downloaded.files


def test_offline_mode_names_missing_shards_and_copies_from_a_folder(tmp_path, monkeypatch, own_home):
    monkeypatch.setitem(clickme_shards.SPLITS, "val", 4)
    home = own_home.parent / "clickme" / "val"
    with pytest.raises(DataError, match=r"4 of 4 .*offline mode forbids .*: val-0\.tfrecords to val-3\."):
        fetch_clickme("val", offline=True)
    for number in (0, 1):
        write_shard(tmp_path / "usb" / f"val-{number}.tfrecords", 1, seed=number)
    with pytest.raises(DataError, match=r"2 shards were copied .* 2 of 4 are still missing: val-2\.tfrecords to val-3"):
        fetch_clickme("val", folder=tmp_path / "usb", offline=True)
    with pytest.raises(DataError, match="has none of the missing shards: val-2"):
        fetch_clickme("val", folder=tmp_path / "usb")
    write_shard(home / "val-3.tfrecords", 1, seed=3)  # copied by the user
    with pytest.raises(DataError, match=r"1 of 4 .*: val-2\.tfrecords\. Download them from https://storage"):
        fetch_clickme("val", offline=True)
    write_shard(home / "val-2.tfrecords", 1, seed=2)
    assert fetch_clickme("val", offline=True).records == 4
    assert len(clickme_files("val")) == 4
