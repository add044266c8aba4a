"""The simulated recording over textures: its parts have the sizes that were asked for, and contrast tells nothing."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from brainscore_itmaps import load_recording, score
from brainscore_itmaps.data.simulated import load_simulated, representation
from brainscore_itmaps.data.simulated_textures import (
    BUMP,
    PATTERNS,
    TYPES,
    simulate_textures,
    texture,
    variance_over_positions,
)
from brainscore_itmaps.errors import DataError, UsageError
from brainscore_itmaps.metrics.predictivity import neural_predictivity

SMALL = {"images": 4, "sites": 6, "latents": 4, "grid": 9}


@pytest.fixture(scope="module")
def made():
    return simulate_textures()


@pytest.fixture(scope="module")
def recording(made):
    return made[0]


@pytest.fixture(scope="module")
def truth(made):
    return made[1]


def test_the_recording_of_the_catalogue_is_that_of_the_defaults(recording):
    loaded = load_recording("it_maps_textures_simulated", (100, 250))
    np.testing.assert_array_equal(loaded.maps, recording.maps)
    assert (loaded.images, loaded.sha256) == (recording.images, recording.sha256)
    assert loaded.maps.shape == (14, 17, 17, 32)
    assert loaded.repeats is None
    assert loaded.maps.min() > 0


def test_files_and_fields_state_that_the_recording_is_simulated(recording):
    assert recording.simulated
    for text in (recording.identifier, recording.subject, recording.area, recording.citation, *recording.sites):
        assert "simulated" in text.lower()
    assert all("simulated" in file.name for file in recording.images)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first, again, other = (simulate_textures(seed, **SMALL)[0] for seed in (3, 3, 4))
    assert first.maps.tobytes() == again.maps.tobytes()
    assert [file.read_bytes() for file in first.images] == [file.read_bytes() for file in again.images]
    assert first.identifier == again.identifier
    assert not np.isclose(first.maps, other.maps).any(axis=(1, 2)).all()
    for one, another in zip(first.images, other.images, strict=True):
        assert one.read_bytes() != another.read_bytes()


def test_options_other_than_the_defaults_are_part_of_the_name_but_images_are_shared():
    named = simulate_textures(3, **SMALL, private=0.25, reliability=(0.5, 1.0))[0]
    assert named.identifier == (
        "it_maps_textures_simulated-seed3-images4-sites6-latents4-private0_25-reliability0_5-1-grid9"
    )
    assert named.images == simulate_textures(3, **SMALL)[0].images


def test_a_changed_image_is_written_again(recording):
    before = recording.images[0].read_bytes()
    Image.new("RGB", (224, 224)).save(recording.images[0])
    load_recording("it_maps_textures_simulated")
    assert recording.images[0].read_bytes() == before


def test_every_site_has_the_reliability_that_was_drawn(recording, truth):
    noise = variance_over_positions(recording.maps - truth.noise_free)
    signal = variance_over_positions(truth.noise_free)
    np.testing.assert_allclose(signal / (signal + noise), truth.reliability, atol=0.02)  # 4046 values of noise a site
    assert 0.1 <= truth.reliability.min() < 0.2
    assert 0.7 < truth.reliability.max() <= 0.8


def test_noise_is_independent_over_positions_and_sites(recording, truth):
    noise = (recording.maps - truth.noise_free) / (recording.maps - truth.noise_free).std(axis=(0, 1, 2))
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.01
    assert abs((noise[:, :, 1:] * noise[:, :, :-1]).mean()) < 0.01
    pairs = np.corrcoef(noise.reshape(-1, noise.shape[-1]).T)[np.triu_indices(noise.shape[-1], 1)]
    assert np.abs(pairs).max() < 0.08


def test_the_reliability_is_that_of_the_mean_over_repeats():
    recording, truth = simulate_textures(repeats=4, reliability=(0.5, 0.5))
    first, second = recording.repeats[:, :2].mean(axis=1), recording.repeats[:, 2:].mean(axis=1)
    half = [
        np.mean([np.corrcoef(a[..., s].ravel(), b[..., s].ravel())[0, 1] for a, b in zip(first, second, strict=True)])
        for s in range(32)
    ]
    assert 2 * np.mean(half) / (1 + np.mean(half)) == pytest.approx(0.5, abs=0.04)  # Spearman-Brown
    noise = variance_over_positions(recording.maps - truth.noise_free)
    np.testing.assert_allclose(noise, variance_over_positions(truth.noise_free), rtol=0.1)
    assert recording.repeats.min() > 0


@pytest.mark.parametrize("private", [0.0, 0.3, 1.0])
def test_the_private_share_of_the_signal_is_that_asked_for(private):
    _, truth = simulate_textures(**SMALL, private=private)
    own, shared = variance_over_positions(truth.private), variance_over_positions(truth.shared)
    np.testing.assert_allclose(own / (own + shared), private, atol=1e-9)


def test_private_signals_are_in_no_image_and_in_no_other_site(truth):
    sites = truth.private.reshape(-1, 32)
    assert abs(np.corrcoef(sites.T)[np.triu_indices(32, 1)].mean()) < 0.02
    both = [np.corrcoef(sites[:, s], truth.shared.reshape(-1, 32)[:, s])[0, 1] for s in range(32)]
    assert abs(np.mean(both)) < 0.05


def test_the_bump_has_the_height_and_the_place_that_were_asked_for():
    _, flat = simulate_textures(**SMALL, reliability=(1.0, 1.0))
    recording, truth = simulate_textures(**SMALL, reliability=(1.0, 1.0), centre_bias=2.0)
    deviation = np.sqrt(variance_over_positions(truth.shared + truth.private))
    np.testing.assert_allclose(truth.centre[4, 4], 2 * deviation)
    np.testing.assert_allclose(truth.centre[4, 6], 2 * deviation * np.exp(-0.5 * (4 / BUMP) ** 2))  # 2 degrees apart
    assert (flat.centre == 0).all()
    np.testing.assert_allclose(recording.maps, truth.noise_free, atol=0.001)


def test_a_typical_map_predicts_something_only_with_a_bump(recording):
    def of_others(maps):
        return np.stack([np.delete(maps, i, axis=0).mean(axis=0) for i in range(len(maps))])

    assert abs(neural_predictivity(of_others(recording.maps), recording.maps).score) < 0.05
    biased = simulate_textures(centre_bias=2.0)[0]
    assert neural_predictivity(of_others(biased.maps), biased.maps).score > 0.1


def local_contrast(file, window):
    """Standard deviation of luminance in a square window around each pixel."""
    with Image.open(file) as image:
        luminance = np.asarray(image.convert("L"), dtype=float)
    mean = uniform_filter(luminance, window)
    return np.sqrt(np.maximum(uniform_filter(luminance**2, window) - mean**2, 0))


def mean_correlation(contrasts, masks):
    """Correlate contrast and masks (image, y, x, channel) over positions; mean over the images with that channel."""
    return np.array([
        np.mean([
            np.corrcoef(contrast.ravel(), mask[..., channel].ravel())[0, 1]
            for contrast, mask in zip(contrasts, masks, strict=True)
            if 0 < mask[..., channel].mean() < 1
        ])
        for channel in range(masks.shape[-1])
    ])  # fmt: skip


def test_local_contrast_does_not_tell_the_types_of_texture(recording, truth):
    contrasts = [local_contrast(file, 21) for file in recording.images]  # 1.5 degrees
    assert np.abs(mean_correlation(contrasts, truth.masks)).max() < 0.15


def test_local_contrast_does_tell_the_objects_of_the_first_recording():
    contrasts = []
    for file in load_simulated().images:
        with Image.open(file) as image:
            window = round(1.5 / 16 * image.size[0])
        contrast = Image.fromarray(local_contrast(file, window).astype(np.float32))
        contrasts.append(np.asarray(contrast.resize((160, 160))))
    regions = representation()
    contrast_of_any = mean_correlation(contrasts, regions.max(axis=-1, keepdims=True))
    assert contrast_of_any[0] > 0.15


def test_all_types_have_the_same_luminance_and_contrast(recording, truth):
    luminance = np.stack([np.asarray(Image.open(file).convert("L"), dtype=float) for file in recording.images])
    for latent in range(8):
        values = luminance[truth.masks[..., latent]]
        assert values.mean() == pytest.approx(128, abs=0.5)
        assert values.std() == pytest.approx(24, abs=0.5)
    assert (truth.masks.sum(axis=-1) == 1).all()


def test_no_two_types_of_texture_look_the_same():
    spectra = np.stack([np.abs(np.fft.rfft2(texture(number))).ravel() for number in range(TYPES)])
    between = np.corrcoef(spectra)[np.triu_indices(TYPES, 1)]
    assert TYPES % len(PATTERNS) == 0
    assert between.max() < 0.5


@pytest.mark.parametrize(
    ("options", "what", "fix"),
    [
        ({"seed": -1}, "seed is -1", "a whole number of at least 0"),
        ({"images": 1}, "images is 1", "at least 2"),
        ({"sites": 2.5}, "sites is 2.5", "a whole number"),
        ({"latents": 13}, "latents is 13", "from 2 to 12"),
        ({"grid": True}, "grid is True", "a whole number"),
        ({"repeats": 1}, "repeats is 1", "at least 2, or 0"),
        ({"private": 1.5}, "private is 1.5", "0 to 1"),
        ({"private": "half"}, "private is 'half'", "0 to 1"),
        ({"centre_bias": float("nan")}, "centre_bias is nan", "standard deviations"),
        ({"reliability": 0.5}, "reliability is 0.5", "smallest, largest"),
        ({"reliability": (0.5, 0.2)}, r"reliability is \(0.5, 0.2\)", "smallest, largest"),
        ({"reliability": (0.0, 0.5)}, r"reliability is \(0.0, 0.5\)", "above 0"),
    ],
)
def test_an_option_outside_its_limits_is_answered_with_a_sentence(options, what, fix):
    with pytest.raises(UsageError, match=f"{what}.*{fix}"):
        simulate_textures(**options)


def test_it_has_one_window_and_no_source(tmp_path):
    with pytest.raises(DataError, match="recorded from 100 to 250 ms"):
        load_recording("it_maps_textures_simulated", (50, 100))
    with pytest.raises(UsageError, match="has no source"):
        load_recording("it_maps_textures_simulated", source=tmp_path)
    with pytest.raises(UsageError, match=r"has no window named 'elife'\. Give milliseconds"):
        load_recording("it_maps_textures_simulated", "elife")


@pytest.mark.slow
def test_trained_weights_score_far_above_random_weights(own_home, truth):
    trained = score("efficientnet_lite0", "it_maps_textures_simulated")
    random = [score("efficientnet_lite0", "it_maps_textures_simulated", weights="random", seed=seed) for seed in (0, 1)]
    assert trained.simulated
    assert trained.interval[0] > max(result.interval[1] for result in random)
    assert neural_predictivity(trained.arrays[0].predicted, truth.shared).score > 0.5
