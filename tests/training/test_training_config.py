"""The configuration of a training run, and its schedules."""

import json
import math
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from answers import succeeded

from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.training.config import (
    PRESETS,
    config_of,
    harmonization_weight,
    learning_rate,
    read_config,
    total_steps,
)


def test_missing_values_come_from_the_preset_and_then_from_the_defaults():
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
    ("toml", "message"),
    [
        ('preset = "published"', "the key model is missing"),
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
        (
            'model = "resnet18"\nbatch_size = 10\naccumulate = 3',
            "accumulate must divide batch_size",
        ),
        ('model = "resnet18"\n[optimiser]\nlr = inf', "the value of optimiser.lr is invalid"),
        ('model = "resnet18"\n[loss]\nlambda_harmonization = nan', "the value of loss.lambda_harmonization is invalid"),
        ("model = ", "is not a TOML file"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path, toml, message):
    file = tmp_path / "run.toml"
    file.write_text(toml)
    with pytest.raises(UsageError, match=message) as refused:
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


def test_the_cosine_falls_from_the_learning_rate_to_0_and_lambda_grows_from_0_to_its_value():
    config = config_of({"model": "resnet18", "preset": "fine_tuning", "epochs": 10})
    config = replace(config, loss=replace(config.loss, ramp_epochs=10.0, lambda_harmonization=3.0))
    total = total_steps(config, 7.5)
    assert total == 75
    rates = [learning_rate(config, step, 7.5) for step in range(total)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 1e-7
    strengths = [harmonization_weight(config, step, 7.5) for step in range(total + 1)]
    assert strengths[0] == 0
    assert strengths[total] == pytest.approx(3)
    assert strengths[25] == pytest.approx(3 * (1 - math.cos(math.pi / 3)) / 2)


def settings_of(config, prefix=""):
    """List the settings of a configuration with their values, as TOML writes them."""
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found |= settings_of(value, f"{field.name}.")
        else:
            text = str(list(value)) if isinstance(value, tuple) else json.dumps(value)
            found[prefix + field.name] = text if not isinstance(value, float) else repr(value)
    return found


def test_the_page_lists_every_setting_with_its_default_and_its_published_value():
    page = (Path(__file__).parents[2] / "docs" / "harmonizer.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)`)? ?\| (?:`(.*?)`)? ?\| (.+) \|$", page, re.MULTILINE)
    default = settings_of(config_of({"model": "m"}))
    published = settings_of(config_of({"model": "m", "preset": "published"}))
    assert [name for name, *_ in rows] == list(default)
    for name, stated, stated_published, meaning in rows:
        assert stated == ("" if name == "model" else default[name]), name
        changed = published[name] if published[name] != default[name] and name != "preset" else ""
        assert stated_published == changed, name
        assert len(meaning) > 10, name
    fine_tuning = settings_of(config_of({"model": "m", "preset": "fine_tuning"}))
    changes = {name: value for name, value in fine_tuning.items() if value != default[name] and name != "preset"}
    assert changes == {"loss.ramp_epochs": "30.0"}
    assert "`loss.ramp_epochs = 30.0`" in page


def test_the_help_of_harmonize_names_the_page_and_the_example():
    text = " ".join(succeeded("harmonize", "--help", COLUMNS="200", NO_COLOR="1").stdout.split())
    assert "docs/harmonizer.md lists all settings" in text
    assert "brainscore data simulate --human-maps" in text
