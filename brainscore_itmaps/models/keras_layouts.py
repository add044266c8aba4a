"""Map the tensors of a harmonized model's Keras file to the parameters of the timm model.

The layouts are those that Keras 2.15 writes of the published architectures: keras.applications (VGG16), the ResNet-50
and EfficientNet-B0 of the harmonizer's authors, vit-keras (ViT), keras_cv_attention_models (ConvNeXt, LeViT, MaxViT).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float32]
Turn = Callable[[Array], Array]
Pairs = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Piece:
    """One tensor of the file, and its parameter in the model.

    Attributes
    ----------
    keras : str
        Layer and weight: ``conv1/kernel``.
    timm : str
        Parameter or buffer: ``conv1.weight``.
    shape : tuple of int
        What it has there, once turned.
    turn : callable
        Brings the axes into torch's order.
    part : int or None
        Which part of the parameter it fills, where several tensors share one: rows of that many follow each other.
    """

    keras: str
    timm: str
    shape: tuple[int, ...]
    turn: Turn
    part: int | None = None


def convolution(kernel: Array) -> Array:
    """Convert (height, width, in, out) to (out, in, height, width)."""
    return kernel.transpose(3, 2, 0, 1)


def depthwise(kernel: Array) -> Array:
    """Convert (height, width, channel, 1) to (channel, 1, height, width)."""
    return kernel.transpose(2, 3, 0, 1)


def dense(kernel: Array) -> Array:
    """Convert (in, out) to (out, in)."""
    return kernel.transpose()


def unchanged(tensor: Array) -> Array:
    """Return the array as it is."""
    return tensor


def flattened(kernel: Array) -> Array:
    """Convert VGG16's first dense layer to a convolution: Keras flattens (y, x, channel), torch (channel, y, x)."""
    return convolution(kernel.reshape(7, 7, 512, -1))


def reversed_table(table: Array) -> Array:
    """Convert MaxViT's relative positions (head, 13 * 13) to (head, 13, 13), counted in the opposite direction."""
    return table.reshape(-1, 13, 13)[:, ::-1, ::-1]


def pieces(architecture: str, module: nn.Module) -> list[Piece]:
    """List all tensors of an architecture's file, in the order of the file.

    Parameters
    ----------
    architecture : str
        One of :data:`LAYOUTS`.
    module : torch.nn.Module
        The timm model.
    """
    modules = dict(module.named_modules())
    state = module.state_dict()
    found: list[Piece] = []
    for keras, timm in LAYOUTS[architecture]():
        if timm in state:
            found.append(_alone(keras, timm, tuple(state[timm].shape)))
        else:
            found.extend(_of_layer(keras, timm, modules[timm]))
    return found


