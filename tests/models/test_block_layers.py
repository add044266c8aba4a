from functools import cache

import pytest
import timm
import torch

from brainscore_itmaps.models.layers import block_layers, layers_with_maps, spatial_maps

EXPECTED = {
    "resnet18": [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)],
    "test_vit": [f"blocks.{block}" for block in range(6)],
    "swin_tiny_patch4_window7_224": [
        f"layers.{stage}.blocks.{block}" for stage, depth in enumerate((2, 2, 6, 2)) for block in range(depth)
    ],
    "test_efficientnet": [f"blocks.{stage}.0" for stage in range(5)],
}


class Block(torch.nn.Module):
    """A convolution that preserves the size, wrapped in a module so that it has children."""

    def __init__(self, answer=lambda x: x):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.answer = answer

    def forward(self, x):
        return self.answer(self.conv(x))


class Stage(torch.nn.Module):
    """A module with a list of blocks, as a member of a Sequential."""

    def __init__(self, *blocks):
        super().__init__()
        self.blocks = torch.nn.ModuleList(blocks)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Row(torch.nn.Module):
    """Blocks that are called by a given function."""

    def __init__(self, blocks, walk):
        super().__init__()
        self.blocks = torch.nn.ModuleList(blocks)
        self.walk = walk

    def forward(self, x):
        return self.walk(self.blocks, x)


@cache
def built(architecture, **changes):
    """A timm model and its input size."""
    module = timm.create_model(architecture, **changes).eval()
    return module, module.pretrained_cfg["input_size"][-1]


def hooks_of(module):
    return [name for name, part in module.named_modules() if part._forward_hooks]


@pytest.mark.parametrize("architecture", EXPECTED)
def test_blocks_are_listed_in_the_order_of_the_model(architecture):
    assert block_layers(*built(architecture)) == EXPECTED[architecture]


def test_for_a_model_without_blocks_the_members_of_its_sequentials_are_listed():
    module, size = built("vgg11", num_classes=2)
    row = [f"features.{name}" for name, _ in module.features.named_children()]
    assert len(row) == 8 + 8 + 5  # convolutions, activations, pools
    assert block_layers(module, size) == row


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        *((architecture, {}) for architecture in EXPECTED),
        ("cait_xxs24_224", {"depth": 1}),  # its last blocks return the class token alone
        ("nest_tiny", {}),  # its blocks return separate windows of the image
    ],
)
def test_every_listed_layer_gives_a_map(architecture, changes):
    module, size = built(architecture, **changes)
    layers = block_layers(module, size)
    assert layers
    modules, outputs = dict(module.named_modules()), {}
    hooks = [
        modules[layer].register_forward_hook(
            lambda module, inputs, output, layer=layer: outputs.update({layer: output})
        )
        for layer in layers
    ]
    with torch.inference_mode():
        module(torch.zeros(2, 3, size, size))
    for hook in hooks:
        hook.remove()
    prefix = getattr(module, "num_prefix_tokens", None)
    for layer in layers:
        assert spatial_maps(outputs[layer].numpy(), layer, prefix).ndim == 4, layer


def test_a_block_that_runs_twice_or_never_or_gives_no_map_is_omitted():
    blocks = [
        Block(),
        Block(),
        Block(lambda x: (x, x)),
        Block(lambda x: x.mean(dim=(2, 3))),
        Block(),
        Block(lambda x: x.flatten(2).transpose(1, 2)),
        Block(lambda x: x[:, :, None]),
        Block(lambda x: x.repeat(4, 1, 1, 1)),
    ]

    def walk(blocks, x):
        x = blocks[1](blocks[1](blocks[0](x)))
        for number in (2, 3, 5, 6, 7):  # 4 is never called
            blocks[number](x)
        return x

    assert block_layers(Row(blocks, walk), 8) == ["blocks.0", "blocks.5"]


@pytest.mark.parametrize(
    "answer", [lambda x: x.mean(dim=(2, 3), keepdim=True), lambda x: x.flatten(2).transpose(1, 2)[:, :1]]
)
def test_a_block_with_a_single_unit_is_omitted(answer):
    def walk(blocks, x):
        return blocks[1](blocks[0](x))

    assert block_layers(Row([Block(), Block(answer)], walk), 8) == ["blocks.0"]


def test_a_block_that_contains_blocks_is_a_stage():
    model = torch.nn.Sequential(Stage(Block(), Block()), Block(), Stage(Block()))
    assert block_layers(model, 8) == ["0.blocks.0", "0.blocks.1", "1", "2.blocks.0"]


def test_a_block_may_begin_with_an_empty_sequential():
    """As the shortcut of many residual blocks: an empty Sequential is a child too."""

    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.shortcut = torch.nn.Sequential()
            self.conv = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.shortcut(x) + self.conv(x)

    assert block_layers(torch.nn.Sequential(Residual(), Residual()), 8) == ["0", "1"]
    model = torch.nn.Sequential(Stage(Residual(), Residual()), Stage(Residual()))
    assert block_layers(model, 8) == ["0.blocks.0", "0.blocks.1", "1.blocks.0"]


def test_members_of_sequentials_are_listed_only_if_no_block_gives_a_map():
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    plain(torch.zeros(1, 3, 8, 8))
    assert block_layers(plain, 8) == ["0", "1"]
    assert block_layers(torch.nn.Sequential(Block(lambda x: (x, x)), torch.nn.Identity()), 8) == []


def test_listing_layers_removes_all_hooks():
    module, size = built("test_vit")
    block_layers(module, size)
    assert hooks_of(module) == []

    def fail(blocks, x):
        blocks[0](x)
        raise RuntimeError("this model does not like images of zeros")

    failing = Row([Block()], fail)
    with pytest.raises(RuntimeError, match="images of zeros"):
        layers_with_maps(failing, ["blocks.0"], 8)
    assert hooks_of(failing) == []
