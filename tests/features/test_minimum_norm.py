"""The minimum-norm attack: closed forms of linear models, another attack as an upper bound, and what it promises."""

import math

import numpy as np
import pytest
import torch
from decisions import Ellipsoid, Linear, convolutional, labelled
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import transforms

from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.features.minimum_norm import (
    Found,
    _to_boundary,
    is_fooled,
    lengths,
    minimum_norm_attack,
    pixel_decision,
    rounded_norms,
)
from brainscore_itmaps.models.load import load_model

CASES = {
    "2 classes": {"classes": 2},
    "10 classes": {},
    "100 classes": {"classes": 100, "side": 8, "extreme": 0},
    "small logits": {"scale": 1e-3},
    "large logits": {"scale": 1e3},
    "many pixels at the limits": {"side": 8, "extreme": 0.6},
    "long ways": {"side": 6, "extreme": 0.0, "lead": 0.25},
}


@pytest.mark.parametrize("case", CASES)
def test_linear_models_are_fooled_by_the_smallest_change(case):
    model = Linear(1, **CASES[case])
    found = minimum_norm_attack(model, model.images, model.labels)
    assert is_fooled(model(found.adversarial), model.labels).all()
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    torch.testing.assert_close(lengths(found.adversarial - model.images), found.norms)
    ratios = found.norms.numpy() / [model.closest(number) for number in range(len(model.images))]
    assert ratios.min() > 1 - 1e-4
    assert np.median(ratios) < 1.005
    assert ratios.max() < 1.01


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 12), side=st.integers(1, 5), lead=st.floats(0, 0.3))
def test_any_linear_model_is_attacked_within_ten_percent(seed, classes, side, lead):
    model = Linear(seed, classes=classes, side=side, lead=lead, images=4)
    found = minimum_norm_attack(model, model.images, model.labels)
    for number, norm in enumerate(found.norms.tolist()):
        exact = model.closest(number)
        if math.isfinite(exact) and exact < 0.99 * math.sqrt(3 * side * side) and norm > 0:
            assert 0.999 * exact < norm < 1.1 * exact + 1e-5


def test_another_attack_finds_nothing_shorter():
    foolbox = pytest.importorskip("foolbox")
    for seed in range(2):
        model = convolutional(seed)
        images, labels = labelled(model)
        ddn = foolbox.attacks.DDNAttack(steps=200).run(
            foolbox.PyTorchModel(model, bounds=(0, 1)), images, foolbox.Misclassification(labels)
        )
        found = minimum_norm_attack(model, images, labels)
        assert is_fooled(model(found.adversarial), labels).all()
        assert (found.norms < 1.02 * lengths(ddn - images)).all()


def test_a_bent_boundary_is_reached_at_its_closest_point():
    model = Ellipsoid()
    exact = np.array([model.closest(number) for number in range(len(model.images))])
    ratios = {}
    for steps in (0, 10, 50, 300):
        norms = minimum_norm_attack(model, model.images, model.labels, steps=steps).norms.numpy()
        ratios[steps] = norms / exact
        assert (ratios[steps] > 0.999).all()
    assert np.median(ratios[0]) > 1.02  # DeepFool alone is off
    assert np.median(ratios[50]) < 1.001
    assert ratios[300].max() < 1.001
    assert (ratios[300] <= ratios[50] + 1e-6).all()
    random = minimum_norm_attack(model, model.images, model.labels, random_start=True, seed=5).norms.numpy()
    assert np.median(random / exact) == pytest.approx(1, abs=0.05)
    assert (random != ratios[300] * exact).any()


def test_restarts_are_never_worse():
    model = convolutional()
    images, labels = labelled(model)
    once = minimum_norm_attack(model, images, labels).norms
    assert (minimum_norm_attack(model, images, labels, restarts=2, seed=3).norms <= once).all()


