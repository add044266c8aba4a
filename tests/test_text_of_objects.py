"""The text of every public object is short, whatever the size of its arrays and collections."""

import dataclasses
import importlib
import pickle
import pkgutil
import re
from html import escape, unescape

import numpy as np
import pandas as pd
import pytest
import torch
from shown import changed, scored
from studies import NAMES, planted

import brainscore_itmaps as itmaps
from brainscore_itmaps.benchmark.human import HumanAlignment
from brainscore_itmaps.metrics.alignment import Agreement
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table
from brainscore_itmaps.text import short_repr

LONGEST = 300
LARGE = {
    "NDArray": np.zeros((12, 13, 14, 15)),
    "ndarray": np.zeros((12, 13, 14, 15)),
    "Tensor": torch.zeros(12, 13, 14, 15),
    "DataFrame": pd.DataFrame(np.zeros((100, 30))),
    "Module": torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(100))),
}
"""By a word of an annotation: a value whose own text is long."""


def classes():
    """All public dataclasses and named tuples that hold arrays, tables or modules."""
    for module in pkgutil.walk_packages(itmaps.__path__, "brainscore_itmaps."):
        if "__main__" in module.name or "private" in module.name:
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            if (
                isinstance(found, type)
                and found.__module__ == module.name
                and not name.startswith("_")
                and (dataclasses.is_dataclass(found) or hasattr(found, "_fields"))
                and any(value is not None for value in fields(found).values())
            ):
                yield found


def large_value(annotation):
    """A large value of an annotated field, or None if the field holds no array, table or module."""
    if "Callable" in str(annotation):
        return None
    return next((value for word, value in LARGE.items() if word in str(annotation)), None)


def fields(found):
    return {name: large_value(annotation) for base in reversed(found.__mro__)
            for name, annotation in getattr(base, "__annotations__", {}).items()}  # fmt: skip


def filled(found):
    """An instance whose arrays are large."""
    if hasattr(found, "_fields"):
        return found(**{name: fields(found)[name] for name in found._fields})
    made = object.__new__(found)
    for field in dataclasses.fields(found):
        object.__setattr__(made, field.name, fields(found)[field.name])
    return made


OWN_REPR = {"Attack", "ArrayResult", "Ceiling", "Comparison", "Grid", "HumanAlignment", "LeftOut", "Model", "Profile",
            "Recording", "Result"}  # fmt: skip
"""Classes whose descriptions need real values: the next test describes real objects of them."""


@pytest.mark.parametrize(
    "found", [each for each in classes() if each.__name__ not in OWN_REPR], ids=lambda c: c.__name__
)
def test_the_text_of_large_objects_is_short(found):
    assert len(repr(filled(found))) <= LONGEST


def test_the_text_of_what_public_functions_return_is_short(tmp_path):
    result, recording = scored(), itmaps.load_recording("it_maps_simulated")
    model = itmaps.load_model("timm:test_resnet", "random")
    features = itmaps.record(model, recording, "layer3")
    fields = itmaps.to_grid(features, recording)
    field = fields["layer3"]
    table = tidy_table(planted(NAMES))
    left_out = itmaps.predict_left_out(field, recording.maps)
    objects = [
        result, result.arrays[0], result.arrays[0].layers[0], result.estimate, result.reading, result.request,
        recording, recording.grid, model, model.spec, left_out, itmaps.noise_ceiling(recording.maps),
        itmaps.compare_results(result, result), itmaps.score_features(field, recording.maps), table,
        features, fields, itmaps.profile(model, "it_maps_simulated", "blur", [0, 1], "layer3", interval="fixed"),
        findings(table, 20), itmaps.compare([result], tmp_path, maps=False, draws=20),
    ]  # fmt: skip
    for each in objects:
        assert len(repr(each)) <= LONGEST, type(each)
    assert repr(features) == "{'layer3': <ndarray 14 x 192 x 10 x 10>}"
    assert repr(model) == "<Model timm:test_resnet: random (seed 0), 160 x 160 pixels, layer3 committed to IT>"
    assert repr(left_out) == "<LeftOut: 14 images, 17 x 17 positions, 32 sites, 25 components>"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(left_out)).predicted, left_out.predicted)


