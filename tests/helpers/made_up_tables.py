"""Made-up tables in the format of the published ones, at the same paths. All numbers are made up."""

import csv
import io
from functools import cache
from hashlib import sha256

import numpy as np

from brainscore_itmaps.data.published import published_files
from brainscore_itmaps.data.published_tables import MAPS_FILE
from brainscore_itmaps.pinned_files import PinnedFile

SHAPES = {"george_posterior_it": (17, 32), "george_central_it": (17, 31), "red_central_it": (9, 32)}
CEILING = 0.8
CHANGE = 75.0
"""Accuracy at which the planted scores of monkey1_ML at 131-170 ms begin to fall."""
MAPS_HEADER = ("model_name", "stimuli_name", "stimuli_shape", "neural_response_shape", "time_a", "time_b", "layer_name",
               "ceiling_score", "brain_score", "brain_score_std")  # fmt: skip
PATHS = {file.name: file.path for file in published_files()}


def models(number):
    """Names of made-up models, the last four of which are robust."""
    return [f"made_up_{index}.in1k" for index in range(number)]


def accuracies(number):
    return np.linspace(60, 90, number).round(3)


def planted(accuracy):
    """An inverted U of two straight lines, in published score / ceiling."""
    return 0.5 + np.where(accuracy < CHANGE, 0.01, -0.012) * (accuracy - CHANGE)


def text_of(header, rows):
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([header, *rows])
    return written.getvalue()


def made_up_tables(number=40):
    """Path of each published table to a made-up text in its format; the dictionary may be changed."""
    return dict(_made_up_tables(number))


@cache
def _made_up_tables(number, seed=0):
    """Path of each published table to a made-up text in its format."""
    rng = np.random.default_rng(seed)
    names, top1 = models(number), accuracies(number)
    tables = {}
    for name, path in PATHS.items():
        if parts := MAPS_FILE.fullmatch(name):
            recording, start, stop, _ = parts.groups()
            side, sites = SHAPES[recording]
            is_planted = (recording, start) == ("george_central_it", "131")
            scores = planted(top1) if is_planted else 0.4 + 0.002 * (top1 - 75)
            raw = CEILING * (scores + rng.normal(0, 0.002, number))
            tables[path] = text_of(MAPS_HEADER, [
                (model, recording, "(14, 3, 224, 224)", f"(14, {side}, {side}, {sites})", start, stop, f"blocks.{row}",
                 CEILING, raw[row], 0.1)
                for row, model in enumerate(names)
            ])  # fmt: skip
    clickme = 0.4 - 0.01 * (top1 - 60) + rng.normal(0, 0.05, number)
    kinds = ["cnn"] * (number - 4) + ["adv"] * 4
    tables[PATHS["large_scale_results_hmn.csv"]] = text_of(
        ("model", "top1", "multi_label_acc", "param_count", "type1", "type2", "img_size", "time", "spearman",
         "spearman_std"),
        [(name, top1[row], 0.9, 25.6, kinds[row], "none", 224, 9.5, clickme[row], 0.1)
         for row, name in enumerate(names)],
    )  # fmt: skip
    tables[PATHS["adversarial_alignment_L2FMNAttack.csv"]] = text_of(
        ("model", "pt", "aa", "pt_sem", "aa_sem"),
        [(name, 1 + 0.1 * row, clickme[row] / 2, 0.05, 0.01) for row, name in enumerate(names[:-2])],
    )
    sites = ("SanghaviMurty2020.IT-pls", "Sanghavi2020.IT-pls", "SanghaviJozwik2020.IT-pls", "MajajHong2015.IT-pls")
    submissions = [(f"submission{row}", ".5", *[f"{rng.uniform(0.3, 0.6):.3f}"[1:]] * 4, f"0.{500 + 8 * row}")
                   for row in range(number)]  # fmt: skip
    submissions += [("submission0", "X", "X", "X", "X", ".508", "X"), ("submission1", "", "", "", "", ".5", "")]
    tables[PATHS["benchmark_scores.csv"]] = text_of(
        ("model_name", "average_vision", *sites, "ImageNet-top1"), submissions
    )
    tables[PATHS["brainscore_coded.csv"]] = text_of(
        ("model_name", "model_type", "ImageNet-top1", "MajajHong2015.IT-pls", "vision_or_VLM"),
        [(f"submission{row}", "Adversarial" if row < 3 else "CNN", 0.5 + 0.009 * row, rng.uniform(0.4, 0.6), "vision")
         for row in range(number)],
    )  # fmt: skip
    tables[PATHS["brainscore_MajajHong2015public_IT.csv"]] = text_of(
        ("model_name", "stimuli_name", "neural_response_shape", "layer_name", "ceiling_score", "brain_score_std",
         "brain_score"),
        [(name, "MajajHong2015public", "(3200, 168)", "blocks.1", 0.816, 0.01, rng.uniform(0.4, 0.6))
         for name in names],
    )  # fmt: skip
    return tables


def manifest_of(tables):
    """The list of made-up files, with the repositories and commits of the published ones."""
    return tuple(
        PinnedFile(file.repository, file.commit, file.path, len(content), sha256(content).hexdigest())
        for file in published_files()
        if (content := tables[file.path].encode()) is not None
    )


def write_tables(folder, tables):
    for path, text in tables.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="")
    return folder


def followup(model="timm:made_up_3.in1k", raw=0.37, **given):
    """A made-up result as if scored on monkey1_ML with the published choices; no animal was recorded for it."""
    from shown import changed, scored

    from brainscore_itmaps.models.spec import Weights

    array = scored().arrays[0]
    sites = given.pop("sites", tuple(f"site{number}" for number in range(31)))
    fields = {
        "recording": "Arcaro2020.monkey1_ML-followup",
        "simulated": False,
        "window": (130, 170),
        "sites": sites,
        "raw": raw,
        "ceiling": CEILING,
        "score": raw / CEILING,
        **dict.fromkeys(("predicted", "neural"), np.zeros((len(array.images), 17, 17, len(sites)))),
    }
    weights = given.pop("weights", Weights("pretrained", source="made up", sha256="0" * 64))
    protocol = given.pop("protocol", "followup")
    array = changed(array, **fields | given)
    top1 = {"imagenet_top1": 70.0, "imagenet_top1_source": "made up"}
    return changed(scored(), model=model, benchmark="made_up", protocol=protocol, arrays=(array,), raw=raw,
                   weights=weights, score=raw / CEILING, **top1)  # fmt: skip
