import importlib.metadata
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from brainscore_itmaps import load_recording, predict_left_out
from brainscore_itmaps.data import simulated
from brainscore_itmaps.data.simulated import EDGES, EMBEDDED, Simulation, noise_free_drive, simulate, time_course
from brainscore_itmaps.errors import DataError
from brainscore_itmaps.metrics.ceiling import split_half_ceiling
from brainscore_itmaps.metrics.predictivity import over_sites, site_correlation


@pytest.fixture(scope="module")
def recording():
    return load_recording("it_maps_simulated")


def test_the_included_recording_equals_the_seeded_simulation():
    made, embedded = simulate(seed=0), Simulation.load(EMBEDDED)
    for name in Simulation.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(made, name), getattr(embedded, name), err_msg=name)
    assert not np.array_equal(simulate(seed=1).counts, embedded.counts)


def test_files_and_fields_state_that_the_recording_is_simulated(recording, tmp_path):
    assert recording.simulated
    for text in (recording.identifier, recording.subject, recording.area, recording.citation, *recording.sites):
        assert "simulated" in text.lower()
    with np.load(simulate().save(tmp_path / "again.npz"), allow_pickle=False) as stored:
        assert stored["SIMULATED"]


def test_maps_are_the_mean_rate_over_window_and_repeats(recording):
    counts = Simulation.load(EMBEDDED).counts
    expected = counts[..., 2:5].astype(float).sum(axis=-1).mean(axis=1) / 0.150
    np.testing.assert_allclose(recording.maps, expected)
    np.testing.assert_allclose(recording.repeats.mean(axis=1), recording.maps)
    early = load_recording("it_maps_simulated", window=(0, 50))
    np.testing.assert_allclose(early.maps, counts[..., 0].mean(axis=1) / 0.050)


def test_another_seed_has_another_name(tmp_path):
    other = simulated.load_simulated(source=simulate(seed=4).save(tmp_path / "other.npz"))
    assert other.identifier == "it_maps_simulated-seed4"


@pytest.mark.parametrize("window", [(100, 400), (-50, 100), (100, 100), (200, 100), (90, 130)])
def test_a_window_outside_the_recording_is_refused(window):
    with pytest.raises(DataError, match=r"from 0 to 300 ms in bins of 50 ms"):
        load_recording("it_maps_simulated", window=window)


def test_site_correlations_are_like_those_of_published_sites(recording):
    """eLife 9:e53798: correlation of a site with the mean of the others .73 +- .10 to .26; of pairs .55 to .75."""
    sites = recording.maps.reshape(-1, 32).T
    pairs = np.corrcoef(sites)[np.triu_indices(32, 1)]
    assert 0.55 < np.median(pairs) < 0.75
    against_rest = [np.corrcoef(sites[s], np.delete(sites, s, axis=0).mean(axis=0))[0, 1] for s in range(32)]
    assert 0.65 < np.mean(against_rest) < 0.8


def test_the_time_course_passes_through_the_measured_points():
    fine = time_course(np.arange(0, 301), np.zeros(1))[0]
    assert fine.argmax() in (156, 157)
    assert fine[114] == pytest.approx(0.5, abs=0.02)
    assert fine[252] == pytest.approx(0.5, abs=0.02)
    late = time_course(np.arange(0, 301), np.array([10.0]))[0]
    np.testing.assert_allclose(late[60:], fine[50:-10], atol=0.01)


def test_rates_follow_baseline_gain_and_drive():
    simulation = Simulation.load(EMBEDDED)
    drive = noise_free_drive(simulation.weights, simulation.receptive_field)
    course = time_course(EDGES, simulation.latency)
    rate = simulation.baseline[:, None] + (simulation.gain * drive)[..., None] * course
    measured = simulation.counts.mean(axis=1) / 0.050
    assert drive.max() == 1
    # over all positions of all images the counts pin the rate to well under a percent
    ratio = measured.mean(axis=(0, 1, 2)) / rate.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(ratio, np.exp(0.1**2 / 2), atol=0.03)


def test_the_noise_free_drive_predicts_up_to_the_noise_ceiling(recording):
    """Regression on the noise-free drives predicts as well as the split-half noise ceiling allows."""
    simulation = Simulation.load(EMBEDDED)
    truth = noise_free_drive(simulation.weights, simulation.receptive_field)
    predicted = predict_left_out(truth, recording.maps, components=8).predicted
    reached = over_sites(site_correlation(predicted, recording.maps)).mean()
    ceiling = over_sites(split_half_ceiling(recording.repeats)).mean()
    assert reached == pytest.approx(ceiling, abs=0.01)


def test_position_alone_predicts_nothing(recording):
    """The images are cropped so that positions of objects in other images do not predict those in an image."""
    others = np.stack([np.delete(recording.maps, i, axis=0).mean(axis=0) for i in range(14)])
    assert abs(over_sites(site_correlation(others, recording.maps)).mean()) < 0.1


def test_images_are_the_marked_photographs(recording):
    assert len(set(recording.names)) == 14
    scenes = json.loads(simulated.SCENES.read_text())["scenes"]
    for file, scene in zip(recording.images, scenes, strict=True):
        package = importlib.metadata.distribution(scene["package"])
        with Image.open(package.locate_file(scene["file"])) as photograph, Image.open(file) as image:
            assert image.size[0] == image.size[1]
            np.testing.assert_array_equal(image, photograph.convert("RGB").crop(scene["box"]))


def test_a_photograph_of_another_package_version_is_refused(tmp_path, monkeypatch):
    scenes = json.loads(simulated.SCENES.read_text())
    scenes["scenes"][3]["sha256"] = "0" * 64
    changed = tmp_path / "scenes.json"
    changed.write_text(json.dumps(scenes))
    monkeypatch.setattr(simulated, "SCENES", changed)
    simulated._scenes.cache_clear()
    try:
        with pytest.raises(DataError, match="missing or differs from the marked one"):
            simulated.image_files()
    finally:
        simulated._scenes.cache_clear()


def test_missing_photographs_name_the_extra_to_install(monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setenv("BRAINIO_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(DataError, match=r"pip install 'brainscore_itmaps\[embedded\]'"):
        simulated.image_files()


def test_images_are_made_once_and_survive_an_interruption(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINIO_HOME", str(tmp_path))
    with monkeypatch.context() as failing:
        failing.setattr(Image.Image, "save", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            simulated.image_files()
    assert list(tmp_path.rglob("*.png")) == []
    files = simulated.image_files()
    times = [file.stat().st_mtime_ns for file in files]
    assert [file.stat().st_mtime_ns for file in simulated.image_files()] == times


@pytest.mark.parametrize("damage", ["mirrored", "cut"])
def test_an_altered_image_is_written_again(monkeypatch, tmp_path, damage):
    monkeypatch.setenv("BRAINIO_HOME", str(tmp_path))
    file = simulated.image_files()[2]
    before = file.read_bytes()
    if damage == "cut":
        file.write_bytes(before[:2000])
    else:
        with Image.open(file) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    assert simulated.image_files()[2].read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "missing", "text"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    file = tmp_path / "damaged.npz"
    if damage == "cut":
        shutil.copy(EMBEDDED, file)
        file.write_bytes(file.read_bytes()[:5000])
    elif damage == "text":
        file.write_text("not an archive")
    with pytest.raises(DataError, match="is not a simulated recording"):
        simulated.load_simulated(source=file)