def test_what_single_steps_return_is_told_in_one_line(tmp_path):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(8, 1, 6, 5, 1)) + 0.5 * rng.normal(size=(8, 2, 6, 5, 4))
    ceiling = itmaps.noise_ceiling(maps.mean(axis=1), "split_half", repeats=maps)
    low, high = ceiling.interval[:2]
    assert repr(ceiling) == f"<Ceiling split_half: {ceiling.value:.3f} ({low:.3f} to {high:.3f})>"
    undefined = dataclasses.replace(ceiling, value=np.nan, interval=(np.nan, np.nan, np.nan))
    assert repr(undefined) == "<Ceiling split_half: ->"
    field = rng.normal(size=(5, 4, 3, 6))
    several = itmaps.predict_left_out(field, np.stack([field[..., :2]] * 3), "ridge")
    assert repr(several) == "<LeftOut: 3 sets, 5 images, 4 x 3 positions, 2 sites, 6 components, ridge>"
    attacked = itmaps.attack(itmaps.load_model("timm:test_resnet", "random"), torch.rand(3, 3, 160, 160), steps=0)
    found = int(np.isfinite(attacked.norms).sum())
    tolerance = np.median(attacked.norms)
    assert repr(attacked) == f"<Attack: {found} of 3 images fooled, perturbation tolerance {tolerance:.3f}>"
    agreement = Agreement(*np.array([[0.25, 0.5], [0.5, 0.5], [0.5, 0.5]]))
    alignment = HumanAlignment(agreement, 50.0, (np.nan, np.nan), (0.2, 0.55))
    assert repr(alignment) == "<HumanAlignment on 2 images: rho 0.375 (0.200 to 0.550)>"
    assert repr(dataclasses.replace(alignment, raw_interval=(np.nan, np.nan))).endswith("rho 0.375>")


def test_numbers_in_a_description_have_four_digits():
    @short_repr
    @dataclasses.dataclass
    class Fitted:
        slope: float
        count: int

    assert repr(Fitted(np.float64(0.123456789), 123456)) == "Fitted(slope=0.1235, count=123456)"


def test_a_notebook_displays_a_comparison_with_scores_first_and_names_escaped(tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    first, *others = planted(NAMES[:3])
    comparison = itmaps.compare([changed(first, model=hostile), *others], tmp_path, maps=False, draws=20)
    shown = comparison._repr_html_()
    assert "SIMULATED" in shown
    assert hostile not in shown
    assert escape(hostile) in shown
    assert "style" not in shown  # the colours are those of the notebook
    heads, *rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown)]
    assert heads[:3] == ["score", "95 % interval", "model"]
    scores = [float(row[0]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    expected = {
        (found["model"], f"{found['score']:.3f}", f"{found['low']:.3f} to {found['high']:.3f}")
        for found in comparison.table.rows.to_dict("records")
    }
    assert {(unescape(row[2]), *row[:2]) for row in rows} == expected
    assert len(rows) == len(comparison.table.rows)


def test_a_notebook_displays_a_recording_and_a_profile():
    recording = itmaps.load_recording("it_maps_simulated")
    assert re.findall(r"<td>(.*?)</td>", recording._repr_html_())[:5] == ["14", "17 x 17", "32", "6", "100-250"]
    model = itmaps.load_model("timm:test_resnet", "random")
    profile = itmaps.profile(model, "it_maps_simulated", "blur", [0, 1], "layer3", interval="fixed")
    shown = profile._repr_html_()
    assert [row[:2] for row in re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", shown)] == [
        (f"{value:g}", f"{estimate.score:.3f}")
        for value, estimate in zip(profile.values, profile.estimates["it_maps_simulated"], strict=True)
    ]
    assert "SIMULATED" in shown
    assert "SIMULATED" in recording._repr_html_()
