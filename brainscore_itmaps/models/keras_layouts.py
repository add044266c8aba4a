"""Map the tensors of a harmonized model's Keras file to the parameters of the timm model.

The layouts are those that Keras 2.15 writes for the published architectures: keras.applications (VGG16), the ResNet-50
and EfficientNet-B0 of the harmonizer's authors, vit-keras (ViT), keras_cv_attention_models (ConvNeXt, LeViT, MaxViT).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

KerasArray = NDArray[np.float32]
Conversion = Callable[[KerasArray], KerasArray]
Pairs = Iterator[tuple[str, str]]
"""Names of layers or weights: in Keras, in timm."""


@dataclass(frozen=True)
class TensorMapping:
    """A tensor of the Keras file, and its parameter in the timm model.

    Attributes
    ----------
    keras : str
        Layer and weight in the Keras file: ``conv1/kernel``.
    timm : str
        Parameter or buffer of the timm model: ``conv1.weight``.
    shape : tuple of int
        Shape after the conversion.
    convert : callable
        Converts the axes to torch's order.
    part : int or None
        Index of the equal part of the parameter's rows that the tensor fills, if several tensors share a parameter.
    """

    keras: str
    timm: str
    shape: tuple[int, ...]
    convert: Conversion
    part: int | None = None


def convolution(kernel: KerasArray) -> KerasArray:
    """Transpose the kernel of a convolution from (height, width, in, out) to (out, in, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import convolution
    >>> convolution(np.zeros((3, 5, 8, 16), np.float32)).shape
    (16, 8, 3, 5)
    """
    return kernel.transpose(3, 2, 0, 1)


def depthwise(kernel: KerasArray) -> KerasArray:
    """Transpose the kernel of a depthwise convolution from (height, width, channel, 1) to (channel, 1, height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import depthwise
    >>> depthwise(np.zeros((3, 5, 8, 1), np.float32)).shape
    (8, 1, 3, 5)
    """
    return kernel.transpose(2, 3, 0, 1)


def dense(kernel: KerasArray) -> KerasArray:
    """Transpose the kernel of a dense layer from (in, out) to (out, in).

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import dense
    >>> dense(np.zeros((3, 5), np.float32)).shape
    (5, 3)
    """
    return kernel.transpose()


def unchanged(tensor: KerasArray) -> KerasArray:
    """Return a tensor without conversion.

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import unchanged
    >>> unchanged(np.float32([1.0, 2.0]))
    array([1., 2.], dtype=float32)
    """
    return tensor


def flattened(kernel: KerasArray) -> KerasArray:
    """Convert the kernel of VGG16's first dense layer to that of a 7 x 7 convolution.

    Parameters
    ----------
    kernel : array, shape (7 * 7 * 512, out)
        Keras flattens the axes (y, x, channel) of the input.

    Returns
    -------
    array, shape (out, 512, 7, 7)

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import flattened
    >>> flattened(np.zeros((7 * 7 * 512, 3), np.float32)).shape
    (3, 512, 7, 7)
    """
    return convolution(kernel.reshape(7, 7, 512, -1))


def reversed_table(table: KerasArray) -> KerasArray:
    """Reverse the axes of MaxViT's table of relative position biases, which Keras counts in the opposite direction.

    Parameters
    ----------
    table : array, shape (head, 13 * 13)

    Returns
    -------
    array, shape (head, 13, 13)

    Examples
    --------
    >>> import numpy as np
    >>> from brainscore_itmaps.models.keras_layouts import reversed_table
    >>> table = reversed_table(np.arange(2 * 169, dtype=np.float32).reshape(2, 169))
    >>> table.shape, float(table[0, 0, 0])
    ((2, 13, 13), 168.0)
    """
    return table.reshape(-1, 13, 13)[:, ::-1, ::-1]


def tensor_mappings(architecture: str, module: nn.Module) -> list[TensorMapping]:
    """List the tensors of an architecture's Keras file in their order in the file, with their timm parameters.

    Parameters
    ----------
    architecture : str
        A key of :data:`LAYOUTS`.
    module : torch.nn.Module
        The timm model.

    Examples
    --------
    >>> import timm
    >>> import torch
    >>> from brainscore_itmaps.models.keras_layouts import tensor_mappings
    >>> with torch.device("meta"):
    ...     mappings = tensor_mappings("resnet50", timm.create_model("resnet50"))
    >>> mappings[0].keras, mappings[0].timm, mappings[0].shape
    ('conv1/kernel', 'conv1.weight', (64, 3, 7, 7))
    """
    modules = dict(module.named_modules())
    state = module.state_dict()
    mappings: list[TensorMapping] = []
    for keras, timm in LAYOUTS[architecture]():
        if timm in state:
            mappings.append(_mapping_of_parameter(keras, timm, tuple(state[timm].shape)))
        else:
            mappings.extend(_mappings_of_layer(keras, timm, modules[timm]))
    return mappings


def _mappings_of_layer(keras: str, timm: str, layer: nn.Module) -> Iterator[TensorMapping]:
    """Map the weights of a layer, whose names in Keras depend on the type of the layer."""
    linear = isinstance(layer, nn.Linear | nn.Conv2d)
    is_depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
    weight = "depthwise_kernel" if is_depthwise else "kernel" if linear else "gamma"
    names = {"weight": weight, "bias": "bias" if linear else "beta"}
    names |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
    part = {"query": 0, "key": 1, "value": 2}.get(keras.rsplit("/", 1)[-1]) if timm.endswith(".qkv") else None
    for parameter, name in names.items():
        tensor: Any = getattr(layer, parameter, None)
        if tensor is None:
            continue
        shape = tuple(tensor.shape)
        if part is not None:
            shape = (shape[0] // 3, *shape[1:])
        convert: Conversion = unchanged
        if name == "depthwise_kernel":
            convert = depthwise
        elif name == "kernel" and timm == "pre_logits.fc1":
            convert = flattened
        elif name == "kernel":
            convert = _convolution_or_dense
        yield TensorMapping(f"{keras}/{name}", f"{timm}.{parameter}", shape, convert, part)


def _convolution_or_dense(kernel: KerasArray) -> KerasArray:
    """Transpose a kernel by its number of axes, as a 1 x 1 convolution in Keras may be a dense layer in timm."""
    return convolution(kernel) if kernel.ndim == 4 else dense(kernel)


def _mapping_of_parameter(keras: str, timm: str, shape: tuple[int, ...]) -> TensorMapping:
    """Map a parameter that is not part of a layer of torch."""
    if timm.endswith("relative_position_bias_table"):
        return TensorMapping(keras, timm, shape, reversed_table)
    return TensorMapping(keras, timm, shape, dense if timm.endswith("attention_biases") else unchanged)


def _resnet50() -> Pairs:
    yield from (("conv1", "conv1"), ("bn_conv1", "bn1"))
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(depth):
            keras, timm = f"{stage + 1}{'abcdef'[block]}_branch", f"layer{stage}.{block}"
            for number, part in enumerate("ab", start=1):
                yield from ((f"res{keras}2{part}", f"{timm}.conv{number}"), (f"bn{keras}2{part}", f"{timm}.bn{number}"))
            yield f"res{keras}2c", f"{timm}.conv3"
            if block == 0:
                yield f"res{keras}1", f"{timm}.downsample.0"
            yield f"bn{keras}2c", f"{timm}.bn3"
            if block == 0:
                yield f"bn{keras}1", f"{timm}.downsample.1"
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
            keras, timm = f"block{stage + 1}{'abcd'[block]}_", f"blocks.{stage}.{block}."
            first = stage == 0  # without expansion, so that timm's numbers are lower by one
            if not first:
                yield from ((f"{keras}expand_conv", f"{timm}conv_pw"), (f"{keras}expand_bn", f"{timm}bn1"))
            yield from ((f"{keras}dwconv", f"{timm}conv_dw"), (f"{keras}bn", f"{timm}bn{1 if first else 2}"))
            yield from ((f"{keras}se_reduce", f"{timm}se.conv_reduce"), (f"{keras}se_expand", f"{timm}se.conv_expand"))
            yield f"{keras}project_conv", f"{timm}{'conv_pw' if first else 'conv_pwl'}"
            yield f"{keras}project_bn", f"{timm}bn{2 if first else 3}"
    yield from (("top_conv", "conv_head"), ("top_bn", "bn2"), ("probs", "classifier"))


def _vit_b16() -> Pairs:
    yield from (("embedding", "patch_embed.proj"), ("class_token/cls", "cls_token"))
    yield "Transformer/posembed_input/pos_embedding", "pos_embed"
    for block in range(12):
        keras, timm = f"Transformer/encoderblock_{block}", f"blocks.{block}"
        for part in ("query", "key", "value"):
            yield f"{keras}/MultiHeadDotProductAttention_1/{part}", f"{timm}.attn.qkv"
        yield f"{keras}/MultiHeadDotProductAttention_1/out", f"{timm}.attn.proj"
        yield from ((f"{keras}/Dense_0", f"{timm}.mlp.fc1"), (f"{keras}/Dense_1", f"{timm}.mlp.fc2"))
        yield from ((f"{keras}/LayerNorm_0", f"{timm}.norm1"), (f"{keras}/LayerNorm_2", f"{timm}.norm2"))
    yield from (("Transformer/encoder_norm", "norm"), ("head", "head"))


def _convnext_tiny() -> Pairs:
    yield from (("stem_conv", "stem.0"), ("stem_ln", "stem.1"))
    for stage, depth in enumerate((3, 3, 9, 3)):
        if stage > 0:
            for number, part in enumerate(("ln", "conv")):
                yield f"stack{stage + 1}_downsample_{part}", f"stages.{stage}.downsample.{number}"
        for block in range(depth):
            keras, timm = f"stack{stage + 1}_block{block + 1}_", f"stages.{stage}.blocks.{block}."
            yield from ((f"{keras}dw_conv", f"{timm}conv_dw"), (f"{keras}ln", f"{timm}norm"))
            yield from ((f"{keras}up_dense", f"{timm}mlp.fc1"), (f"{keras}down_dense", f"{timm}mlp.fc2"))
            yield f"{keras}gamma/weight", f"{timm}gamma"
    yield from (("head_ln", "head.norm"), ("predictions", "head.fc"))


def _maxvit_tiny() -> Pairs:
    yield from (("stem_1_conv", "stem.conv1"), ("stem_1_bn", "stem.norm1"), ("stem_2_conv", "stem.conv2"))
    for stage, depth in enumerate((2, 2, 5, 2)):
        for block in range(depth):
            keras, timm = f"stack_{stage + 1}_block_{block + 1}", f"stages.{stage}.blocks.{block}"
            yield f"{keras}/mbconv/preact_bn", f"{timm}.conv.pre_norm"
            yield from (
                (f"{keras}/mbconv/expand_conv", f"{timm}.conv.conv1_1x1"),
                (f"{keras}/mbconv/expand_bn", f"{timm}.conv.norm1"),
                (f"{keras}/mbconv/MB_dw_conv", f"{timm}.conv.conv2_kxk"),
                (f"{keras}/mbconv/MB_dw_bn", f"{timm}.conv.norm2"),
                (f"{keras}/mbconv/se/1_conv", f"{timm}.conv.se.fc1"),
                (f"{keras}/mbconv/se/2_conv", f"{timm}.conv.se.fc2"),
            )
            if stage > 0 and block == 0:
                yield f"{keras}/mbconv/shortcut_conv", f"{timm}.conv.shortcut.expand"
            yield f"{keras}/mbconv/MB_pw_conv", f"{timm}.conv.conv3_1x1"
            for kind in ("block", "grid"):
                attention = f"{timm}.attn_{kind}"
                table = f"{attention}.attn.rel_pos.relative_position_bias_table"
                yield f"{keras}/{kind}_attn_preact_ln", f"{attention}.norm1"
                yield f"{keras}/{kind}_window_mhsa/qkv_conv", f"{attention}.attn.qkv"
                yield f"{keras}/{kind}_window_mhsa/pos_emb/positional_embedding", table
                yield f"{keras}/{kind}_window_mhsa/output", f"{attention}.attn.proj"
                yield f"{keras}/{kind}_ffn_preact_ln", f"{attention}.norm2"
                for number in (1, 2):
                    yield f"{keras}/{kind}_ffn/{number}_dense", f"{attention}.mlp.fc{number}"
    yield from (("post_ln", "head.norm"), ("features", "head.pre_logits.fc"), ("predictions", "head.fc"))


def _levit_128() -> Pairs:
    """List LeViT's layers; Keras downsamples the map at the end of a stack, timm at the start of the next stage."""
    for number in range(1, 5):
        yield from ((f"stem_{number}_{part}", f"stem.conv{number}.{module}") for part, module in _WITH_NORM)
    for stage in range(3):
        for block in range(4):
            keras, timm = f"stack{stage + 1}_block{block + 1}_", f"stages.{stage}.blocks.{block}."
            yield from ((f"{keras}qkv", f"{timm}attn.qkv.linear"), (f"{keras}qkv_bn", f"{timm}attn.qkv.bn"))
            yield f"{keras}attn_pos/positional_embedding", f"{timm}attn.attention_biases"
            yield from _levit_end(keras, f"{timm}attn.", f"{timm}mlp.")
        if stage < 2:
            keras, timm = f"stack{stage + 1}_downsample_", f"stages.{stage + 1}.downsample."
            attention = f"{timm}attn_downsample."
            yield from ((f"{keras}kv", f"{attention}kv.linear"), (f"{keras}q", f"{attention}q.ln.linear"))
            yield from ((f"{keras}kv_bn", f"{attention}kv.bn"), (f"{keras}q_bn", f"{attention}q.ln.bn"))
            yield f"{keras}attn_pos/positional_embedding", f"{attention}attention_biases"
            yield from _levit_end(keras, attention, f"{timm}mlp.")
    yield from (("head_bn", "head.bn"), ("head", "head.linear"))


_WITH_NORM = (("conv", "linear"), ("bn", "bn"))


def _levit_end(keras: str, attention: str, mlp: str) -> Pairs:
    yield from ((f"{keras}out", f"{attention}proj.ln.linear"), (f"{keras}out_bn", f"{attention}proj.ln.bn"))
    for number in (1, 2):
        yield f"{keras}mlp_{number}_dense", f"{mlp}ln{number}.linear"
        yield f"{keras}mlp_{number}_bn", f"{mlp}ln{number}.bn"


LAYOUTS: dict[str, Callable[[], Pairs]] = {
    "resnet50": _resnet50,
    "vgg16": _vgg16,
    "tf_efficientnet_b0": _efficientnet_b0,
    "vit_base_patch16_224": _vit_b16,
    "convnext_tiny": _convnext_tiny,
    "maxvit_tiny_tf_224": _maxvit_tiny,
    "levit_128": _levit_128,
}
