"""Models of Brain-Score are scored without changes to them."""

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
    """Random weights in place of torchvision's download; Brain-Score's plugin requests pretrained weights."""
    torch.manual_seed(0)
    weights = torchvision.models.alexnet(weights=None).state_dict()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *url, **options: weights)


def test_alexnet_commits_its_own_layer(random_alexnet):
    result = score("alexnet")
    assert result.layer.startswith("features.")
    assert 0 < result.score < 0.5
    assert result.device == "as Brain-Score chooses"


def test_offline_mode_also_applies_to_brain_score_models():
    with overridden(offline=True), quiet_brain_score():
        assert constants.is_offline_mode()
    assert not constants.is_offline_mode()


@pytest.mark.slow
def test_resnet18_random_commits_layers_only_while_they_are_read(monkeypatch):
    """By itself it commits no layer before it has scored them on data that need a download."""
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
    single = score("resnet18_random", layers="layer3")
    assert single.layer == "layer3"
    with pytest.raises(
        ModelError, match=r"Layer 'layer5' of resnet18_random could not be recorded.*Did you mean layer"
    ):
        score("resnet18_random", layers="layer5")
    with pytest.raises(ModelError, match=r"'avgpool' gives no map.*it_maps_fixation_simulated"):
        score("resnet18_random", layers=["layer4", "avgpool"])


def test_operations_in_place_after_a_layer_do_not_reach_its_activation():
    """Brain-Score's wrapper keeps a view of the output of a layer, which the next operation overwrites here."""
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
    features = BrainScoreModel(model).source().read(recording, (), fresh(), lambda *steps: None)["0"]
    with torch.inference_mode():
        expected = layer(loaded.preprocess(recording.images)).numpy()
    assert features.values.min() < 0
    np.testing.assert_allclose(features.values, np.moveaxis(expected, 1, -1), rtol=0, atol=1e-5)


def test_a_stated_layout_has_priority_and_noise_images_find_one_that_is_not_stated():
    """Channels are last and as many as rows and columns, so the shape does not determine the layout."""
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

    notes = []

    def read():
        source = BrainScoreModel(model).source(view=spec.view)
        features = source.read(recording, (), fresh(), lambda *steps: None)["layer"]
        notes[:] = source.notes
        return features

    found = read()
    assert notes == [
        "layer was read as 'NHWC', because changes of parts of the image show there and not at the places of the "
        "layout that its shape suggests, 'NCHW'"
    ]
    for layout in ("NHWC", {"IT": "NHWC"}, {"layer": "NHWC"}):
        model.spatial_layout = layout
        features = read()
        assert features.values.shape == (14, 8, 8, 8)
        assert (features.values == found.values).all()
        assert notes == []
    model.spatial_layout = "NCHW"
    assert (read().values == found.values.transpose(0, 2, 3, 1)).all()
    model.spatial_layout = ("tokens", 1)
    with pytest.raises(ModelError, match="is described as"):
        read()


class Steps(torch.nn.Module):
    """A layer that runs three times, and returns a tuple."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 20, stride=20)
        self.layer = torch.nn.Identity()

    def forward(self, x):
        x = self.first(x)
        for step in (1, 2, 3):
            self.layer((x * step, x))
        return x


@pytest.mark.parametrize(("layer", "factor"), [("layer@2[0]", 2), ("layer@last[0]", 3), ("layer[1]@last", 1)])
def test_calls_and_elements_are_selected_through_brain_score(layer, factor):
    import numpy as np
    from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
    from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

    from brainscore_itmaps import load_recording
    from brainscore_itmaps.bridge.candidate import BrainScoreModel
    from brainscore_itmaps.bridge.models import brain_model
    from brainscore_itmaps.models.load import load_model

    loaded = load_model(Steps(), preprocessing={"size": 160, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    wrapper = PytorchWrapper(
        model=loaded.module, preprocessing=lambda paths: loaded.preprocess(paths).numpy(), identifier="x", batch_size=14
    )
    wrapped = ModelCommitment("x", wrapper, layers=["first"], region_layer_map={"IT": "first"})
    recording = load_recording("it_maps_simulated")
    for model in (wrapped, brain_model(loaded)):
        source = BrainScoreModel(model).source([layer])
        features = source.read(recording, (), fresh(), lambda *steps: None)[layer]
        with torch.inference_mode():
            expected = factor * loaded.module.first(loaded.preprocess(recording.images)).numpy()
        np.testing.assert_allclose(features.values, np.moveaxis(expected, 1, -1), rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match=r"gives a tuple, and not one tensor to read\. It contains .*\[0\] \(image, 4"):
        BrainScoreModel(wrapped).source(["layer"]).read(recording, (), fresh(), lambda *steps: None)


def test_the_time_bins_that_stand_for_the_window_are_said(monkeypatch):
    from brainscore_itmaps import load_recording
    from brainscore_itmaps.bridge.candidate import BrainScoreModel, _note_on_time, _time_bins

    assert _note_on_time(object(), (100, 250), [(0, 100), (100, 200), (200, 300)]) == (
        "window 100-250 ms: mean over the time bins 100-200, 200-300 ms of the model, weighted by overlap"
    )
    assert _note_on_time(object(), (100, 250), []) == ""
    cornet = type("CORnet", (), {"time_mapping": {"IT": {0: (70, 105), 1: (105, 140)}}})()
    assert _note_on_time(cornet, (100, 250), []) == (
        "window 100-250 ms: time step 1 of the model was read, which it commits to 105-140 ms"
    )

    class Inner:
        def look_at(self, stimuli):
            class Responses:
                dims = ("time_bin",)

                def __getitem__(self, name):
                    return type("Values", (), {"values": [(0, 50), (50, 100)]})()

            return Responses()

    class Uncovered:
        identifier, layer_model = "films", type("Aligned", (), {"_layer_model": Inner()})()
        start_recording = staticmethod(lambda region, time_bins: None)
        visual_degrees = staticmethod(lambda: 8)

        def look_at(self, stimuli, number_of_trials):
            self.layer_model._layer_model.look_at(stimuli)
            raise AssertionError("Target time bin(s) invalid")

    with _time_bins(Uncovered()) as bins:
        assert bins == []
    said = r"films gives its time bins 0-50, 50-100 ms, which do not cover the window 100-250 ms\. Choose a window"
    with pytest.raises(ModelError, match=said):
        BrainScoreModel(Uncovered()).source().read(
            load_recording("it_maps_simulated"), (), fresh(), lambda *steps: None
        )
