"""The text of every public object is short, whatever the size of its arrays and collections."""

import dataclasses
import importlib
import pickle
import pkgutil

import numpy as np
import pandas as pd
import pytest
import torch
from shown import scored
from studies import NAMES, planted

import brainscore_itmaps as itmaps
from brainscore_itmaps.study.fits import findings
from brainscore_itmaps.study.table import tidy_table

LONGEST = 1000
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


ELSEWHERE = {"Grid", "Recording", "Result", "ArrayResult", "Comparison"}
"""Classes with a text of their own, which needs real values; the next test has them."""


@pytest.mark.parametrize(
    "found", [each for each in classes() if each.__name__ not in ELSEWHERE], ids=lambda c: c.__name__
)
def test_the_text_of_large_objects_is_short(found):
    assert len(repr(filled(found))) < LONGEST


def test_the_text_of_what_public_functions_return_is_short(tmp_path):
    result, recording = scored(), itmaps.load_recording("it_maps_simulated")
    model = itmaps.load_model("timm:test_resnet", "random")
    field = itmaps.to_grid(itmaps.record(model, recording, "layer3")["layer3"], recording)
    table = tidy_table(planted(NAMES))
    left_out = itmaps.predict_left_out(field, recording.maps)
    objects = [
        result, result.arrays[0], result.arrays[0].layers[0], result.estimate, result.reading, result.request,
        recording, recording.grid, model, model.spec, left_out, itmaps.noise_ceiling(recording.maps),
        itmaps.compare_results(result, result), itmaps.score_features(field, recording.maps), table,
        findings(table, 20), itmaps.compare([result], tmp_path, maps=False, draws=20),
    ]  # fmt: skip
    for each in objects:
        assert len(repr(each)) < LONGEST, type(each)
    assert repr(left_out) == "LeftOut(predicted=<ndarray 14 x 17 x 17 x 32>, components=<ndarray 14>, penalty=None)"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(left_out)).predicted, left_out.predicted)
