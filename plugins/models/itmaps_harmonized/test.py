import pytest

from brainscore_itmaps.bridge.models import brain_model
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.load import load_model


@pytest.mark.parametrize("identifier", ["harmonized_levit_128"])  # random weights, because tests download nothing
def test_commits_its_layers(identifier):
    model = brain_model(load_model(identifier, "random"))
    assert model.identifier == identifier
    assert model.layer_model.region_layer_map["IT"] == HARMONIZED[identifier].layers["IT"]
