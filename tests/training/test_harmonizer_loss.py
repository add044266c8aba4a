"""The harmonizer's loss, against the published code's numbers and against finite differences."""

from itertools import pairwise

import numpy as np
import published
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from brainscore_itmaps.errors import ArrayError, ModelError, UsageError
from brainscore_itmaps.training import HarmonizerLoss
from brainscore_itmaps.training import loss as loss_module
from brainscore_itmaps.training.loss import (
    decayed_parameters,
    differentiable_attention,
    distance,
    gradient_of,
    half_squares,
    pyramid,
    standardised_cut,
)

SIZES = ["64x64", "224x224", "33x33", "57x40", "7x7", "17x17"]


def golden(name):
    return {key: torch.from_numpy(np.asarray(values)) for key, values in published.golden(name).items()}


class Published(nn.Module):
    """The model of the published numbers: flattened row by row with channels last, as Keras does."""

    def __init__(self, stored):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.head = nn.Linear(768, 10)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(as_torch(stored[f"w:{name.replace('weight', 'kernel')}"]))

    def forward(self, images):
        hidden = functional.avg_pool2d(functional.softplus(self.conv1(images)), 2)
        hidden = functional.avg_pool2d(torch.tanh(self.conv2(hidden)), 2)
        return self.head(hidden.permute(0, 2, 3, 1).flatten(1))


def as_torch(kernel):
    return {4: lambda: kernel.permute(3, 2, 0, 1), 2: lambda: kernel.T, 1: lambda: kernel}[kernel.ndim]()