def test_the_same_seed_gives_the_same_perturbations_in_any_batch():
    model = convolutional()
    images, labels = labelled(model, 6)
    together = minimum_norm_attack(model, images, labels, restarts=1, seed=7)
    again = minimum_norm_attack(model, images, labels, restarts=1, seed=7)
    assert torch.equal(together.adversarial, again.adversarial)
    alone = [minimum_norm_attack(model, images[n : n + 1], labels[n : n + 1], restarts=1, seed=7) for n in range(6)]
    torch.testing.assert_close(together.norms, torch.cat([each.norms for each in alone]), rtol=0.02, atol=0)


def test_images_leave_the_batch_when_nothing_is_gained():
    model, sizes = Linear(2), []

    def decide(images):
        sizes.append(len(images))
        return model(images)

    minimum_norm_attack(decide, model.images, model.labels, steps=10_000)
    assert len(sizes) < 200  # the first rounds settle a linear model


def test_wrong_decisions_and_images_that_cannot_be_fooled_are_told_apart():
    def decide(images):
        lead = 1 + images.mean(dim=(1, 2, 3))  # above 0 for any pixels
        return torch.stack([lead, torch.zeros_like(lead)], dim=1)

    images = torch.rand(3, 3, 4, 4)
    found = minimum_norm_attack(decide, images, torch.tensor([0, 1, 0]), steps=60)
    assert found.norms.tolist() == [math.inf, 0, math.inf]
    assert torch.equal(found.adversarial, images)
    assert rounded_norms(decide, images, torch.tensor([0, 1, 0]), found).tolist() == [math.inf, 0, math.inf]


def test_a_flat_decision_gives_no_numbers_that_are_not_numbers():
    found = minimum_norm_attack(
        lambda images: torch.tensor([[1.0, 0.0]]) + 0 * images.sum(), torch.rand(1, 3, 4, 4), torch.tensor([0]), steps=5
    )
    assert found.norms.tolist() == [math.inf]
    assert torch.isfinite(found.adversarial).all()


def test_a_boundary_that_is_flat_is_crossed():
    """Textbook FMN stops where both logits are equal, and never fools: here they are, over a wide range of pixels."""

    def decide(images):
        red = images[:, 0].mean(dim=(1, 2))
        steps = red + ((8 * red).floor() / 8 - red).detach()
        return torch.stack([torch.full_like(red, 0.5), steps], dim=1)

    labels, images = torch.zeros(4, dtype=torch.int64), torch.full((4, 3, 4, 4), 0.4)
    found = minimum_norm_attack(decide, images, labels)
    assert is_fooled(decide(found.adversarial), labels).all()
    assert (found.norms > 0.999 * 0.225 * 4).all()  # red from .4 to .625 in 16 pixels
    assert (found.norms < 1.02 * 0.225 * 4).all()


def test_images_whose_classes_are_level_are_moved_a_little():
    images = torch.full((2, 3, 4, 4), 0.5)

    def decide(images):
        red = images[:, 0].sum(dim=(1, 2))
        return torch.stack([torch.full_like(red, 8.0), red], dim=1)  # both logits are 8

    for steps in (0, 50):
        found = minimum_norm_attack(decide, images, torch.zeros(2, dtype=torch.int64), steps=steps)
        assert (found.norms > 0).all()
        assert (found.norms < 1e-4).all()


def test_a_batch_of_wrong_decisions_asks_nothing_of_the_model():
    sizes = []

    def decide(images):
        sizes.append(len(images))
        return images.flatten(1)[:, :2]

    images = torch.rand(3, 1, 2, 2)
    labels = 1 - decide(images).argmax(dim=1)
    assert minimum_norm_attack(decide, images, labels).norms.tolist() == [0, 0, 0]
    assert 0 not in sizes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.95))
def test_the_step_to_a_boundary_is_exact_within_the_limits(seed, share):
    rng = np.random.default_rng(seed)
    direction, pixels = rng.normal(size=30), rng.uniform(size=30)
    most = float(direction @ np.where(direction > 0, 1 - pixels, -pixels))
    step = _to_boundary(*(torch.tensor(each)[None] for each in (direction, share * most, pixels)))[0].numpy()
    assert direction @ step == pytest.approx(share * most, rel=1e-4)
    assert (pixels + step >= 0).all()
    assert (pixels + step <= 1).all()
    free = (pixels + step > 1e-9) & (pixels + step < 1 - 1e-9)
    factors = step[free] / direction[free]  # the shortest step is a multiple of the direction where it is not cut
    np.testing.assert_allclose(factors, factors.mean() if factors.size else 0, rtol=1e-6)


