"""Weight files in the layout that Keras 2 gives the published ones, filled with seeded noise: trained on nothing."""

import json
import math
from pathlib import Path

import h5py
import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "harmonized"
DAMPED = ("out_bn", "mlp_2_bn", "qkv_bn", "_q_bn", "_kv_bn")
SPREAD = {"bias": 0.02, "beta": 0.05, "moving_mean": 0.1, "cls": 0.3, "pos_embedding": 0.3, "positional_embedding": 0.3}


def layout(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def noise(seed, number, layer, name, shape):
    rng = np.random.default_rng([seed, number])
    role = name.rsplit("/", 1)[-1].split(":")[0]
    if role == "moving_variance":
        return (1 + 0.2 * rng.random(shape)).astype(np.float32)
    drawn = rng.standard_normal(shape, dtype=np.float32)
    if role in ("kernel", "depthwise_kernel"):
        drawn *= math.sqrt(2 / math.prod(shape[:2] if role == "depthwise_kernel" else shape[:-1]))
        return drawn
    if role == "gamma":
        drawn = 1 + 0.1 * drawn
        drawn *= 0.5 if layer.endswith(DAMPED) else 1.0
        return drawn
    if role == "weight":
        return 0.3 + 0.1 * drawn
    drawn *= SPREAD[role]
    return drawn


def write_keras(path, described, seed=1):
    """Write a file of that layout; an optimizer's slots are NaN, so that nobody takes them for weights unnoticed."""
    with h5py.File(path, "w") as file:
        for key, value in described["file_attrs"].items():
            file.attrs[key] = value if isinstance(value, str) else json.dumps(value).encode()
        group = described["weights_group"]
        root = file if group == "/" else file.create_group(group)
        root.attrs["layer_names"] = [layer["name"].encode() for layer in described["layers"]]
        number = 0
        for layer in described["layers"]:
            inside = root.require_group(layer["name"])
            inside.attrs["weight_names"] = [name.encode() for name, _, _ in layer["weights"]]
            for name, shape, _ in layer["weights"]:
                inside.create_dataset(name, data=noise(seed, number, layer["name"], name, tuple(shape)))
                number += 1
        for name, shape, dtype in described["optimizer_weights"]:
            file.require_group("optimizer_weights").create_dataset(
                name, tuple(shape), dtype, fillvalue=0 if dtype == "int64" else np.nan
            )
    return path


def fixed_input():
    """Two noise images, ImageNet-normalised, (2, 224, 224, 3)."""
    drawn = np.random.default_rng([1, 999]).uniform(0, 1, (2, 224, 224, 3))
    return ((drawn - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).astype(np.float32)
