"""What a training run can be told."""

import math
from dataclasses import replace

import pytest

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.training.config import PRESETS, config_of, learning_rate, read_config, steps_of, strength


def test_what_is_left_out_comes_from_the_preset_and_then_from_the_defaults():
    config = config_of({"model": "resnet18", "preset": "published", "loss": {"levels": 3}, "epochs": 2})
    assert (config.optimiser.kind, config.optimiser.drops, config.weights) == ("sgd", (30.0, 60.0, 80.0), "random")
    assert (config.loss.lambda_harmonization, config.loss.levels, config.loss.lambda_weights) == (2.0, 3, 1e-5)
    assert (config.epochs, config.batch_size) == (2.0, 1024)
    assert config_of({"model": "resnet18"}).optimiser.kind == "adamw"


def test_the_former_name_of_the_model_is_read_with_a_warning():
    with pytest.warns(FutureWarning, match="network is now called model"):
        assert config_of({"network": "resnet18"}) == config_of({"model": "resnet18"})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_written_out_is_read_as_itself(preset):
    config = config_of({"model": "resnet18", "preset": preset})
    assert config_of(config.to_dict()) == config


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('preset = "published"', "does not say which model"),
        ('model = "resnet18"\nmodl = 1', r"unknown key modl. Did you mean model\?"),
        (
            'model = "resnet18"\n[loss]\nlamda_weights = 1',
            r"unknown key loss.lamda_weights. Did you mean lambda_weights",
        ),
        ('model = "resnet18"\nepochs = "ten"', "epochs is 'ten'. Give a number"),
        ('model = "resnet18"\nbatch_size = true', "batch_size is True. Give a whole number"),
        ('model = "resnet18"\noptimiser = 3', r"Write it as \[optimiser\]"),
        ('model = "resnet18"\n[optimiser]\nkind = "adam"', "Did you mean adamw"),
        ('model = "resnet18"\n[optimiser]\ndrops = ["x"]', "Give a list"),
        ('model = "resnet18"\npreset = "publised"', "Did you mean published"),
        ('model = "resnet18"\nbatch_size = 10\naccumulate = 3', "accumulate cannot be"),
        ('model = "resnet18"\n[optimiser]\nlr = inf', "optimiser.lr cannot be"),
        ('model = "resnet18"\n[loss]\nlambda_harmonization = nan', "loss.lambda_harmonization cannot be"),
        ("model = ", "is not a TOML file"),
    ],
)
def test_a_mistake_is_answered_with_its_place(tmp_path, said, told):
    file = tmp_path / "run.toml"
    file.write_text(said)
    with pytest.raises(UsageError, match=told) as refused:
        read_config(file)
    assert "run.toml" in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        read_config(tmp_path / "none.toml")


def test_the_published_rate_warms_up_and_drops():
    config = config_of({"model": "resnet18", "preset": "published", "optimiser": {"lr": 1.0}})
    rates = {epoch: learning_rate(config, epoch * 10, 10.0) for epoch in (0, 2, 5, 29, 30, 59, 60, 80, 199)}
    assert rates[0] == pytest.approx(1 / 50)
    assert rates[2] == pytest.approx(21 / 50)
    expected = {5: 1, 29: 1, 30: 0.1, 59: 0.1, 60: 0.01, 80: 0.001, 199: 0.001}
    assert {epoch: rates[epoch] for epoch in expected} == pytest.approx(expected)


def test_the_cosine_goes_from_the_rate_to_nothing_and_lambda_from_nothing_to_its_value():
    config = config_of({"model": "resnet18", "preset": "fine_tuning", "epochs": 10})
    config = replace(config, loss=replace(config.loss, ramp_epochs=10.0, lambda_harmonization=3.0))
    total = steps_of(config, 7.5)
    assert total == 75
    rates = [learning_rate(config, step, 7.5) for step in range(total)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 1e-7
    strengths = [strength(config, step, 7.5) for step in range(total + 1)]
    assert strengths[0] == 0
    assert strengths[total] == pytest.approx(3)
    assert strengths[25] == pytest.approx(3 * (1 - math.cos(math.pi / 3)) / 2)
