"""Images with human maps from two folders: which map belongs to which image, and which maps are refused."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from brainscore_itmaps.data.human_maps import human_maps, read_map
from brainscore_itmaps.errors import DataError

MAP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def write(root, images=(), maps=()):
    for name in images:
        file = root / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (10, 20, 30)).save(file)
    for name in maps:
        file = root / "maps" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".npy":
            np.save(file, MAP)
        else:
            Image.fromarray(MAP).save(file, quality=100)
    return root


def pairs(found, root):
    return {
        str(image.relative_to(root / "images")): str(heatmap.relative_to(root / "maps"))
        for image, heatmap in zip(found.images, found.maps, strict=True)
    }


def test_a_map_belongs_to_the_image_of_the_same_path(tmp_path):
    write(tmp_path, ["cat/1.jpg", "cat/2.png", "dog/1.jpg"], ["cat/1.png", "dog/1.npy", "cat/2.jpg"])
    found = human_maps(tmp_path, classes=2)
    assert pairs(found, tmp_path) == {"cat/1.jpg": "cat/1.png", "cat/2.png": "cat/2.jpg", "dog/1.jpg": "dog/1.npy"}
    assert found.labels == (0, 0, 1)
    assert found.notes[0] == "3 of 3 images have a human map (100 %)"
    example = found.read(2)
    assert example.label == 1
    assert example.image.shape == (6, 8, 3)
    np.testing.assert_array_equal(example.heatmap, MAP)


@pytest.mark.parametrize(
    ("image", "heatmap"),
    [
        ("cat/1.jpg", "1.png"),
        ("cat/1.jpg", "all/1.png"),
        ("cat/1.jpg", "cat/1.jpg.npy"),
        ("cat/1.jpg", "1.jpg.npy"),
        ("cat/1.v2.png", "cat/1.v2.png"),
        ("Cat/A.jpg", "cat/a.png"),
        ("cat/\u00c4pfel.jpg", "cat/A\u0308pfel.png"),
        ("cafe\u0301/1.jpg", "caf\u00e9/1.png"),
    ],
)
def test_names_match_without_ending_folder_case_or_unicode_form(tmp_path, image, heatmap):
    write(tmp_path, [image, "dog/other.jpg"], [heatmap])
    found = human_maps(tmp_path, classes=2)
    assert [file.name for file in found.maps] == [heatmap.split("/")[-1]]
    assert unicodedata.normalize("NFC", str(found.images[0])).endswith(unicodedata.normalize("NFC", image))
    assert found.notes[0] == "1 of 2 images have a human map (50 %); the others are left out"


@pytest.mark.parametrize(
    ("images", "maps", "message"),
    [
        (["cat/1.jpg", "dog/1.jpg"], ["1.png"], r"several images match 1\.png \(cat/1\.jpg, dog/1\.jpg\)"),
        (["cat/1.jpg", "cat/1.png"], ["cat/1.npy"], r"several images match cat/1\.npy"),
        (["cat/1.jpg"], ["cat/1.png", "cat/1.npy"], r"two maps match the same image: cat/1\.npy and cat/1\.png"),
        (["cat/1.jpg"], ["cat/1.png", "cat/9.png"], r"1 of 2 maps .* have no image .*: cat/9\.png\. An image there is"),
        (["cat/1.jpg"], [], "no folder .* of human maps|not a folder of images with human maps"),
    ],
)
def test_maps_without_exactly_one_image_are_refused_by_name(tmp_path, images, maps, message):
    write(tmp_path, images, maps)
    with pytest.raises(DataError, match=message):
        human_maps(tmp_path, classes=len({name.split("/")[0] for name in images}))


def test_folders_elsewhere_hidden_files_and_maps_of_another_aspect_ratio_are_stated(tmp_path):
    write(tmp_path, ["cat/1.jpg", "cat/2.jpg"], ["cat/1.png", ".ipynb_checkpoints/9.png", "cat/2.npy"])
    np.save(tmp_path / "maps" / "cat" / "2.npy", np.eye(40, 10))
    (tmp_path / "maps" / "readme.txt").touch()
    found = human_maps(tmp_path / "images", tmp_path / "maps", classes=1)
    assert found.notes[1:3] == (
        "1 maps have another aspect ratio than their image and are stretched over it",
        f"1 files in {tmp_path / 'maps'} that are not maps are left out",
    )
    with pytest.raises(DataError, match="folder of the images and of the maps"):
        human_maps(tmp_path / "images", tmp_path / "images", classes=1)
    with pytest.raises(DataError, match="There is no folder"):
        human_maps(tmp_path / "images", tmp_path / "none", classes=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((5, 5), 3.0), "is constant"),
        (np.array([[0.0, np.nan], [1, 2]]), "not finite"),
        (np.array([[0.0, -1.0], [1, 2]]), "negative values"),
        (np.arange(5.0), r"shape \(5,\)"),
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\)"),
        (np.array([["a", "b"], ["c", "d"]]), "type <U1"),
        (np.array([[1j, 2], [3, 4]]), "type complex128"),
        (np.array([[{}, 1], [2, 3]], dtype=object), "cannot be read as a NumPy array"),
    ],
)
def test_arrays_that_are_no_maps_are_refused_by_name(tmp_path, values, message):
    np.save(tmp_path / "m.npy", values, allow_pickle=True)
    with pytest.raises(DataError, match=rf"m\.npy .*{message}"):
        read_map(tmp_path / "m.npy")


def test_images_that_are_no_maps_are_refused_by_name(tmp_path):
    Image.new("L", (8, 8), 5).save(tmp_path / "constant.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / "jet.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "archive.npy").write_bytes(b"no array")
    for name, message in [
        ("constant.png", "is constant"),
        ("jet.png", "coloured image"),
        ("broken.png", "cannot be read"),
        ("archive.npy", "cannot be read as a NumPy array"),
        ("absent.npy", "cannot be read as a NumPy array"),
    ]:
        with pytest.raises(DataError, match=rf"{name} .*{message}"):
            read_map(tmp_path / name)


def test_a_channel_of_one_and_grey_saved_as_colour_are_maps(tmp_path):
    np.save(tmp_path / "m.npy", MAP[..., None].astype(bool))
    assert read_map(tmp_path / "m.npy").shape == (3, 4)
    Image.fromarray(MAP).convert("RGB").save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_map(tmp_path / "m.png"), MAP)


def test_all_unusable_files_are_found_before_the_training(tmp_path):
    write(tmp_path, ["cat/1.jpg", "cat/2.jpg", "cat/3.jpg"], ["cat/1.png", "cat/2.png", "cat/3.png"])
    Image.new("L", (8, 8)).save(tmp_path / "maps" / "cat" / "1.png")
    (tmp_path / "images" / "cat" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"2 images or maps cannot be used\. .*1\.png is constant.*3\.jpg cannot be read"
    ):
        human_maps(tmp_path, classes=1)


def test_linked_folders_are_followed_for_images_and_maps(tmp_path):
    write(tmp_path / "disk", ["cat/1.jpg"], ["cat/1.png"])
    for name in ("images", "maps"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "cat").symlink_to(tmp_path / "disk" / name / "cat")
    assert len(human_maps(tmp_path / "mine", classes=1)) == 1


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, ["cat/1.jpg"], ["cat/1.png"])

    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", forbidden)
    with pytest.raises(DataError, match="cat cannot be read: Permission denied"):
        human_maps(tmp_path, classes=1)
