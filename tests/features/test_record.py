import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from brainscore_itmaps import load_model, record
from brainscore_itmaps.errors import ItMapsError, ModelError
from brainscore_itmaps.models.model import Model
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.zoo import ZOO


def model_of(module):
    """A model that takes 224-pixel images, around any module."""
    return Model(name="small", spec=ZOO["efficientnet_lite0"], module=module, weights=Weights("random", seed=0))


class OverwritesItsLayer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, 8, stride=8)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.relu_(self.layer(x)).zero_()


class Answers(torch.nn.Module):
    """A layer whose answer is made by a function of its input."""

    def __init__(self, answer):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.layer = torch.nn.Identity()
        self.layer.forward = answer

    def forward(self, x):
        self.layer(x * self.scale)
        return x


def test_activations_survive_operations_in_place(images):
    model = model_of(OverwritesItsLayer().eval())
    recorded = record(model, images, ["layer"])["layer"]
    with torch.inference_mode():
        expected = model.module.layer(model.preprocess(images)).numpy()
    np.testing.assert_array_equal(recorded, expected)
    assert recorded.min() < 0


def test_the_model_is_given_back_as_it_was(images):
    module = OverwritesItsLayer().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    record(model_of(module), images, ["layer"])
    assert module.training
    assert not module.layer._forward_hooks
    torch.testing.assert_close(dict(module.state_dict()), before)

    class Fails(OverwritesItsLayer):
        def forward(self, x):
            raise MemoryError

    failing = Fails().train()
    with pytest.raises(MemoryError):
        record(model_of(failing), images, ["layer"])
    assert failing.training
    assert not failing.layer._forward_hooks


@pytest.mark.parametrize("batch_size", [1, 5, 14])
def test_batch_size_and_threads_do_not_change_the_features(images, batch_size):
    model = load_model("timm:test_efficientnet", weights="random")
    layer = model.spec.layers["IT"]
    expected = record(model, images, [layer])[layer]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        calls = []
        recorded = record(
            model, images, [layer], batch_size=batch_size, progress=lambda done, total: calls.append((done, total))
        )[layer]
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(recorded, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert calls[-1] == (6, 6)


def test_several_layers_come_from_one_pass(images):
    model = load_model("timm:test_vit", weights="random")
    recorded = record(model, images, ["blocks.0", "blocks.1"])
    assert [maps.shape for maps in recorded.values()] == [(6, 64, 10, 10)] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: (x, x), r"gives a tuple: layer\[0\] \(image, 3, 224, 224\), layer\[1\] .* layer\[0\]\.$"),
        (lambda x: {"x": x.mean(dim=(2, 3))}, r"gives a dict: layer\[x\] \(image, 3\)\. Choose a layer"),
        (lambda x: "x", "gives a str, not one tensor. Choose a layer inside"),
        (lambda x: x.repeat(4, 1, 1, 1), "gave 24 activations for 6 images: 4 time steps or parts of each image"),
        (lambda x: torch.stack([x] * 4), r"gives 4 time steps, \(4, 6, 3, .*: layer\[0\] to layer\[3\]"),
        (lambda x: torch.complex(x, x), "gives numbers of type complex64"),
        (lambda x: (9 * x).int(), "gives numbers of type int32"),
        (lambda x: x.mean(dim=(2, 3)), "gives no map"),
        (lambda x: x.index_fill(0, torch.tensor([2, 4]), torch.nan), "not finite, on image-2.png, image-4.png"),
    ],
)
def test_a_layer_that_cannot_be_used_is_refused(images, answer, message):
    with pytest.raises(ModelError, match=message):
        record(model_of(Answers(answer)), images, ["layer"])


def test_a_layer_that_is_never_used_is_refused(images):
    model = load_model("timm:test_vit", weights="random")
    with pytest.raises(ModelError, match="gave 0 activations in a forward pass"):
        record(model, images, ["blocks.0.attn.attn_drop"])


def test_an_unknown_layer_is_answered_with_the_nearest(images):
    with pytest.raises(ModelError, match=r"has no layer 'blocks\.11'\. Did you mean blocks\.1"):
        record(load_model("timm:test_vit", weights="random"), images, ["blocks.11"])


def test_images_come_as_paths_text_a_folder_pillow_or_a_generator(images):
    model = load_model("timm:test_vit", weights="random")
    expected = record(model, images, "blocks.1")["blocks.1"]
    for given in (
        [str(image) for image in images],
        images[0].parent,
        str(images[0].parent),
        (image for image in images),
        [Image.open(image) for image in images],
    ):
        np.testing.assert_array_equal(record(model, given, "blocks.1")["blocks.1"], expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "There are no images"),
        (None, "A NoneType is not a list of images"),
        ({"a": "b.png"}, "A dict is not a list of images"),
        ([np.zeros((3, 4, 4))], "The images are a list that holds other values than paths"),
        (["a.jpg"], r"There is no image file a\.jpg"),
        (7, "A int is not a list of images"),
    ],
)
def test_what_are_no_images_is_a_sentence(given, message):
    with pytest.raises(ItMapsError, match=message):
        record(load_model("timm:test_vit", weights="random"), given, "blocks.1")


def test_an_empty_folder_is_a_sentence(tmp_path):
    with pytest.raises(ItMapsError, match="contains no images"):
        record(load_model("timm:test_vit", weights="random"), tmp_path, "blocks.1")


def test_modules_in_half_and_double_precision_get_their_type(images):
    model = load_model("timm:test_vit", weights="random")
    expected = record(model, images, "blocks.1")["blocks.1"]
    for kind, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.2)):
        typed = replace(model, module=copy.deepcopy(model.module).to(kind))
        np.testing.assert_allclose(record(typed, images, "blocks.1")["blocks.1"], expected, rtol=0, atol=tolerance)
