"""A wrapper of models like that of Brain-Score's unmerged interface: attributes pass through, tuples are unwrapped."""

from contextlib import contextmanager

from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper


class Adapter:
    """Model behind another interface; what it does not define is that of the model."""

    def __init__(self, model):
        self.wrapped = model

    @property
    def region_layer_map(self):
        return dict(self.wrapped.layer_model.region_layer_map)  # a copy: changes do not reach the model

    def look_at(self, stimuli, number_of_trials=1):
        return self.wrapped.look_at(stimuli, number_of_trials)

    def start_recording(self, recording_target, time_bins=None, **options):
        self.wrapped.start_recording(recording_target, time_bins or [(70, 170)])

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


@contextmanager
def first_of_tuples():
    """Let Brain-Score's wrapper of torch models take the first tensor of a tuple in silence, as that branch does."""
    original = PytorchWrapper.__dict__["_tensor_to_numpy"]

    def unwrapped(cls, output):
        output = output[0] if isinstance(output, tuple | list) else output
        return output.cpu().data.numpy()

    PytorchWrapper._tensor_to_numpy = classmethod(unwrapped)
    try:
        yield
    finally:
        PytorchWrapper._tensor_to_numpy = original
