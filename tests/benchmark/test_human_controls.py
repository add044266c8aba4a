"""Controls of human alignment on SIMULATED human maps: what they give is known, and no person was asked."""

import json

import numpy as np
import pytest
import torch
from answers import succeeded
from command_line import brainscore
from PIL import Image
from scipy.stats import spearmanr
from shards import jpeg, record, write_example, write_records, write_shard
from torch import nn

from brainscore_itmaps.benchmark.formulas import note_on_controls, notes_of
from brainscore_itmaps.benchmark.human import HumanBenchmark, human_alignment
from brainscore_itmaps.benchmark.human_controls import over_images
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.bridge.clickme import to_score
from brainscore_itmaps.bridge.score import score
from brainscore_itmaps.cli.result_tables import print_result
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.alignment import INTER_HUMAN
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.model import untrained

SIDE = 32
NAMES = {"centre", "other_image", "random_weights"}
SEEDS = {"random_weights_0", "random_weights_1"}


class Own(nn.Module):
    """Class 0 is the mean of the squared red channel times weights: its gradient is the image times these weights."""

    def __init__(self):
        super().__init__()
        self.place = Places()

    def forward(self, images):
        red = self.place(images[:, 0] ** 2)
        return torch.stack([red, torch.zeros_like(red)], dim=1)


class Places(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(SIDE, SIDE))

    def reset_parameters(self):
        nn.init.uniform_(self.weight, 0, 1)

    def forward(self, values):
        return (values * self.weight).mean(dim=(1, 2))


@pytest.fixture
def model():
    return load_model(Own(), preprocessing={"size": SIDE, "mean": (0.0,) * 3, "std": (1.0,) * 3})


@pytest.fixture
def simulated(tmp_path, rng):
    """Function that writes images with a bright centre and noise, and human maps of a centre, noise and the images."""

    def write(share, count=6, name="maps_simulated"):
        y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
        bump = np.exp(-(y**2 + x**2) / 2 / 8**2)
        for number in range(count):
            own, noise = 0.3 * rng.normal(size=(2, SIDE, SIDE))
            image, heatmap = np.zeros((SIDE, SIDE, 3)), bump + noise + share * own + 20
            image[..., 0] = 50 * (2 + bump + own)
            folders = [tmp_path / name / part / "0" for part in ("images", "maps")]
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folders[0] / f"{number}.png")
            np.save(folders[1] / f"{number}.npy", heatmap)
        return tmp_path / name

    return write


def read(folder):
    """Red channels and maps of a folder that the fixture wrote, shape (image, y, x)."""
    images = [np.asarray(Image.open(file))[..., 0] for file in sorted((folder / "images" / "0").iterdir())]
    return np.array(images), np.array([np.load(file) for file in sorted((folder / "maps" / "0").iterdir())])


def rho(first, second):
    return spearmanr(np.ravel(first), np.ravel(second)).statistic


def test_each_control_is_the_rank_correlation_of_each_image(model, simulated):
    folder = simulated(0.5)
    images, maps = read(folder)
    found = human_alignment(model, folder, random_seeds=2, batch_size=4)
    centre = -np.hypot(*np.mgrid[-15.5:16, -15.5:16])
    weights = [untrained(model, seed).module.place.weight.detach().numpy() for seed in (0, 1)]
    for image in range(6):
        values = {name: control.values[image] for name, control in found.controls.items()}
        seeds = [rho(weight * images[image], maps[image]) for weight in weights]
        expected = {"centre": rho(centre, maps[image]), "other_image": rho(maps[image - 1], maps[image])}
        expected |= {"random_weights": np.mean(seeds), "random_weights_0": seeds[0], "random_weights_1": seeds[1]}
        assert values == pytest.approx(expected, abs=1e-4)  # of the first image, the other one is the last
        own = rho(images[image], maps[image])
        assert found.agreement.spearman[image] == pytest.approx(own, abs=1e-4)
        assert found.beyond["own_minus_other"].values[image] == pytest.approx(
            own - rho(images[image], maps[image - 1]), abs=1e-4
        )
        others = [rho(weight * images[image], maps[image - 1]) for weight in weights]
        random = np.mean(seeds) - np.mean(others)
        assert found.beyond["own_minus_other_random"].values[image] == pytest.approx(random, abs=1e-4)
    assert found.controls["centre"].mean == pytest.approx(found.controls["centre"].values.mean())
    for name, control in found.controls.items():
        assert control.interval == over_images(control.values, neighbours=name == "other_image").interval
        assert control.interval[0] < control.mean < control.interval[1]


