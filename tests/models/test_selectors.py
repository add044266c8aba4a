import dataclasses

import pytest
import torch

from brainscore_itmaps.models.selectors import LAST, Selector, described, selected, selector_of, tensors_in

MODULES = ["", "IT", "IT.output", "layers.3", "odd[0]", "odd@2"]


@pytest.mark.parametrize(
    ("layer", "module", "call", "elements"),
    [
        ("IT", "IT", None, ()),
        ("IT.output@2", "IT.output", 2, ()),
        ("IT.output@last", "IT.output", LAST, ()),
        ("layers.3[0]", "layers.3", None, (0,)),
        ("layers.3[-1]", "layers.3", None, (-1,)),
        ("layers.3[hidden_states][2]", "layers.3", None, ("hidden_states", 2)),
        ("layers.3['hidden_states']", "layers.3", None, ("hidden_states",)),
        ("IT@last[0]", "IT", LAST, (0,)),
        ("IT[0]@last", "IT", LAST, (0,)),
        ("[logits]", "", None, ("logits",)),
        ("odd[0]", "odd[0]", None, ()),
        ("odd[0][1]", "odd[0]", None, (1,)),
        ("odd@2", "odd@2", None, ()),
        ("odd@2@3", "odd@2", 3, ()),
    ],
)
def test_a_name_selects_a_module_a_call_and_an_element(layer, module, call, elements):
    assert selector_of(layer, MODULES) == Selector(module, call, elements)


@pytest.mark.parametrize("layer", ["IT@0", "IT@-1", "IT@first", "IT@2@3", "odd", "nothing[0]", "IT[]", "IT[0", "IT@"])
def test_a_name_that_selects_nothing_is_none(layer):
    assert selector_of(layer, MODULES) is None


def test_elements_of_tuples_dicts_and_dataclasses_are_selected():
    @dataclasses.dataclass
    class Output:
        hidden: torch.Tensor

    first, second = torch.zeros(2, 3), torch.ones(2, 4)
    assert selected((first, [second]), (1, 0), images=2) is second
    assert selected({"a": first, "b": second}, ("b",), images=2) is second
    assert selected({"a": first, "b": second}, (1,), images=2) is second  # by position, as a ModelOutput allows
    assert selected(Output(second), ("hidden",), images=2) is second
    for output, elements in (((first,), (1,)), ({"a": first}, ("b",)), (first, ("a",)), ("text", ("a",))):
        with pytest.raises(LookupError):
            selected(output, elements, images=2)


def test_a_time_step_is_selected_along_the_axis_that_is_not_the_images():
    time_first = torch.arange(7.0)[:, None, None, None, None].expand(7, 5, 4, 3, 3)
    assert selected(time_first, (6,), images=5).unique().tolist() == [6]
    assert selected(time_first.transpose(0, 1), (6,), images=5).unique().tolist() == [6]
    for ambiguous in (torch.zeros(5, 5, 4, 3, 3), torch.zeros(5, 4, 3, 3)):  # never an image
        with pytest.raises(LookupError):
            selected(ambiguous, (0,), images=5)


def test_the_tensors_of_an_output_are_listed_with_their_selectors_and_shapes():
    output = {"last": torch.zeros(2, 9, 4), "all": (torch.zeros(2, 9), None, "text"), "lost": torch.zeros(6, 9)}
    assert described(output, "encoder", images=2) == (
        "encoder[last] (image, 9, 4), encoder[all][0] (image, 9), encoder[lost] (6, 9)"
    )
    assert described([torch.zeros(2)] * 9, "x", images=2).endswith("x[7] (image) and 1 more")
    assert list(tensors_in("text")) == []