def test_rounding_to_8_bits_takes_longer_perturbations():
    model = convolutional()
    images = (255 * labelled(model)[0]).round() / 255
    labels = model(images).argmax(dim=1)
    found = minimum_norm_attack(model, images, labels)
    rounded = (255 * found.adversarial).round() / 255
    assert not is_fooled(model(rounded), labels).all()  # a minimum does not survive
    norms = rounded_norms(model, images, labels, found)
    assert (norms > found.norms).all()
    assert norms.isfinite().all()


def test_saved_and_loaded_pixels_still_fool(tmp_path):
    model = load_model("timm:test_resnet", "random", seed=2)
    decide = pixel_decision(model)
    images = torch.rand(5, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = decide(images).argmax(dim=1)
    found = minimum_norm_attack(decide, images, labels, steps=50)
    np.savez(tmp_path / "attacked.npz", adversarial=found.adversarial.numpy())
    loaded = torch.from_numpy(np.load(tmp_path / "attacked.npz")["adversarial"])
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.spec.mean, model.spec.std))
    with torch.no_grad():
        for number in range(5):  # each alone: another batch size rounds otherwise
            assert model.module((loaded[number : number + 1] - mean) / std).argmax() != labels[number]


def test_the_decision_about_animals_is_the_larger_maximum():
    model = load_model("timm:test_resnet", "random")
    images = torch.rand(2, 3, 160, 160)
    logits, animals = (pixel_decision(model, decision)(images) for decision in ("classes", "animate"))
    torch.testing.assert_close(animals, torch.stack([logits[:, :398].amax(1), logits[:, 398:].amax(1)], 1))


def with_head(*head, channels=3):
    module = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 4, 4, 4), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 1), *head
    )
    said = {"size": 16, "mean": [0.5] * channels, "std": [0.25] * channels, "channels": channels}
    return load_model(module, preprocessing=said)


def test_a_single_logit_is_a_decision_between_two_classes():
    decide = pixel_decision(with_head())
    images = torch.rand(4, 3, 16, 16)
    assert decide(images).shape == (4, 2)
    assert (decide(images)[:, 0] == 0).all()
    found = minimum_norm_attack(decide, images, decide(images).argmax(dim=1))
    assert found.norms.isfinite().all()


def test_grey_models_are_attacked_in_colours():
    decide = pixel_decision(with_head(channels=1))
    images = torch.rand(2, 3, 16, 16)
    found = minimum_norm_attack(decide, images, decide(images).argmax(dim=1))
    assert found.adversarial.shape == images.shape
    assert found.norms.isfinite().all()


class NoGradient(torch.nn.Module):
    def forward(self, values):
        return torch.cat([values, values.detach() + 1], dim=1).round().detach()


def test_what_cannot_be_attacked_is_a_sentence():
    images = torch.rand(2, 3, 16, 16)
    with pytest.raises(ModelError, match="lets no gradient through"):
        minimum_norm_attack(pixel_decision(with_head(NoGradient())), images, torch.tensor([1, 1]))
    with pytest.raises(ModelError, match="not logits"):
        pixel_decision(
            load_model(torch.nn.Conv2d(3, 4, 3), preprocessing={"size": 16, "mean": [0] * 3, "std": [1] * 3})
        )(images)
    with pytest.raises(ModelError, match="animals are known among those of ImageNet-1k only"):
        pixel_decision(with_head(), "animate")(images)
    function = transforms.Compose([transforms.Resize((16, 16)), transforms.ToTensor()])
    with pytest.raises(ModelError, match="no gradient reaches the pixels"):
        pixel_decision(load_model(torch.nn.Conv2d(3, 4, 3), preprocessing=function))


def test_what_was_found_is_described_by_its_shape():
    assert repr(Found(torch.zeros(2, 3, 4, 4), torch.zeros(2))).count("<Tensor") == 2