@pytest.mark.parametrize("size", [1, 4, 6])
def test_batches_of_any_size_give_the_same_controls(model, simulated, size):
    folder = simulated(0.5)
    whole, found = (human_alignment(model, folder, random_seeds=1, batch_size=number) for number in (100, size))
    np.testing.assert_allclose(found.agreement.spearman, whole.agreement.spearman, atol=1e-5)
    assert [*found.controls] == ["centre", "other_image", "random_weights"]
    for name, control in [*found.controls.items(), *found.beyond.items()]:
        expected = (whole.controls | whole.beyond)[name]
        np.testing.assert_allclose(control.values, expected.values, atol=1e-5)


def test_maps_of_a_centre_alone_are_reached_by_the_centre_and_nothing_is_left_beyond_it(model, simulated):
    """Images are bright at the centre, too: the model agrees with the maps, but with every map alike."""
    found = human_alignment(model, simulated(0.0, count=12), random_seeds=1)
    assert found.agreement.raw > 0.2
    assert found.controls["centre"].mean > found.agreement.raw
    for name in ("partial", "own_minus_other", "partial_with_random", "own_minus_other_random"):
        assert abs(found.beyond[name].mean) < 0.05, name


def test_maps_of_what_the_model_sees_leave_a_partial_correlation_beyond_the_centre(model, simulated):
    found = human_alignment(model, simulated(1.0, count=12), random_seeds=1)
    for name in ("partial", "own_minus_other", "partial_with_random"):
        assert found.beyond[name].interval[0] > 0.2, name


def test_an_interval_counts_that_neighbours_share_an_image(rng):
    """A value is the sum of two images' own numbers: the variance of the mean is four times that of one number / n."""
    own = rng.normal(size=4000)
    values = own + np.roll(own, 1)
    known = 2 / np.sqrt(4000)
    errors = [(high - low) / 2 / 1.96 for low, high in
              (over_images(values, neighbours=shared).interval for shared in (True, False))]  # fmt: skip
    assert errors[0] == pytest.approx(known, rel=0.1)
    assert errors[1] == pytest.approx(known / np.sqrt(2), rel=0.1)


def test_a_single_image_has_no_other_image(model, simulated):
    found = human_alignment(model, simulated(0.5, count=1))
    assert np.isfinite(found.controls["centre"].values).all()
    assert np.isnan(found.controls["centre"].interval).all()
    for values in (found.controls["other_image"], found.beyond["own_minus_other"], found.beyond["partial"]):
        assert np.isnan([*values.values, values.mean]).all()


def test_a_constant_map_is_left_out_and_is_no_other_image(tmp_path, rng):
    flat = write_example(
        {"image": [jpeg(np.zeros((256, 256, 3), np.uint8))], "heatmap": [jpeg(np.zeros((256, 256), np.uint8))],
         "label": [0]}
    )  # fmt: skip
    write_records(tmp_path / "a.tfrecords", [record(rng, 1), flat, record(rng, 2), record(rng, 3)])
    found = human_alignment(load_model("timm:test_resnet", "random"), [tmp_path / "a.tfrecords"])
    assert list(np.isnan(found.controls["centre"].values)) == [False, True, False, False]
    for values in (found.controls["other_image"], found.beyond["own_minus_other"], found.beyond["partial"]):
        assert list(np.isnan(values.values)) == [False, True, True, False]
        assert values.mean == np.nanmean(values.values)


