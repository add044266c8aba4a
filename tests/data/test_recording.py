from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from brainscore_itmaps import load_recording
from brainscore_itmaps.data.grid import Grid
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.errors import DataError, UsageError


@pytest.fixture
def recording(images, rng):
    repeats = rng.uniform(0, 50, (6, 2, 4, 5, 3))
    return Recording(
        identifier="small_simulated",
        maps=repeats.mean(axis=1),
        images=images,
        grid=Grid(y=np.linspace(-8, 8, 4), x=np.linspace(-8, 8, 5), extent=16.0),
        window=(100, 250),
        subject="nobody",
        area="none",
        sites=("a", "b", "c"),
        sha256="0" * 64,
        citation="none",
        simulated=True,
        repeats=repeats,
    )


@pytest.mark.parametrize("axis", range(4))
def test_maps_that_do_not_fit_are_refused_with_both_shapes(recording, axis):
    with pytest.raises(DataError, match=r"maps have shape .* require \(6, 4, 5, 3\)"):
        replace(recording, maps=np.delete(recording.maps, 0, axis=axis))


def test_swapped_axes_are_refused(recording):
    with pytest.raises(DataError, match="maps have shape"):
        replace(recording, maps=recording.maps.transpose(0, 2, 1, 3))
    with pytest.raises(DataError, match="repeats have shape"):
        replace(recording, repeats=recording.repeats.transpose(0, 1, 3, 2, 4))


def test_repeats_of_other_maps_and_repeats_that_are_not_finite_are_refused(recording):
    infinite, incomplete, absent = (recording.repeats.copy() for _ in range(3))
    infinite[2, 1, 0, 0, 1], incomplete[2, 1, 0, 0, 1], absent[2, 1] = np.inf, np.nan, np.nan
    for repeats in (recording.repeats[::-1], infinite, absent):
        with pytest.raises(DataError, match="the mean over repeats differs from the maps"):
            replace(recording, repeats=repeats)
    with pytest.raises(DataError, match=r"1 site\(s\) have repeats with missing values at some positions \(b\), on im"):
        replace(recording, repeats=incomplete)


def test_images_with_the_same_name_are_refused(recording):
    with pytest.raises(DataError, match="several images are named image-0"):
        replace(recording, images=(recording.images[0], *recording.images[:-1]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_site_and_image(recording, value):
    maps = recording.maps.copy()
    maps[4, 1, 1, 2] = value
    with pytest.raises(DataError, match=r"1 site\(s\).*\(c\), on images \[4\]"):
        replace(recording, maps=maps)


def test_an_unknown_recording_suggests_a_similar_name():
    with pytest.raises(UsageError, match="Did you mean it_maps_simulated"):
        load_recording("it_map_simulated")


def test_images_with_equal_pixels_are_found_under_any_name_and_format(recording, images, tmp_path):
    assert recording.duplicates == ()
    again, other = tmp_path / "again.bmp", tmp_path / "other.tiff"
    Image.open(images[1]).save(again)
    Image.open(images[1]).save(other)
    assert again.read_bytes() != images[1].read_bytes()
    doubled = replace(recording, images=(*images[:3], again, images[4], other))
    assert doubled.duplicates == (("image-1", "again", "other"),)
