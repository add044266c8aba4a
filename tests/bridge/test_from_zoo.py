"""The records, and what is made from them: they agree with each other and with timm."""

from pathlib import Path

import pytest
import timm
import yaml
from command_line import python

from brainscore_itmaps.bridge.from_zoo import FOLDERS, generated_files
from brainscore_itmaps.bridge.models import get_bibtex, get_layers
from brainscore_itmaps.models.baselines import BASELINES
from brainscore_itmaps.models.harmonized import HARMONIZED
from brainscore_itmaps.models.spec import PackagedWeights, TimmWeights
from brainscore_itmaps.models.timm_models import GROUPS, timm_top1
from brainscore_itmaps.models.zoo import EMBEDDED, ZOO

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", generated_files(CHECKOUT), ids=lambda file: "/".join(file.parts[-2:]))
def test_plugin_lines_metadata_and_the_table_are_those_that_the_records_give(file):
    assert file.read_text(encoding="utf-8") == generated_files(CHECKOUT)[file], (
        "python -m brainscore_itmaps.bridge.from_zoo writes it"
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_metadata_is_valid_by_brain_score_s_own_command(folder):
    file = CHECKOUT / "plugins" / "models" / folder / "metadata.yaml"
    done = python("-c", "from brainscore_core.metadata.cli import main; main()", file, "--domain", "vision")
    assert done.stdout == "Metadata is valid.\n", done.stderr
    assert list(yaml.safe_load(file.read_text())["models"]) == list(FOLDERS[folder])


def test_every_model_is_in_one_folder():
    assert sorted(name for specs in FOLDERS.values() for name in specs) == sorted(ZOO)


@pytest.mark.parametrize("spec", ZOO.values(), ids=str)
def test_a_record_is_complete(spec):
    assert spec.group in GROUPS
    assert spec.title
    assert spec.citation.count("@") == 1
    assert "url={https://" in spec.citation
    assert list(spec.layers) == ["V1", "V2", "V4", "IT"]
    assert get_layers(spec.identifier) == list(spec.layers.values())
    assert get_bibtex(spec.identifier) == spec.citation
    assert spec.weights.url.startswith("https://")
    assert spec.weights.licence
    assert spec.top1_source


# one of each architecture: what is in them is the same for twins, but for padding and LeViT's second head
@pytest.mark.parametrize("name", [*EMBEDDED, *BASELINES, "harmonized_levit_128"])
def test_parameters_are_as_many_as_timm_s(name):
    spec = ZOO[name]
    module = timm.create_model(spec.architecture, **spec.options)
    assert spec.parameters == sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("spec", [*EMBEDDED.values(), *BASELINES.values()], ids=str)
def test_preprocessing_licence_and_accuracy_are_those_that_timm_states(spec):
    name = spec.weights.name if isinstance(spec.weights, TimmWeights) else f"{spec.architecture}.in1k"
    stated = timm.get_pretrained_cfg(name)
    assert (3, spec.size, spec.size) == stated.input_size
    assert (spec.mean, spec.std) == (stated.mean, stated.std)
    assert (spec.crop, spec.interpolation) == (stated.crop_pct, stated.interpolation)
    assert (spec.top1, spec.top1_source) == timm_top1(name, spec.size)
    if not isinstance(spec.weights, PackagedWeights):
        assert spec.weights.licence.lower() == stated.license


def test_twins_are_one_architecture_with_the_same_layers():
    for harmonized, baseline in zip(HARMONIZED.values(), BASELINES.values(), strict=True):
        assert baseline.identifier == f"{harmonized.identifier.removeprefix('harmonized_')}_timm_baseline"
        assert (baseline.architecture, baseline.layers) == (harmonized.architecture, harmonized.layers)
        assert baseline.weights.name.split(".")[0] == baseline.architecture
        assert baseline.group != "harmonized"


def test_accuracy_is_looked_up_at_the_size_that_images_are_shown_at():
    assert timm_top1("convnext_tiny.fb_in1k") == (82.066, "timm results for convnext_tiny.fb_in1k at 224 pixels")
    assert timm_top1("convnext_tiny.fb_in1k", 288)[0] == 82.694
    assert timm_top1("convnext_tiny.fb_in1k", 256) == timm_top1("convnext_tiny.nothing") == (None, None)