def test_an_architecture_that_cannot_be_initialised_again_is_noted(simulated):
    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, images):
            return (images**2).mean(dim=(2, 3))[:, :2] * self.scale

    folder = simulated(0.5, count=2)
    model = load_model(Given(), preprocessing={"size": SIDE, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    found = human_alignment(model, folder, random_seeds=1)
    assert [*found.controls] == ["centre", "other_image"]
    assert found.notes[-1].startswith("the control with random weights was left out: ")
    assert not any("left out: " in note for note in human_alignment(model, folder).notes)


def test_random_weights_are_others_than_the_model_s_own(model, simulated):
    own = untrained(model, 0)
    found = human_alignment(own, simulated(0.5, count=3), random_seeds=2)
    assert [*found.controls][3:] == ["random_weights_1", "random_weights_2"]
    assert found.controls["random_weights_1"].mean != pytest.approx(found.agreement.raw, abs=1e-6)


@pytest.mark.parametrize("wrong", [-1, 1.5, "2"])
def test_a_number_of_seeds_that_is_none_is_refused(model, simulated, wrong):
    folder = simulated(0.5, count=2)
    with pytest.raises(UsageError, match="seeds of random weights"):
        human_alignment(model, folder, random_seeds=wrong)
    with pytest.raises(UsageError, match="seeds of random weights"):
        score(model, folder, random_seeds=wrong)
    with pytest.raises(UsageError, match="seeds of random weights"):
        score("timm:test_resnet", "it_maps_simulated", weights="random", random_seeds=wrong)


def test_a_result_of_a_folder_holds_raw_controls_with_intervals(model, simulated, tmp_path, capsys):
    folder = simulated(0.0)
    found = human_alignment(model, folder, random_seeds=2)
    result = score(model, folder, random_seeds=2, device="cpu")
    assert result.request.random_seeds == 2
    assert {*result.controls} == NAMES | SEEDS
    loaded = Result.load(result.save(tmp_path / "out")[0])
    assert loaded.to_dict() == result.to_dict()
    for name, control in found.controls.items():
        assert loaded.controls[name].raw == pytest.approx(control.mean, abs=1e-6)
        assert np.isnan(loaded.controls[name].score)
        assert loaded.controls[name].reason == result.estimate.reason
        assert [loaded.details[f"{name}_{end}"] for end in ("low", "high")] == pytest.approx(control.interval, abs=1e-6)
    for name, values in found.beyond.items():
        stored = [loaded.details[f"{name}{end}"] for end in ("", "_low", "_high")]
        assert stored == pytest.approx([values.mean, *values.interval], abs=1e-6)
    print_result(loaded)
    text = capsys.readouterr().out
    centre, interval = loaded.controls["centre"], found.controls["centre"].interval
    (row,) = [line for line in text.splitlines() if "centre (best)" in line]
    assert [f"{number:.3f}" in row for number in (centre.raw, *interval)] == [True] * 3
    beyond = found.beyond["partial"]
    assert f"{beyond.mean:.3f} (95 % interval {beyond.interval[0]:.3f} to {beyond.interval[1]:.3f})" in text
    assert "centre low" not in text
    assert "nan" not in text.lower()


def test_controls_of_clickme_are_divided_by_the_agreement_between_people(tmp_path, capsys):
    shard = write_shard(tmp_path / "a.tfrecords", 4)
    model = load_model("timm:test_resnet", "random", seed=3)
    found = human_alignment(model, [shard], random_seeds=1, protocol="published")
    request = ScoreRequest(random_seeds=1, protocol="published")
    result = HumanBenchmark((shard,)).score(HookedModel(model), request)
    assert {*result.controls} == NAMES
    assert "centre_low" not in result.details
    scores = to_score(result).attrs["controls"]
    for name, control in found.controls.items():
        stored = result.controls[name]
        assert (stored.raw, stored.ceiling) == pytest.approx((control.mean, INTER_HUMAN), abs=1e-6)
        assert stored.score == pytest.approx(control.mean / INTER_HUMAN, abs=1e-6)
        assert stored.interval == pytest.approx([end / INTER_HUMAN for end in control.interval], abs=1e-6)
        assert (scores[name]["score"], scores[name]["raw"]) == (stored.score, stored.raw)
    other = HumanBenchmark((shard,)).score(HookedModel(model), ScoreRequest(protocol="published"))
    assert {*other.controls} == NAMES - {"random_weights"}
    without = HumanBenchmark((shard,)).score(HookedModel(model), ScoreRequest(protocol="published", controls=False))
    assert not without.controls
    assert not {"partial", "own_minus_other", "partial_given"} & without.details.keys()
    assert other.raw == result.raw
    print_result(result)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("│ centre", "│ random_weights"))]
    for name, row in zip(("centre", "random_weights"), rows, strict=True):
        control = result.controls[name]
        assert all(f"{number:.3f}" in row for number in (control.raw, control.score, *control.interval))


def test_a_control_that_reaches_the_model_is_named_first(model, simulated):
    reached = score(model, simulated(0.0), device="cpu")
    raw = [f"{number:.3f}" for number in (reached.controls["centre"].raw, reached.raw)]
    sentence = "Control `centre` reaches this raw value: nearness to the image's centre has raw {}, the model {}"
    assert notes_of(reached)[0] == note_on_controls(reached) == sentence.format(*raw)
    assert sentence.format(*raw).replace("'", "&#x27;") in reached._repr_html_()
    ahead = score(model, simulated(9.0, name="ahead_simulated"), device="cpu")
    assert ahead.raw > ahead.controls["centre"].raw
    assert note_on_controls(ahead) == ""
    assert notes_of(ahead)[0] == ahead.notes[0]


def test_the_command_line_asks_for_seeds(tmp_path, simulated, own_home):
    folder = simulated(0.0, count=2)
    (folder / "images" / "0").rename(folder / "images" / "n01440764")
    arguments = ("score", "-m", "timm:test_resnet", "--weights", "random", "-b", folder, "--out", tmp_path / "out")
    done = succeeded(*arguments, "--random-seeds", "2", COLUMNS="160")
    (file,) = (tmp_path / "out").glob("*.json")
    written = json.loads(file.read_text())
    assert {*written["controls"]} == {"centre", "other_image", "random_weights", "random_weights_1", "random_weights_2"}
    for name, control in written["controls"].items():
        assert any(name in line and f"{control['raw']:.3f}" in line for line in done.stdout.splitlines()), name
    assert brainscore(*arguments, "--random-seeds", "-1").returncode == 2
