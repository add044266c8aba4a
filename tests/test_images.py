"""The one reader of images: what it makes of any file that a laboratory has."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from brainscore_itmaps.data.images import copy_to_brainio_home
from brainscore_itmaps.errors import DataError, ItMapsError
from brainscore_itmaps.images import read_image, unusual_features, upright_size
from brainscore_itmaps.settings import overridden

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_a_plain_image_is_read_unchanged_from_a_path_bytes_a_file_and_memory(tmp_path: Path) -> None:
    file = saved(tmp_path, Image.fromarray(PIXELS), "a.png")
    with file.open("rb") as opened:
        for source in (file, str(file), file.read_bytes(), opened, Image.fromarray(PIXELS)):
            assert np.array_equal(np.asarray(read_image(source)), PIXELS)


@pytest.mark.parametrize(
    ("tag", "turn"), [(3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p, -1)), (2, np.fliplr)]
)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_the_orientation_of_a_camera_is_applied(tmp_path: Path, tag: int, turn: object, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    lossless = {"lossless": True} if suffix == "webp" else {}
    file = saved(tmp_path, Image.fromarray(PIXELS), f"a.{suffix}", exif=exif, **lossless)
    assert np.array_equal(np.asarray(read_image(file)), turn(PIXELS))
    assert upright_size(file) == turn(PIXELS).shape[1::-1]
    assert "rotated or mirrored" in unusual_features(file)[0]


@pytest.mark.parametrize("name", ["grey.png", "grey.tiff"])
def test_16_bit_grey_keeps_its_contrast(tmp_path: Path, name: str) -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    read = np.asarray(read_image(saved(tmp_path, Image.fromarray(values), name)))
    assert np.array_equal(read, np.repeat((values // 257)[..., None], 3, axis=2))


def test_values_beyond_16_bits_are_refused_instead_of_cut_off(tmp_path: Path) -> None:
    file = saved(tmp_path, Image.fromarray(np.full((4, 4), 70_000, np.int32)), "deep.tiff")
    with pytest.raises(DataError, match=r"deep\.tiff cannot be read: its values reach .* 16 bits"):
        read_image(file)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="scene 3 cannot be read: its pixels are floating-point"):
        read_image(Image.fromarray(np.zeros((4, 4), np.float32)), "scene 3")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(PIXELS)
    source = image.convert("L").convert(mode) if mode == "PA" else image
    source = Image.fromarray(PIXELS[..., 0] * np.uint16(257)) if mode == "I;16" else source.convert(mode)
    assert (read_image(source).mode, read_image(source).size) == ("RGB", (32, 24))


def test_a_palette_with_transparency_shows_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    file = saved(tmp_path, image, "a.png", transparency=1)
    assert read_image(file).getpixel((0, 0)) == (200, 100, 50)
    assert unusual_features(file) == ("has transparent pixels, whose stored colours are used",)


def test_a_colour_profile_is_converted_to_srgb_and_that_of_srgb_changes_nothing(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = saved(tmp_path, Image.fromarray(PIXELS), "plain.png", icc_profile=srgb)
    assert np.array_equal(np.asarray(read_image(plain)), PIXELS)
    assert unusual_features(plain) == ()
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    file = saved(
        tmp_path, ImageCms.applyTransform(Image.fromarray(PIXELS), to_lab), "lab.tiff", icc_profile=lab_profile
    )
    difference = np.abs(np.asarray(read_image(file)).astype(int) - PIXELS)
    assert np.median(difference) <= 3
    assert "colour profile" in unusual_features(file)[0]


def test_an_invalid_profile_is_ignored(tmp_path: Path) -> None:
    file = saved(tmp_path, Image.fromarray(PIXELS), "a.png", icc_profile=b"no profile")
    assert np.array_equal(np.asarray(read_image(file)), PIXELS)


def huge() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


def long_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("k", "v" * 3_000_000, zip=True)
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(huge(), "too large"), (long_text(), "cannot be read"), (jpeg()[:200], "cannot be read"), (b"", "cannot be read")],
)
def test_huge_and_damaged_files_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "face.img"
    file.write_bytes(content)
    with pytest.raises(ItMapsError, match=reason) as raised:
        read_image(file)
    assert "face.img" in str(raised.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no image .*nothing\.png"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


def test_brain_score_models_are_given_the_pixels_that_this_package_reads(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = saved(tmp_path, Image.fromarray(PIXELS), "rotated.tiff", exif=exif)
    plain = saved(tmp_path, Image.fromarray(PIXELS), "plain.png")
    with overridden(brainio_home=tmp_path / "brainio"):
        copies = copy_to_brainio_home([rotated, plain], "lab")
    assert [copy.name for copy in copies] == ["rotated.png", "plain.png"]
    with Image.open(copies[0]) as opened:
        assert np.array_equal(np.asarray(opened), np.asarray(read_image(rotated)))
    assert copies[1].read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(("kind", "suffix"), [(np.uint16, "png"), (np.int32, "tiff")])
def test_8_bit_values_in_a_file_of_more_bits_are_refused_because_they_would_be_black(
    tmp_path: Path, kind: type, suffix: str
) -> None:
    file = saved(tmp_path, Image.fromarray(PIXELS[..., 0].astype(kind)), f"a.{suffix}")
    with pytest.raises(DataError, match="cannot be read: its values reach only to 255 of 65535"):
        read_image(file)
    black = saved(tmp_path, Image.fromarray(np.zeros((24, 32), kind)), f"black.{suffix}")
    assert not np.asarray(read_image(black)).any()