def _of_layer(keras: str, timm: str, layer: nn.Module) -> Iterator[Piece]:
    """List the weights of a layer, which Keras names after the kind of layer."""
    linear = isinstance(layer, nn.Linear | nn.Conv2d)
    is_depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
    weight = "depthwise_kernel" if is_depthwise else "kernel" if linear else "gamma"
    names = {"weight": weight, "bias": "bias" if linear else "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    part = None
    if (
        timm.endswith(".qkv")
        and (found := {"query": 0, "key": 1, "value": 2}.get(keras.rsplit("/", 1)[-1])) is not None
    ):
        part = found
    for parameter, name in names.items():
        tensor: Any = getattr(layer, parameter, None)
        if tensor is None:
            continue
        shape = tuple(tensor.shape)
        if part is not None:
            shape = (shape[0] // 3, *shape[1:])
        turn: Turn = unchanged
        if name == "depthwise_kernel":
            turn = depthwise
        elif name == "kernel" and timm == "pre_logits.fc1":
            turn = flattened
        elif name == "kernel":
            turn = _convolution_or_dense
        yield Piece(f"{keras}/{name}", f"{timm}.{parameter}", shape, turn, part)


def _convolution_or_dense(kernel: Array) -> Array:
    """Choose by the file's axes: a 1 x 1 convolution there may be a dense layer here, and the reverse."""
    return convolution(kernel) if kernel.ndim == 4 else dense(kernel)


def _alone(keras: str, timm: str, shape: tuple[int, ...]) -> Piece:
    if timm.endswith("relative_position_bias_table"):
        return Piece(keras, timm, shape, reversed_table)
    return Piece(keras, timm, shape, dense if timm.endswith("attention_biases") else unchanged)


def _resnet50() -> Pairs:
    yield from (("conv1", "conv1"), ("bn_conv1", "bn1"))
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(depth):
            here, there = f"{stage + 1}{'abcdef'[block]}_branch", f"layer{stage}.{block}"
            for number, part in enumerate("ab", start=1):
                yield from ((f"res{here}2{part}", f"{there}.conv{number}"), (f"bn{here}2{part}", f"{there}.bn{number}"))
            yield f"res{here}2c", f"{there}.conv3"
            if block == 0:
                yield f"res{here}1", f"{there}.downsample.0"
            yield f"bn{here}2c", f"{there}.bn3"
            if block == 0:
                yield f"bn{here}1", f"{there}.downsample.1"
    yield "fc1000", "fc"


def _vgg16() -> Pairs:
    numbers = iter((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28))
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for convolution_number in range(1, depth + 1):
            yield f"block{block}_conv{convolution_number}", f"features.{next(numbers)}"
    yield from (("fc1", "pre_logits.fc1"), ("fc2", "pre_logits.fc2"), ("predictions", "head.fc"))


def _efficientnet_b0() -> Pairs:
    yield from (("stem_conv", "conv_stem"), ("stem_bn", "bn1"))
    for stage, depth in enumerate((1, 2, 2, 3, 3, 4, 1)):
        for block in range(depth):
            here, there = f"block{stage + 1}{'abcd'[block]}_", f"blocks.{stage}.{block}."
            first = stage == 0  # has no expansion: its parts are one step earlier in timm's names
            if not first:
                yield from ((f"{here}expand_conv", f"{there}conv_pw"), (f"{here}expand_bn", f"{there}bn1"))
            yield from ((f"{here}dwconv", f"{there}conv_dw"), (f"{here}bn", f"{there}bn{1 if first else 2}"))
            yield from ((f"{here}se_reduce", f"{there}se.conv_reduce"), (f"{here}se_expand", f"{there}se.conv_expand"))
            yield f"{here}project_conv", f"{there}{'conv_pw' if first else 'conv_pwl'}"
            yield f"{here}project_bn", f"{there}bn{2 if first else 3}"
    yield from (("top_conv", "conv_head"), ("top_bn", "bn2"), ("probs", "classifier"))


def _vit_b16() -> Pairs:
    yield from (("embedding", "patch_embed.proj"), ("class_token/cls", "cls_token"))
    yield "Transformer/posembed_input/pos_embedding", "pos_embed"
    for block in range(12):
        here, there = f"Transformer/encoderblock_{block}", f"blocks.{block}"
        for part in ("query", "key", "value"):
            yield f"{here}/MultiHeadDotProductAttention_1/{part}", f"{there}.attn.qkv"
        yield f"{here}/MultiHeadDotProductAttention_1/out", f"{there}.attn.proj"
        yield from ((f"{here}/Dense_0", f"{there}.mlp.fc1"), (f"{here}/Dense_1", f"{there}.mlp.fc2"))
        yield from ((f"{here}/LayerNorm_0", f"{there}.norm1"), (f"{here}/LayerNorm_2", f"{there}.norm2"))
    yield from (("Transformer/encoder_norm", "norm"), ("head", "head"))


def _convnext_tiny() -> Pairs:
    yield from (("stem_conv", "stem.0"), ("stem_ln", "stem.1"))
    for stage, depth in enumerate((3, 3, 9, 3)):
        if stage > 0:
            for number, part in enumerate(("ln", "conv")):
                yield f"stack{stage + 1}_downsample_{part}", f"stages.{stage}.downsample.{number}"
        for block in range(depth):
            here, there = f"stack{stage + 1}_block{block + 1}_", f"stages.{stage}.blocks.{block}."
            yield from ((f"{here}dw_conv", f"{there}conv_dw"), (f"{here}ln", f"{there}norm"))
            yield from ((f"{here}up_dense", f"{there}mlp.fc1"), (f"{here}down_dense", f"{there}mlp.fc2"))
            yield f"{here}gamma/weight", f"{there}gamma"
    yield from (("head_ln", "head.norm"), ("predictions", "head.fc"))


def _maxvit_tiny() -> Pairs:
    yield from (("stem_1_conv", "stem.conv1"), ("stem_1_bn", "stem.norm1"), ("stem_2_conv", "stem.conv2"))
    for stage, depth in enumerate((2, 2, 5, 2)):
        for block in range(depth):
            here, there = f"stack_{stage + 1}_block_{block + 1}", f"stages.{stage}.blocks.{block}"
            yield f"{here}/mbconv/preact_bn", f"{there}.conv.pre_norm"
            yield from (
                (f"{here}/mbconv/expand_conv", f"{there}.conv.conv1_1x1"),
                (f"{here}/mbconv/expand_bn", f"{there}.conv.norm1"),
                (f"{here}/mbconv/MB_dw_conv", f"{there}.conv.conv2_kxk"),
                (f"{here}/mbconv/MB_dw_bn", f"{there}.conv.norm2"),
                (f"{here}/mbconv/se/1_conv", f"{there}.conv.se.fc1"),
                (f"{here}/mbconv/se/2_conv", f"{there}.conv.se.fc2"),
            )
            if stage > 0 and block == 0:
                yield f"{here}/mbconv/shortcut_conv", f"{there}.conv.shortcut.expand"
            yield f"{here}/mbconv/MB_pw_conv", f"{there}.conv.conv3_1x1"
            for kind in ("block", "grid"):
                attention = f"{there}.attn_{kind}"
                table = f"{attention}.attn.rel_pos.relative_position_bias_table"
                yield f"{here}/{kind}_attn_preact_ln", f"{attention}.norm1"
                yield f"{here}/{kind}_window_mhsa/qkv_conv", f"{attention}.attn.qkv"
                yield f"{here}/{kind}_window_mhsa/pos_emb/positional_embedding", table
                yield f"{here}/{kind}_window_mhsa/output", f"{attention}.attn.proj"
                yield f"{here}/{kind}_ffn_preact_ln", f"{attention}.norm2"
                for number in (1, 2):
                    yield f"{here}/{kind}_ffn/{number}_dense", f"{attention}.mlp.fc{number}"
    yield from (("post_ln", "head.norm"), ("features", "head.pre_logits.fc"), ("predictions", "head.fc"))


def _levit_128() -> Pairs:
    """List LeViT's tensors: Keras shrinks the map at the end of a stack, timm at the beginning of the next stage."""
    for number in range(1, 5):
        yield from ((f"stem_{number}_{part}", f"stem.conv{number}.{of}") for part, of in _WITH_NORM)
    for stage in range(3):
        for block in range(4):
            here, there = f"stack{stage + 1}_block{block + 1}_", f"stages.{stage}.blocks.{block}."
            yield from ((f"{here}qkv", f"{there}attn.qkv.linear"), (f"{here}qkv_bn", f"{there}attn.qkv.bn"))
            yield f"{here}attn_pos/positional_embedding", f"{there}attn.attention_biases"
            yield from _levit_end(here, f"{there}attn.", f"{there}mlp.")
        if stage < 2:
            here, there = f"stack{stage + 1}_downsample_", f"stages.{stage + 1}.downsample."
            attention = f"{there}attn_downsample."
            yield from ((f"{here}kv", f"{attention}kv.linear"), (f"{here}q", f"{attention}q.ln.linear"))
            yield from ((f"{here}kv_bn", f"{attention}kv.bn"), (f"{here}q_bn", f"{attention}q.ln.bn"))
            yield f"{here}attn_pos/positional_embedding", f"{attention}attention_biases"
            yield from _levit_end(here, attention, f"{there}mlp.")
    yield from (("head_bn", "head.bn"), ("head", "head.linear"))


_WITH_NORM = (("conv", "linear"), ("bn", "bn"))


def _levit_end(here: str, attention: str, mlp: str) -> Pairs:
    yield from ((f"{here}out", f"{attention}proj.ln.linear"), (f"{here}out_bn", f"{attention}proj.ln.bn"))
    for number in (1, 2):
        yield f"{here}mlp_{number}_dense", f"{mlp}ln{number}.linear"
        yield f"{here}mlp_{number}_bn", f"{mlp}ln{number}.bn"


LAYOUTS: dict[str, Callable[[], Pairs]] = {
    "resnet50": _resnet50,
    "vgg16": _vgg16,
    "tf_efficientnet_b0": _efficientnet_b0,
    "vit_base_patch16_224": _vit_b16,
    "convnext_tiny": _convnext_tiny,
    "maxvit_tiny_tf_224": _maxvit_tiny,
    "levit_128": _levit_128,
}
