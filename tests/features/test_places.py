"""How layers are read, and whether their units lie where their layout places them."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import timm.layers
import torch

from brainscore_itmaps import load_model, record, score
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.cache import default_cache
from brainscore_itmaps.errors import ModelError, NoMapError
from brainscore_itmaps.features.places import READINGS, layer_readings, shows_places
from brainscore_itmaps.models.layers import committed_layers
from brainscore_itmaps.models.spec import Weights

PREPROCESSING = {"size": 48, "mean": (0.5,) * 3, "std": (0.5,) * 3}


class Answers(torch.nn.Module):
    """Patches of 6 x 6 pixels, 8 x 8 of them, and a layer that a function makes of them."""

    def __init__(self, answer, channels=12):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches = torch.nn.Conv2d(3, channels, 6, stride=6)
        self.layer = torch.nn.Identity()
        self.layer.forward = answer

    def forward(self, x):
        self.layer(self.patches(x))
        return x


def model_of(answer, channels=12):
    return load_model(Answers(answer, channels), preprocessing=PREPROCESSING)


def tokens(x):
    return x.flatten(2).transpose(1, 2)


def beside(x, front, back):
    """Tokens with others in front of them and behind them, which see the whole image."""
    whole = tokens(x).mean(dim=1, keepdim=True)
    return torch.cat([whole] * front + [tokens(x)] + [whole] * back, dim=1)


def windows(x):
    """Tokens in the order of windows of 4 x 4."""
    images, channels = x.shape[:2]
    return x.reshape(images, channels, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(images, 64, channels)


def attention(x):
    """Attention weights between queries and keys."""
    return (tokens(x) @ tokens(x).transpose(1, 2)).softmax(dim=-1)[:, None].repeat(1, 3, 1, 1)


@pytest.mark.parametrize("channels", [12, 8, 64])
@pytest.mark.parametrize(
    ("answer", "layout"),
    [
        (lambda x: x, "NCHW"),
        (lambda x: x.permute(0, 2, 3, 1), "NHWC"),
        (lambda x: x.transpose(2, 3), "NCWH"),
        (tokens, ("tokens", 0)),
        (lambda x: beside(x, 1, 0), ("tokens", 1)),
        (lambda x: beside(x, 5, 0), ("tokens", 5)),
        (lambda x: beside(x, 0, 1), ("tokens", 0, 1)),
        (lambda x: beside(x, 0, 4), ("tokens", 0, 4)),
        (lambda x: x.flatten(2), ("channels", 0, 0)),
        (lambda x: beside(x, 1, 0).transpose(1, 2), ("channels", 1, 0)),
        (lambda x: tokens(x.transpose(2, 3)), ("tokens", 0, 0, "columns")),
    ],
)
@pytest.mark.filterwarnings("ignore:layer was read as")
def test_a_layer_is_read_as_the_layout_that_shows_the_changes(images, answer, layout, channels):
    model = model_of(answer, channels)
    (maps,) = record(model, images, "layer").values()
    with torch.inference_mode():
        expected = model.module.patches(model.preprocess(images)).numpy()
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)
    reading = layer_readings(model, ["layer"])["layer"]
    assert reading.layout in (None, layout)
    assert bool(reading.note) == (reading.layout is not None)  # what the shape alone does not say is said


@pytest.mark.parametrize(
    "answer",
    [
        windows,
        attention,
        lambda x: x.mean(dim=(2, 3), keepdim=True) + torch.linspace(0, 1, 64).reshape(8, 8),  # the same everywhere
        lambda x: tokens(x).flip(1),
        lambda x: x.roll(4, dims=3),
        lambda x: torch.randn(81, 64, generator=torch.Generator().manual_seed(0)) @ tokens(x),  # mixes all tokens
    ],
)
def test_a_layer_without_visible_places_is_refused(answer):
    with pytest.raises(
        NoMapError, match=r"'layer' of .* gives no map: .* does not show there\. Choose .*spatial_layout"
    ):
        layer_readings(model_of(answer), ["layer"])


def test_attention_weights_and_mixed_tokens_of_real_models_are_refused():
    timm.layers.set_fused_attn(False)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            vit = timm.create_model("vit_tiny_patch16_224", depth=2)
            mixer = timm.models.mlp_mixer.MlpMixer(num_blocks=2, embed_dim=256, img_size=224, patch_size=16)
        preprocessing = {**PREPROCESSING, "size": 224}
        for module, layer in ((vit, "blocks.1.attn.attn_drop"), (mixer, "blocks.1.mlp_tokens")):
            with pytest.raises(NoMapError, match="gives no map"):
                layer_readings(load_model(module, preprocessing=preprocessing), [layer])
        assert layer_readings(load_model(mixer, preprocessing=preprocessing), ["blocks.1"])["blocks.1"].note == ""
    finally:
        timm.layers.set_fused_attn(True)


@pytest.mark.parametrize(
    "architecture",
    ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "swin_tiny_patch4_window7_224", "levit_128s"],
)
def test_blocks_of_models_with_random_weights_show_their_places(architecture):
    model = load_model(f"timm:{architecture}", "random")
    layer = model.spec.layers["IT"]
    reading = layer_readings(model, [layer])[layer]
    assert (reading.layout, reading.note) == (None, "")


def test_a_stated_layout_is_read_and_noted_if_it_does_not_show():
    model = model_of(lambda x: beside(x, 0, 1))
    model.module.spatial_layout = {"layer": ("tokens", 0, 1)}
    reading = layer_readings(model, ["layer"])["layer"]
    assert (reading.layout, reading.note) == (("tokens", 0, 1), "")
    model = model_of(windows)
    model.module.spatial_layout = ["tokens", 0]
    reading = layer_readings(model, ["layer"])["layer"]
    assert reading.layout == ("tokens", 0)
    assert "are read as spatial_layout states them; changes of parts of the image do not show them" in reading.note


def test_a_layout_that_is_stated_after_a_layer_was_refused_is_read(own_home):
    model = model_of(windows)
    with pytest.raises(NoMapError):
        layer_readings(model, ["layer"], cache=default_cache(), content="windows")
    model.module.spatial_layout = ("tokens", 0)
    for cache in (None, default_cache()):
        READINGS.pop(model.module)
        reading = layer_readings(model, ["layer"], cache=cache, content="windows")["layer"]
        assert reading.layout == ("tokens", 0)
    model.module.spatial_layout = ("tokens", 0, 1)
    assert layer_readings(model, ["layer"], cache=default_cache(), content="windows")["layer"].layout[2] == 1


def test_layers_that_no_change_reaches_or_that_are_random_are_noted():
    dead = layer_readings(model_of(lambda x: torch.relu(x - 99)), ["layer"])["layer"]
    assert dead.note == ("layer: the places of its units could not be verified: changes of the image do not reach it")
    noisy = layer_readings(model_of(lambda x: x + 999 * torch.randn_like(x)), ["layer"])["layer"]
    assert noisy.note.endswith("could not be verified: its responses to the same image differ")
    model = model_of(lambda x: x + torch.randn_like(x))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    layer_readings(model, ["layer"])
    torch.testing.assert_close(torch.rand(2), expected)


def test_attention_weights_are_not_read_instead_of_the_attended_values():
    model = model_of(lambda x: {"weights": attention(x)[:, 0], "values": tokens(x)})
    assert layer_readings(model, ["layer"])["layer"].selector.elements == ("values",)
    model = model_of(lambda x: (tokens(x) * 1e-3 + tokens(x).mean(1, keepdim=True), attention(x)[:, 0]))
    assert layer_readings(model, ["layer"])["layer"].selector.elements == (0,)


def dropped(x):
    return torch.nn.functional.dropout(x, 0.5, training=True)


def normalised_over_the_batch(x):
    return torch.nn.functional.batch_norm(x, None, None, training=True)


@pytest.mark.parametrize(("answer", "noted"), [(dropped, True), (normalised_over_the_batch, True), (windows, False)])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_layer_with_places_whose_responses_depend_on_chance_or_on_the_batch_is_noted(answer, noted, precision):
    model = model_of(answer if noted else (lambda x: x))
    model.module.to(precision)
    assert ("depends on chance or on the batch size" in layer_readings(model, ["layer"])["layer"].note) is noted


def test_places_need_units_that_vary_in_both_directions():
    rows = np.linspace(1, 2, 5)[:, None] * np.ones((1, 5))
    only_rows = np.stack([rows[::-1], rows[::-1], rows, rows])
    assert shows_places([only_rows]) == 0
    assert np.isnan(shows_places([np.full((4, 5, 5), np.nan)]))


class Recurrent(torch.nn.Module):
    """Areas that run three times, of which the third call is planted to be another one than the first."""

    def __init__(self, gives=lambda x: x):
        super().__init__()
        self.V1, self.V2, self.V4, self.IT = (Area(3 + k, 4 + k, 1 + (k < 2), gives) for k in range(4))

    def forward(self, x):
        for step in (1, 2, 3):
            y = x * step
            for area in (self.V1, self.V2, self.V4, self.IT):
                y = area(y)
                y = y[0] if isinstance(y, tuple) else y
        return y


class Area(torch.nn.Module):
    def __init__(self, channels, outputs, stride, gives):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, outputs, 3, stride=stride, padding=1, bias=False)
        self.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in range(3))
        self.output = torch.nn.Identity()
        self.gives = gives

    def forward(self, x):
        return self.gives(self.output(self.norms[0](self.conv(x))))


def test_a_call_of_a_module_that_runs_repeatedly_is_selected(images):
    model = load_model(Recurrent(), preprocessing=PREPROCESSING)
    first, second, last = record(model, images, ["IT.output@1", "IT.output@2", "IT@last"], batch_size=4).values()
    assert first.shape == (6, 7, 12, 12)
    np.testing.assert_allclose(second, 2 * first, rtol=0, atol=1e-6)
    np.testing.assert_allclose(last, 3 * first, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            "IT.output",
            r"runs 3 times in a forward pass\. Select one call: IT\.output@1 to IT\.output@3, or IT\.output@last",
        ),
        ("IT.output@4", r"selects call 4 of 'IT\.output', which .* runs 3 times .* from @1 to @3, or IT\.output@last"),
        ("IT.output@0", r"has no layer 'IT\.output@0'\. After IT\.output, write @2"),
        ("IT@last[1]", r"'IT@last' gives a Tensor\. It contains IT@last \(image, 7, 12, 12\)"),
        ("IT.norms.2@last", "is not used: it gave 0 activations"),
        ("XT.output@2", r"has no layer 'XT\.output@2'\. Did you mean .*IT\.output"),
    ],
)
def test_a_selector_of_nothing_is_answered_with_what_can_be_selected(images, layer, message):
    with pytest.raises(ModelError, match=message):
        record(load_model(Recurrent(), preprocessing=PREPROCESSING), images, layer)


def test_the_area_named_it_is_read_and_the_result_says_why():
    once = torch.nn.Sequential()
    for name, channels in (("V1", 3), ("V2", 4), ("V4", 5), ("IT", 6)):
        once.add_module(name, Area(channels, channels + 1, 1, lambda x: x))
    assert committed_layers(once.eval(), 48) == {name: name for name in ("V1", "V2", "V4", "IT")}
    for gives, it in ((lambda x: x, "IT.output@last"), (lambda x: (x, x), "IT.output@last")):
        assert committed_layers(Recurrent(gives).eval(), 48)["IT"] == it
    module = Recurrent()
    result = score(module, "it_maps_simulated", preprocessing=PREPROCESSING)
    assert result.layer == "IT.output@last"
    assert (
        "IT layer IT.output@last: chosen by a rule (the last time step of the module that is named IT), not committed "
        "by the model's authors; --layers names another"
    ) in result.notes
    named = score(module, "it_maps_simulated", "IT.output@last", preprocessing=PREPROCESSING)
    assert not [note for note in named.notes if "chosen by a rule" in note]
    assert named.raw == result.raw


def test_only_models_of_the_tables_commit_a_layer():
    for name, stated in (("efficientnet_lite0", True), ("timm:test_vit", False)):
        notes = HookedModel(load_model(name, "random")).source().notes
        assert bool([note for note in notes if "chosen by a rule" in note]) == (not stated)


class Transformer(torch.nn.Module):
    """Blocks that return tuples, as those of other libraries do."""

    def __init__(self, gives):
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 12, 6, stride=6)
        self.blocks = torch.nn.ModuleList(Mixes(gives) for _ in range(3))

    def forward(self, x):
        x = tokens(self.patches(x))
        for block in self.blocks:
            output = block(x)
            x = output["hidden"] if isinstance(output, dict) else output[0]
        return x


class Mixes(torch.nn.Module):
    def __init__(self, gives):
        super().__init__()
        self.linear = torch.nn.Linear(12, 12)
        self.gives = gives

    def forward(self, x):
        return self.gives(x + self.linear(x))


@pytest.mark.parametrize(
    ("gives", "element"),
    [
        (lambda x: (x,), "[0]"),
        (lambda x: (x, None), "[0]"),
        (lambda x: (x, (x @ x.transpose(1, 2)).softmax(-1)[:, None]), "[0]"),  # attention weights
        (lambda x: {"hidden": x, "pooled": x.mean(dim=1)}, "[hidden]"),
    ],
)
def test_the_only_map_of_several_tensors_is_read_and_said(images, gives, element):
    model = load_model(Transformer(gives), preprocessing=PREPROCESSING)
    with pytest.warns(UserWarning, match="its only map, was read"):
        maps = record(model, images, "blocks.1")["blocks.1"]
    np.testing.assert_array_equal(maps, record(model, images, f"blocks.1{element}")[f"blocks.1{element}"])
    note = layer_readings(model, ["blocks.1"])["blocks.1"].note
    kind = "dict" if "hidden" in element else "tuple"
    assert note == f"blocks.1 gives a {kind}: blocks.1{element}, its only map, was read"


def test_blocks_that_return_tuples_are_blocks():
    model = load_model(Transformer(lambda x: (x, x.mean(dim=1))), preprocessing=PREPROCESSING)
    assert model.spec.layers["IT"] == "blocks.1"
    source = HookedModel(model).source(["all"])
    assert source.layers == ("blocks.0", "blocks.1", "blocks.2")


def test_all_blocks_leave_out_those_without_places_and_say_so():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            *(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Identity()) for _ in range(2))
        )
    module[1][1].forward = lambda x: windows(x.repeat(1, 1, 1, 1)[..., ::6, ::6]).transpose(1, 2).reshape(-1, 3, 8, 8)
    source = HookedModel(load_model(module, preprocessing=PREPROCESSING)).source(["all"])
    assert set(source.layers) == {"0", "0.0", "0.1", "1.0"}
    assert list(source.notes) == ["blocks without visible places in the image were left out: 1, 1.1"]


def test_how_a_layer_is_read_is_cached_with_the_weights(own_home):
    shown = []

    def notes_of_new_model():
        model = load_model("timm:test_vit", "random")
        model.module.register_forward_pre_hook(lambda module, inputs: shown.append(len(inputs[0])))
        return HookedModel(model).source(["blocks.2"], cache=default_cache()), model

    source, model = notes_of_new_model()
    assert shown == [5, 1, 3]
    HookedModel(model).source(["blocks.2"])
    assert shown == [5, 1, 3]  # in memory
    assert any((model.sha256, "blocks.2") == key[:2] for key in READINGS[model.module])
    again, _ = notes_of_new_model()
    assert shown == [5, 1, 3]  # on disk
    assert again.layers == source.layers == ("blocks.2",)


def test_a_layout_that_is_stated_after_a_first_reading_counts(own_home):
    model = model_of(attention, channels=3)
    with pytest.raises(NoMapError, match="spatial_layout"):
        layer_readings(model, ["layer"])
    model.module.spatial_layout = "NCHW"
    assert layer_readings(model, ["layer"])["layer"].layout == "NCHW"

    def cached_layout(stated):
        model = load_model("timm:test_vit", "random")
        if stated:
            model.module.spatial_layout = {"blocks.2": stated}
        return HookedModel(model).source(["blocks.2"], cache=default_cache()).read_as

    assert cached_layout(None) == {}
    assert cached_layout(("tokens", 1)) == {"blocks.2": "('tokens', 1)"}


def test_a_block_with_random_weights_is_not_refused(own_home):
    """Some architectures mix places until they are trained: TinyViT shows them or not, depending on the seed."""
    model = load_model("timm:tiny_vit_5m_224", "random", seed=1)
    source = HookedModel(model).source()
    assert source.layers == (model.spec.layers["IT"],) == ("stages.2",)
    assert [note.partition(":")[2][:20] for note in source.notes[1:]] == [" with random weights"]
    with pytest.raises(NoMapError, match="stages"):
        layer_readings(replace(model, weights=Weights("file")), ["stages.2"])


def test_compiled_modules_are_read_without_their_compiled_code(images):
    model = load_model("timm:test_resnet", "random")
    expected = record(model, images, "layer3")["layer3"]
    model.module.compile(backend="eager")
    np.testing.assert_allclose(record(model, images, "layer3")["layer3"], expected, rtol=0, atol=1e-5)
