"""The orientation of the maps beside the published figure, on made-up maps with planted peaks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from like_real import bump, image_files, planted_maps, recording_like
from scipy.io import savemat

from brainscore_itmaps.data.grid import ORIENTATIONS, orient_maps, unorient_maps
from brainscore_itmaps.reporting.verify_page import MarkedImage, orientation_fits_figure
from brainscore_itmaps.study import verify_orientation
from brainscore_itmaps.study.verify import verify
from brainscore_itmaps.study.verify_orientation import (
    MARGIN,
    chance_of_peaks,
    chance_of_turned_maps,
    check_orientation,
    nearest_images,
)
from brainscore_itmaps.study.verify_report import orientation_sentences


@pytest.fixture
def response_maps(own_home, tmp_path):
    """Write a file of response maps, without the mark of a simulation, in which maps are stored in an orientation."""

    def write(stored, **options):
        raw = unorient_maps(planted_maps(**options)[..., None], stored)[..., 0].transpose(1, 2, 0)
        pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3, raw.shape[-1]), dtype=np.uint8)
        file = tmp_path / f"{stored}.mat"
        savemat(file, {"MLcurr_data": raw, "PLcurr_data": raw, "Expimages": pixels})
        return file

    return write


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_exactly_the_orientation_in_which_maps_are_stored_is_found(response_maps, stored):
    file = response_maps(stored)
    ml, pl = verify(source=file).orientations
    assert [fit.orientation for fit in ml.fits if fit.fits] == [stored]
    assert (ml.array, ml.used) == ("monkey1_ML", "flip_y")
    found = next(fit for fit in ml.fits if fit.orientation == stored)
    assert (found.images, found.distances) == ((3, 8), (0.0, 0.0))
    assert ml.verdict == ("agrees" if stored == "flip_y" else "differs")
    command = f"brainscore data orient monkey1_ML --choose {stored} --source {file}"
    assert ml.command == ("" if stored == "flip_y" else command)
    assert (pl.array, pl.verdict, pl.command) == ("monkey1_PL", "", "")


@pytest.mark.parametrize(
    ("share", "advice"), [(0.11, "look at the maps over the images first, then"), (0.1, "to change it")]
)
def test_a_verdict_that_random_maps_often_have_sends_to_the_maps_before_the_command(
    response_maps, monkeypatch, share, advice
):
    monkeypatch.setattr(verify_orientation, "chance_of_peaks", lambda *given: (0.5, 0.0))
    monkeypatch.setattr(verify_orientation, "chance_of_turned_maps", lambda *given: (0.5, share))
    said = orientation_sentences(verify(source=response_maps("transpose")))[0]
    assert f"; {advice}: brainscore data orient monkey1_ML --choose transpose" in said


def test_response_maps_get_the_checks_that_apply_and_a_sentence_about_the_others(response_maps):
    verification = verify(source=response_maps("flip_y", images=10))
    assert {(check.what, check.found, check.agrees) for check in verification.checks} == {
        ("grid", "17 x 17", True),
        ("images", "unique", True),
    }
    assert verification.numbers == ()
    assert "no noise ceilings, and no scores of models" in verification.notes[0]
    assert "monkey2_ML is not in this file." in verification.notes


def test_a_single_response_map_has_no_orientation_to_check(own_home, tmp_path):
    file = tmp_path / "one.mat"
    savemat(file, {"MLcurr_data": planted_maps()[3][:, :, None], "Expimages": np.zeros((9, 9, 3, 1), np.uint8)})
    verification = verify(source=file)
    assert verification.orientations == ()
    assert "The orientation is not checked: the published figure shows two images." in verification.notes


def test_images_of_the_figure_have_their_number_and_their_name(tmp_path):
    recording = recording_like("monkey1_ML", image_files(tmp_path))
    marked = [MarkedImage(3, (5, 12), (5, 12)), MarkedImage(8, (3, 13), (3, 13))]
    drawn = orientation_fits_figure(recording, {"flip_y": marked}).axes
    first, second = (" ".join(axis.get_title().split()) for axis in drawn if axis.get_title())  # bars have none
    names = [recording.names[image].rsplit("-", 1)[-1] for image in (3, 8)]
    assert first.endswith(f" image 4, named {names[0]}")
    assert second == f"image 9, named {names[1]}"


@pytest.mark.parametrize(
    ("cells", "fits"),
    [
        ({3: (6, 13), 8: (3, 13)}, True),  # 1.41 positions from 5, 12
        ({3: (5, 14), 8: (3, 13)}, False),  # 2
        ({3: (5, 12), 8: (2, 12)}, True),
        ({3: (5, 12), 8: (3, 15)}, False),
        ({8: (4, 12)}, False),  # one image near both
    ],
)
def test_two_images_must_have_their_peaks_within_the_tolerance(cells, fits):
    assert nearest_images(planted_maps(cells=cells)).fits is fits


@pytest.mark.parametrize(
    ("share", "fits"), [(MARGIN + 0.01, True), (MARGIN - 0.01, False), (0.0, False), (-0.5, False)]
)
def test_the_second_face_decides_between_two_orientations_with_the_same_peaks(share, fits):
    maps = np.array([bump((5, 12)), bump((3, 13))])
    low, high = (slice(12, 15), slice(11, 14)), (slice(3, 6), slice(2, 5))
    maps[1][low] = maps[1][high] = 0.5
    maps[1][high] += share
    found = nearest_images(maps)
    assert found.second_face == pytest.approx(share)
    assert found.fits is fits


def test_maps_without_a_second_face_decide_nothing():
    maps = planted_maps(second_face=0.0)[..., None]
    assert check_orientation("monkey1_ML", _like(maps)).verdict == "undecided"


def test_noise_constant_and_missing_values_never_agree(rng):
    empty = [np.full((14, 17, 17), value) for value in (0.0, np.nan, np.inf)]
    for maps in empty:
        assert nearest_images(maps).fits is False
    mixed = planted_maps()
    mixed[3, 0, 0] = np.nan
    assert nearest_images(mixed).fits is False
    verdicts = [check_orientation("monkey1_ML", _like(rng.normal(size=(14, 17, 17, 1)))).verdict for _ in range(20)]
    assert verdicts.count("agrees") <= 3


def _like(maps, simulated=False):
    return SimpleNamespace(maps=maps, orientation="flip_both", simulated=simulated)


def test_a_stand_in_has_no_verdict_and_no_fit():
    check = check_orientation("monkey1_ML", _like(planted_maps()[..., None], simulated=True))
    assert (check.verdict, check.command, check.chance) == ("", "", {})
    assert {fit.fits for fit in check.fits} == {None}
    assert [fit.distances for fit in check.fits if fit.orientation == "flip_both"] == [(0.0, 0.0)]


def verdict_of_peaks(peaks, faces):
    """The verdict on maps with one peak each, in the slow way; ``faces`` says which mirrored orientation has a face."""
    fitting = []
    for name in ORIENTATIONS:
        maps = np.zeros((len(peaks), 17, 17))
        for image, (row, column) in enumerate(peaks):
            maps[image, row, column] = 1.0
        oriented = orient_maps(maps[..., None], name)[..., 0]
        cells = [np.unravel_index(one.argmax(), one.shape) for one in oriented]
        first = {i for i, cell in enumerate(cells) if np.hypot(cell[0] - 5, cell[1] - 12) <= 1.5}
        second = {i for i, cell in enumerate(cells) if np.hypot(cell[0] - 3, cell[1] - 13) <= 1.5 and faces[name][i]}
        if any(a != b for a in first for b in second):
            fitting.append(name)
    return "undecided" if len(fitting) != 1 else "agrees" if fitting == ["flip_both"] else "differs"


def test_shares_of_verdicts_on_random_peaks_are_those_of_a_plain_simulation(rng):
    mirrored = {"as_stored": "transpose_flip_both", "flip_y": "transpose_flip_y", "flip_x": "transpose_flip_x",
                "flip_both": "transpose"}  # fmt: skip
    verdicts = []
    for _ in range(1500):
        faces = {name: rng.random(14) < 0.5 for name in mirrored}
        faces |= {other: ~faces[name] for name, other in mirrored.items()}
        verdicts.append(verdict_of_peaks(rng.integers(0, 17, (14, 2)), faces))
    agree, differ = chance_of_peaks(14, "flip_both")
    assert verdicts.count("agrees") / 1500 == pytest.approx(agree, abs=0.02)  # four standard errors
    assert verdicts.count("differs") / 1500 == pytest.approx(differ, abs=0.05)
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")
    assert f"up to {100 * agree:.1f} % agree and up to {100 * differ:.0f} % differ" in " ".join(page.split())
    assert chance_of_peaks(14, "flip_both", spread=1.0) == (0.0, 0.0)  # peaks at the centre fit nothing


@pytest.mark.parametrize("fitting", ORIENTATIONS)
def test_shares_are_those_of_the_used_orientation(fitting):
    near = np.zeros((len(ORIENTATIONS), 2, 1, 14), bool)  # one draw, in which one orientation fits
    near[list(ORIENTATIONS).index(fitting), [0, 1], 0, [3, 8]] = True
    for used in ORIENTATIONS:
        assert verify_orientation._shares(near, used) == ((1.0, 0.0) if used == fitting else (0.0, 1.0))


@pytest.mark.parametrize("stored", ["as_stored", "flip_both"])
def test_the_chances_of_response_maps_are_those_of_the_orientation_in_which_they_are_read(
    response_maps, monkeypatch, stored
):
    asked = []
    shares = verify_orientation._shares
    monkeypatch.setattr(verify_orientation, "_shares", lambda near, used: asked.append(used) or shares(near, used))
    verify(source=response_maps(stored))
    assert set(asked) == {"flip_y"}


def test_shares_of_verdicts_on_turned_maps_are_those_of_maps_that_are_turned():
    maps = planted_maps()[..., None]
    oriented = {name: orient_maps(maps, name)[..., 0] for name in ORIENTATIONS}
    rng, names, verdicts = np.random.default_rng(3), list(ORIENTATIONS), []
    for _ in range(150):
        turned = np.concatenate([orient_maps(one[None], names[rng.integers(8)]) for one in maps])
        fitting = [name for name in names if nearest_images(orient_maps(turned, name)[..., 0]).fits]
        verdicts.append("undecided" if len(fitting) != 1 else "agrees" if fitting == ["flip_both"] else "differs")
    agree, differ = chance_of_turned_maps(oriented, "flip_both")
    assert verdicts.count("agrees") / 150 == pytest.approx(agree, abs=0.08)
    assert verdicts.count("differs") / 150 == pytest.approx(differ, abs=0.16)