def test_every_term_and_every_gradient_is_the_published_one():
    stored = golden("harmonizer_loss_smooth_33")
    model = Published(stored)
    loss = HarmonizerLoss(lambda_harmonization=5.0, lambda_weights=1e-3, label_smoothing=0.1, levels=5)
    images = stored["images"].permute(0, 3, 1, 2)
    terms = loss(model, images, stored["labels"], stored["heatmaps"], stored["tokens"])
    torch.testing.assert_close(terms.logits, stored["logits"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(terms.gradient.mean(dim=1), stored["saliency"], rtol=0, atol=1e-7)
    torch.testing.assert_close(terms.cross_entropy, stored["loss_ce"], rtol=1e-5, atol=0)
    torch.testing.assert_close(terms.weights, stored["loss_weights"], rtol=1e-5, atol=0)
    torch.testing.assert_close(terms.harmonization, stored["loss_harm"], rtol=1e-5, atol=0)
    torch.testing.assert_close(terms.total.detach(), stored["loss_total"], rtol=1e-5, atol=0)
    terms.total.backward()
    for name, parameter in model.named_parameters():
        expected = as_torch(stored[f"g:{name.replace('weight', 'kernel')}"])
        torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=2e-6, msg=name)


@pytest.mark.parametrize("size", SIZES)
def test_cut_pyramid_and_distance_are_the_published_ones(size):
    stored = golden("harmonizer_components")
    step = 4 if size == "224x224" else 1  # of which every fourth pixel is stored
    maps = stored[f"{size}_a"].requires_grad_()
    cut, other = standardised_cut(maps), standardised_cut(stored[f"{size}_b"])
    torch.testing.assert_close(cut[:, ::step, ::step].detach(), stored[f"{size}_cut_a"], rtol=0, atol=1e-6)
    levels, others = pyramid(cut, 6), pyramid(other, 6)
    assert len(levels) == 6
    for number, level in enumerate(levels):
        if f"{size}_pyr_cut_a_L{number}" in stored:
            expected = stored[f"{size}_pyr_cut_a_L{number}"]
            torch.testing.assert_close(level.detach(), expected, rtol=0, atol=1e-6)
    tokens = stored[f"{size}_tokens"][:, None, None]
    squares = torch.stack([(tokens * (a - b) ** 2).mean() for a, b in zip(levels, others, strict=True)])
    torch.testing.assert_close(squares.detach(), stored[f"{size}_mse_per_level"], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(squares[:5].mean().detach(), stored[f"{size}_pmse_5"], rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(squares[:5].mean(), maps)
    torch.testing.assert_close(gradient[:, ::step, ::step], stored[f"{size}_grad_a"], rtol=0, atol=2e-6)


def test_distance_is_the_mean_of_levels_after_stretching_to_the_largest_saliency():
    rng = torch.Generator().manual_seed(3)
    saliency, human = torch.rand(3, 21, 30, generator=rng), torch.rand(3, 21, 30, generator=rng)
    tokens = torch.tensor([1.0, 0.0, 1.0])
    computed = distance(saliency, human, tokens, levels=2)
    a, b = standardised_cut(saliency), standardised_cut(human)
    stretched = torch.stack([y / (y.max() + 1e-6) * (x.max() + 1e-6) for x, y in zip(a, b, strict=True)])
    expected = [
        (((x - y)[[0, 2]] ** 2).sum() / x.numel()) for x, y in zip(pyramid(a, 2), pyramid(stretched, 2), strict=True)
    ]
    torch.testing.assert_close(computed, sum(expected) / 2)


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_a_side_is_halved_upward(rows, columns):
    shapes = [level.shape[1:] for level in pyramid(torch.ones(1, rows, columns), 4)]
    for (y, x), (below_y, below_x) in pairwise(shapes):
        assert (below_y, below_x) == (-(-y // 2), -(-x // 2))


@pytest.mark.parametrize("saliency", [torch.zeros(2, 8, 8), torch.full((2, 8, 8), 0.3)])
def test_constant_maps_give_no_gradient_instead_of_nan(saliency):
    saliency = saliency.requires_grad_()
    human = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(distance(saliency, human, torch.ones(2)), saliency)
    assert (gradient == 0).all()
    other = human.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(distance(other, torch.zeros(2, 8, 8), torch.ones(2)), other)
    assert gradient.isfinite().all()


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(1)
    return {
        "images": torch.randn(4, 3, 32, 32, generator=rng),
        "labels": torch.tensor([1, 0, 4, 2]),
        "heatmaps": torch.rand(4, 32, 32, generator=rng),
        "tokens": torch.tensor([1.0, 0.0, 1.0, 1.0]),
    }


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(512, 5),
    )


def test_map_values_of_images_without_a_human_map_are_ignored(batch):
    loss = HarmonizerLoss()
    first = loss(small_model(), **batch)
    batch["heatmaps"][1] = torch.nan
    second = loss(small_model(), **batch)
    assert first.total == second.total
    assert first.harmonization > 0


def test_without_human_maps_it_is_plain_training(batch):
    batch["tokens"] = torch.zeros(4)
    plain = HarmonizerLoss(lambda_weights=0)(small_model(), **batch)
    expected = functional.cross_entropy(small_model()(batch["images"]), batch["labels"], label_smoothing=0.1)
    torch.testing.assert_close(plain.total, expected)
    assert plain.harmonization == 0
    batch["tokens"] = torch.ones(4)
    off = HarmonizerLoss(lambda_harmonization=0, lambda_weights=0)(small_model(), **batch)
    torch.testing.assert_close(off.total, expected)


def test_whole_numbers_and_shares_are_the_same_labels(batch):
    loss = HarmonizerLoss()
    numbers = loss(small_model(), **batch)
    shares = loss(small_model(), **batch | {"labels": functional.one_hot(batch["labels"], 5)})
    torch.testing.assert_close(numbers.total, shares.total)
    torch.testing.assert_close(numbers.gradient, shares.gradient)


def test_running_statistics_are_updated_once(batch):
    model, plain = small_model().train(), small_model().train()
    HarmonizerLoss()(model, **batch).total.backward()
    plain(batch["images"])
    torch.testing.assert_close(model[1].running_mean, plain[1].running_mean)
    assert model[1].num_batches_tracked == 1
    assert model.training


def test_under_autocast_saliency_and_loss_are_those_of_32_bits(batch):
    plain = HarmonizerLoss()(small_model(), **batch)
    with torch.autocast("cpu", torch.bfloat16):
        cast = HarmonizerLoss()(small_model(), **batch)
        without = HarmonizerLoss()(small_model(), **batch | {"tokens": torch.zeros(4)})
        assert torch.is_autocast_enabled("cpu")
        coarse = HarmonizerLoss(saliency_in_float32=False)(small_model(), **batch)
    assert cast.gradient.dtype == coarse.gradient.dtype == torch.float32
    assert not torch.equal(coarse.gradient, cast.gradient)
    torch.testing.assert_close(coarse.harmonization, cast.harmonization, rtol=0.2, atol=0)
    torch.testing.assert_close(cast.gradient, plain.gradient)
    torch.testing.assert_close(cast.total, plain.total)
    assert without.logits.dtype == torch.bfloat16  # half precision, as nothing is differentiated twice


FAMILIES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "test_nfnet", "levit_128s"]


@pytest.mark.parametrize("name", FAMILIES)
def test_saliency_of_models_is_differentiated_as_finite_differences_are(name):
    """Along a random direction of all parameters, in training mode, in 64 bits."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7, drop_path_rate=0).double().train()
    rng = torch.Generator().manual_seed(5)
    side = 224 if name.startswith("levit") else 160
    images = torch.randn(2, 3, side, side, generator=rng, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, 3, side, side, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 3])
    parameters = list(model.parameters())
    direction = [torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in parameters]
    direction = [d * p.detach().std(correction=0) for d, p in zip(direction, parameters, strict=True)]

    def saliency():
        with differentiable_attention():
            return (gradient_of(model(images), labels, images) * weights).sum()

    saliency().backward()
    gradient = sum(float((p.grad * d).sum()) for p, d in zip(parameters, direction, strict=True) if p.grad is not None)
    step, ends = 1e-7, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(sign * step * d)
        ends.append(float(saliency().detach()))
    assert gradient == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_fused_attention_is_switched_off_for_the_saliency_and_on_again():
    query = torch.randn(1, 2, 5, 8, requires_grad=True)

    def twice(query):
        attended = functional.scaled_dot_product_attention(query, query, query).sum()
        return torch.autograd.grad(attended, query, create_graph=True)[0].pow(2).sum()

    before = torch.backends.cuda.flash_sdp_enabled()
    with pytest.raises(RuntimeError):
        twice(query).backward()
    with differentiable_attention():
        assert not torch.backends.cuda.flash_sdp_enabled()
        second_derivative = twice(query)
    assert torch.backends.cuda.flash_sdp_enabled() == before
    second_derivative.backward()
    assert query.grad.isfinite().all()


def test_the_weight_term_omits_normalisations_and_embeddings():
    vit = timm.create_model("test_vit", num_classes=5)
    names = {parameter: name for name, parameter in vit.named_parameters()}
    decayed = {names[parameter] for parameter in decayed_parameters(vit)}
    omitted = set(names.values()) - decayed
    assert {"pos_embed", "patch_embed.proj.weight", "norm.weight", "blocks.0.norm1.bias"} <= omitted
    assert {"head.weight", "head.bias", "blocks.0.attn.qkv.weight"} <= decayed
    model = small_model()
    model[3].weight.requires_grad_(False)
    assert {id(p) for p in decayed_parameters(model)} == {
        id(p) for p in (*model[0].parameters(), model[3].bias, *model[6].parameters())
    }


def test_half_squares_and_their_derivatives_are_those_of_the_sum():
    rng = torch.Generator().manual_seed(2)
    tensors = [torch.randn(shape, generator=rng).requires_grad_() for shape in [(40, 30, 3, 3), (7,), ()]]
    tensors.append(torch.randn(5, generator=rng, dtype=torch.float64).requires_grad_())
    value = half_squares(tensors)
    expected = sum((tensor.detach().double() ** 2).sum() / 2 for tensor in tensors)
    torch.testing.assert_close(value.double(), expected.double(), rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(3 * value, tensors, create_graph=True)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        torch.testing.assert_close(gradient, 3 * tensor, rtol=0, atol=0)
    (second,) = torch.autograd.grad(gradients[0].sum(), tensors[0])
    assert (second == 3).all()
    assert half_squares([]) == 0
    assert half_squares([torch.full((4,), 3e2, dtype=torch.float16)]) == 1.8e5  # beyond the range of 16 bits


def test_the_gradient_of_the_weight_term_is_computed_after_that_of_the_model(batch, monkeypatch):
    """So its tensors, as large as the model, are not held beside the activations."""
    order, backward = [], loss_module._HalfSquares.backward
    monkeypatch.setattr(
        loss_module._HalfSquares, "backward", staticmethod(lambda *given: order.append("weights") or backward(*given))
    )
    model = small_model()

    def note_gradient(module, given, hidden):
        hidden.register_hook(lambda gradient: order.append("model"))

    model[0].register_forward_hook(note_gradient)
    HarmonizerLoss()(model, **batch).total.backward()
    assert order == ["model"] * order.count("model") + ["weights"] * 6
    assert order.count("model") >= 2


def test_a_model_may_clamp_its_weights_when_it_is_called(batch):
    class Clamped(nn.Linear):
        def forward(self, hidden):
            with torch.no_grad():
                self.weight.clamp_(-0.01, 0.01)
            return super().forward(hidden)

    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.Tanh(), nn.Flatten(), Clamped(256, 5))
    HarmonizerLoss(lambda_harmonization=0, lambda_weights=2.0)(model, **batch).total.backward()
    weighted = model[3].weight.grad.clone()
    model.zero_grad()
    HarmonizerLoss(lambda_harmonization=0, lambda_weights=0)(model, **batch).total.backward()
    torch.testing.assert_close(weighted, model[3].weight.grad + 2 * model[3].weight)


def test_a_misfit_batch_is_refused_with_its_shapes(batch):
    with pytest.raises(ArrayError, match=r"heatmaps \(4, 32, 32, 1\)"):
        HarmonizerLoss()(small_model(), **batch | {"heatmaps": batch["heatmaps"][..., None]})
    with pytest.raises(ArrayError, match=r"labels \(3,\)"):
        HarmonizerLoss()(small_model(), **batch | {"labels": batch["labels"][:3]})


def test_a_model_without_logits_or_gradient_is_refused(batch):
    with pytest.raises(ModelError, match=r"returns shape \(4, 3, 32, 32\), not logits"):
        HarmonizerLoss(lambda_weights=0)(nn.Identity(), **batch)

    class Blocked(nn.Module):
        def forward(self, images):
            return images.detach().flatten(1)[:, :5].requires_grad_()

    with pytest.raises(ModelError, match="not differentiable with respect to the image"):
        HarmonizerLoss(lambda_weights=0)(Blocked(), **batch)


def test_impossible_weights_are_refused():
    with pytest.raises(UsageError):
        HarmonizerLoss(lambda_harmonization=-1)
    with pytest.raises(UsageError):
        HarmonizerLoss(levels=0)
