"""Brain-Score's requirements for contributed models, tested on every registered model.

Brain-Score's own tests need files that its wheel lacks; these tests are equivalent. Weights are random, except those of
the embedded models, because tests download nothing; the requirements do not depend on the weights.
"""

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision import BrainModel
from PIL import Image

from brainscore_itmaps.bridge.models import brain_model
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.load import load_model
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO

NAMES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("stimuli"), np.random.default_rng(0)
    paths = {}
    for number, name in enumerate(NAMES):
        pixels = rng.integers(0, 80, (60, 60, 3), dtype=np.uint8)
        pixels[..., number] += 120
        paths[name] = folder / f"{name}.png"
        Image.fromarray(pixels).save(paths[name])
    stimulus_set = StimulusSet({"stimulus_id": NAMES, "object_name": ["rgb"] * 3, "image_label": ["one", "one", "two"]})
    stimulus_set.stimulus_paths = paths
    stimulus_set.identifier = "three-colours"
    return stimulus_set


@pytest.fixture
def fresh_activations(tmp_path, monkeypatch):
    """Empty cache of activations, because Brain-Score caches them by the names of model and stimuli."""
    monkeypatch.setenv("RESULTCACHING_HOME", str(tmp_path))


def model_of(identifier):
    model = brain_model(load_model(identifier, None if identifier in EMBEDDED else "random"))
    model.activations_model._extractor._batch_size = 3
    return model


# the twin of a harmonized model has the same layers in the same architecture, and V1 of some takes a minute
@pytest.mark.parametrize("identifier", [*EMBEDDED, *HARMONIZED])
@pytest.mark.usefixtures("fresh_activations")
@pytest.mark.slow
def test_a_registered_model_has_a_v1_and_then_performs_a_task(identifier, stimuli):
    model = model_of(identifier)
    model.start_recording(BrainModel.RecordingTarget.V1, time_bins=[(50, 100)])
    activity = model.look_at(stimuli, number_of_trials=1)
    assert set(activity["stimulus_id"].values) == set(NAMES)
    assert (activity["object_name"] == "rgb").all()
    assert len(set(activity["neuroid_id"].values)) == activity.sizes["neuroid"] > 1
    assert set(activity.dims) <= {"presentation", "neuroid", "time_bin"}
    model.start_task(BrainModel.Task.probabilities, fitting_stimuli=stimuli)


@pytest.mark.parametrize("identifier", ZOO)
@pytest.mark.usefixtures("fresh_activations")
def test_a_registered_model_behaves(identifier, stimuli):
    model = model_of(identifier)
    assert model.identifier == identifier
    assert 0 < model.visual_degrees() < 9000
    model.start_task(BrainModel.Task.probabilities, fitting_stimuli=stimuli)
    choices = model.look_at(stimuli, number_of_trials=1)
    assert set(choices.dims) == {"presentation", "choice"}
    assert set(choices["stimulus_id"].values) == set(NAMES)
    assert (choices["object_name"] == "rgb").all()
    assert set(choices["choice"].values) == {"one", "two"}
    assert choices.values.min() >= 0
    assert choices.values.max() <= 1
