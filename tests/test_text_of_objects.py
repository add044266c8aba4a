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
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table

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


ELSEWHERE = {"Grid", "Recording", "Result", "ArrayResult", "Comparison", "Model", "Profile"}
"""Classes with a text of their own, which needs real values; the next test has them."""


@pytest.mark.parametrize(
    "found", [each for each in classes() if each.__name__ not in ELSEWHERE], ids=lambda c: c.__name__
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
    assert repr(left_out) == "LeftOut(predicted=<ndarray 14 x 17 x 17 x 32>, components=<ndarray 14>, penalty=None)"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(left_out)).predicted, left_out.predicted)


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
