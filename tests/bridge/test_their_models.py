"""Models of Brain-Score's own tree, scored without a change to them."""

import pytest
import torch
import torchvision
from huggingface_hub import constants
from sources import fresh

from brainscore_itmaps import score
from brainscore_itmaps.bridge.quiet import quiet_brain_score
from brainscore_itmaps.errors import ModelError
from brainscore_itmaps.settings import overridden


@pytest.fixture
def random_alexnet(monkeypatch):
    """Where torchvision would download weights, random ones: their plugin asks for pretrained ones, unchanged."""
    torch.manual_seed(0)
    weights = torchvision.models.alexnet(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *url, **options: weights)


def test_alexnet_commits_its_own_layer(random_alexnet):
    result = score("alexnet")
    assert result.layer.startswith("features.")
    assert 0 < result.score < 0.5
    assert result.device == "as Brain-Score chooses"


def test_offline_holds_for_their_models_too():
    with overridden(offline=True), quiet_brain_score():
        assert constants.is_offline_mode()
    assert not constants.is_offline_mode()


@pytest.mark.slow
def test_resnet18_random_is_made_to_commit_layers_and_given_back(monkeypatch):
    """It commits none itself before it has scored them on data that need a download."""
    import brainscore_vision

    loaded = []
    load_model = brainscore_vision.load_model

    def load(name):
        loaded.append(load_model(name))
        loaded[-1].activations_model._extractor._batch_size = 14  # not 64, filled up with copies of the last image
        return loaded[-1]

    monkeypatch.setattr(brainscore_vision, "load_model", load)
    profile = score("resnet18_random", layers="all")
    (array,) = profile.arrays
    assert [value.layer for value in array.layers] == ["layer1", "layer2", "layer3", "layer4"]  # avgpool has no map
    assert "IT" not in loaded[0].layer_model.region_layer_map
    assert set(array.layer_of_image) <= {"layer1", "layer2", "layer3", "layer4"}
    torch.manual_seed(0)
    one = score("resnet18_random", layers="layer3")
    assert one.layer == "layer3"
    with pytest.raises(
        ModelError, match=r"Layer 'layer5' of resnet18_random could not be recorded.*Did you mean layer"
    ):
        score("resnet18_random", layers="layer5")
    with pytest.raises(ModelError, match=r"'avgpool' gives no map.*it_maps_fixation_simulated"):
        score("resnet18_random", layers=["layer4", "avgpool"])


def test_operations_in_place_after_a_layer_do_not_reach_its_activation():
    """Brain-Score's wrapper keeps a view of what a layer gives; here the next step overwrites it."""
    import numpy as np
    from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
    from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

    from brainscore_itmaps import load_recording
    from brainscore_itmaps.bridge.candidate import BrainScoreModel
    from brainscore_itmaps.models.load import load_model

    loaded = load_model("timm:test_efficientnet", weights="random")
    layer = torch.nn.Conv2d(3, 4, 16, stride=16)
    wrapper = PytorchWrapper(
        model=torch.nn.Sequential(layer, torch.nn.ReLU(inplace=True)).eval(),
        preprocessing=lambda paths: loaded.preprocess(paths).numpy(),
        identifier="in place",
        batch_size=14,
    )
    model = ModelCommitment("in place", wrapper, layers=["0"], region_layer_map={"IT": "0"})
    recording = load_recording("it_maps_simulated")
    found = BrainScoreModel(model).source().read(recording, (), fresh(), lambda *told: None)["0"]
    with torch.inference_mode():
        expected = layer(loaded.preprocess(recording.images)).numpy()
    assert found.values.min() < 0
    np.testing.assert_allclose(found.values, np.moveaxis(expected, 1, -1), rtol=0, atol=1e-5)


def test_a_layout_that_a_model_states_wins_over_guessing():
    """Channels last and as many as places: no shape could tell."""
    from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
    from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

    from brainscore_itmaps import load_recording
    from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    from brainscore_itmaps.bridge.candidate import BrainScoreModel
    from brainscore_itmaps.models.load import load_model

    loaded = load_model("timm:test_efficientnet", weights="random")

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(3, 8, 20, stride=20)
            self.layer = torch.nn.Identity()

        def forward(self, x):
            return self.layer(self.first(x).permute(0, 2, 3, 1)).mean()

    module = Last().eval()
    wrapper = PytorchWrapper(
        model=module, preprocessing=lambda paths: loaded.preprocess(paths).numpy(), identifier="last", batch_size=14
    )
    model = ModelCommitment(
        identifier="last", activations_model=wrapper, layers=["layer"], region_layer_map={"IT": "layer"}
    )
    recording, spec = load_recording("it_maps_simulated"), CATALOGUE["it_maps_simulated"]

    def read():
        return BrainScoreModel(model).source(view=spec.view).read(recording, (), fresh(), lambda *told: None)["layer"]

    guessed = read()
    for said in ("NHWC", {"IT": "NHWC"}, {"layer": "NHWC"}):
        model.spatial_layout = said
        found = read()
        assert found.values.shape == (14, 8, 8, 8)
        assert (found.values == guessed.values.transpose(0, 3, 1, 2)).all()
    model.spatial_layout = ("tokens", 1)
    with pytest.raises(ModelError, match="is described as"):
        read()
