"""A study to compare: many named models, SIMULATED, whose scores follow a planted edge and gain."""

import numpy as np
from shown import changed, scored

from brainscore_itmaps.metrics.folds import groups_left_out
from brainscore_itmaps.metrics.inference import mean_without
from brainscore_itmaps.models.spec import Weights
from brainscore_itmaps.models.timm_models import timm_top1

NAMES = (
    "resnet50.a1_in1k",
    "resnet18.a1_in1k",
    "resnet34.a1_in1k",
    "resnet101.a1_in1k",
    "vit_base_patch16_224.augreg_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "convnext_tiny.fb_in1k",
    "efficientnet_b0.ra_in1k",
    "vgg16.tv_in1k",
    "levit_128.fb_dist_in1k",
    "tf_efficientnet_b0.ap_in1k",
)
TWINS = ("resnet50", "vgg16")
GAIN = 0.12


def planted(names=NAMES, twins=TWINS, label="", window=(100, 250), seed=0):
    """A result of each model, on the simulated recording."""
    rng = np.random.default_rng(seed)
    result = scored()
    array = result.arrays[0]
    images = rng.normal(0, 0.05, len(array.images))

    def of(model, accuracy, score):
        single = rng.normal(0, 0.02, len(array.images))
        values = np.clip(score + images + single - single.mean() - images.mean(), 0.01, None) * array.ceiling
        raw = float(values.mean())
        without = mean_without(values, groups_left_out(len(values))) / array.ceiling
        own = changed(
            array, window=window, image_value=values, raw=raw, score=raw / array.ceiling, replicates=without,
            groups=(len(without),), interval=(raw / array.ceiling - 0.04, raw / array.ceiling + 0.04),
            alignment=score + rng.normal(0, 0.02),
        )  # fmt: skip
        sha256 = model.encode().hex().ljust(64, "0")[:64]
        return changed(
            result, model=model, weights=Weights("pretrained", source=f"weights of {model}", sha256=sha256),
            imagenet_top1=accuracy, imagenet_top1_source="made up", label=label, arrays=(own,), raw=raw,
            score=own.score, interval=own.interval, alignment=own.alignment, replicates=without, groups=(len(without),),
        )  # fmt: skip

    def edge(accuracy):
        return 0.5 - 0.002 * (accuracy - 77) ** 2

    results = []
    for name in names:
        accuracy = timm_top1(name)[0] or 75.0
        results.append(of(f"timm:{name}", accuracy, edge(accuracy) - rng.exponential(0.05)))
    for twin in twins:
        baseline = edge(76.0) - 0.1
        results.append(of(f"{twin}_timm_baseline", 76.0, baseline))
        results.append(of(f"harmonized_{twin}", 77.0, baseline + GAIN))
    return results


def in_windows(names=NAMES[:3], twins=TWINS):
    """The same models in three windows."""
    return [
        result
        for number, window in enumerate(((50, 100), (100, 150), (150, 200)))
        for result in planted(names, twins, label=f"{window[0]}-{window[1]}", window=window, seed=number)
    ]


def human(result, score):
    """What human alignment of a model says, as it is written."""
    return {
        "model": result.model,
        "weights": str(result.weights),
        "weights_sha256": result.weights_sha256,
        "benchmark": "ClickMe.alignment",
        "benchmark_version": 1,
        "score": score,
        "interval": [score - 0.1, score + 0.1],
        "raw": score * 0.6,
        "ceiling": 0.6,
        "reference_compat": False,
    }


def theirs(model, score, benchmark="MajajHong2015public.IT-pls", weights="pretrained"):
    """What a benchmark of Brain-Score's own says, as it is written."""
    return {
        "model": model,
        "benchmark": benchmark,
        "weights": weights,
        "score": score,
        "raw": score * 0.8,
        "ceiling": 0.8,
        "error": 0.01,
        "comment": None,
    }
