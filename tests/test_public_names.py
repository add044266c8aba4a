"""The public names: each is there, documented with an example that runs, and takes what the others return."""

import doctest
import importlib
import importlib.metadata
import inspect

import numpy as np
import pytest
from command_line import new_python
from matplotlib.figure import Figure
from PIL import Image
from shown import scored, two_arrays

import brainscore_itmaps as itmaps


def test_every_public_name_is_there_and_no_other():
    names = {
        "AttackRequest", "Grid", "HarmonizerLoss", "Recording", "Result", "attack", "compare", "compare_results",
        "feature_alignment", "figures", "human_alignment", "human_maps", "list_benchmarks", "list_models", "load_model",
        "load_recording", "noise_ceiling", "predict_left_out", "profile", "record", "reproduce", "score",
        "score_features", "sweep", "to_grid",
    }  # fmt: skip
    errors = {"ArrayError", "DataError", "InstallationError", "ItMapsError", "ModelError", "NoMapError", "OutputError",
              "UsageError"}  # fmt: skip
    assert set(itmaps.__all__) == set(dir(itmaps)) == names | errors
    for name in itmaps.__all__:
        assert getattr(itmaps, name).__doc__.strip()
    assert all(issubclass(getattr(itmaps, name), itmaps.ItMapsError) for name in errors)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        itmaps.nothing  # noqa: B018


def test_importing_the_package_imports_none_of_them():
    done = new_python("-c", "import sys, brainscore_itmaps; print([n for n in ('torch', 'numpy') if n in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", ["features.record", "features.grid", "models.zoo", "benchmark.catalogue", "files",
                                  "errors", "protocol", "models.spec", "benchmark.maps"])  # fmt: skip
def test_examples_give_what_they_say(name):
    module = importlib.import_module(f"brainscore_itmaps.{name}")
    ended = doctest.testmod(module, extraglobs={"np": np})
    assert ended.attempted
    assert not ended.failed


def test_the_line_takes_what_each_step_returns():
    recording = itmaps.load_recording("it_maps_simulated")
    model = itmaps.load_model("timm:test_resnet", "random", seed=1)
    features = itmaps.record(model, recording, "layer3")
    field = itmaps.to_grid(features, recording)["layer3"]
    np.testing.assert_array_equal(field, itmaps.to_grid(features["layer3"], recording.grid))
    predicted, _ = itmaps.predict_left_out(field, recording.maps)
    rho = itmaps.feature_alignment(predicted, recording.maps)
    assert rho.shape == (14,)
    assert itmaps.score_features(field, recording).arrays[0].neural.shape == recording.maps.shape


def test_images_are_paths_texts_or_pillow_images(images):
    model = itmaps.load_model("timm:test_resnet", "random")
    expected = itmaps.record(model, images, "layer3")["layer3"]
    texts = itmaps.record(model, [str(image) for image in images], ["layer3"])["layer3"]
    opened = itmaps.record(model, [Image.open(image) for image in images], "layer3")["layer3"]
    np.testing.assert_array_equal(texts, expected)
    np.testing.assert_array_equal(opened, expected)
    committed = model.spec.layers["IT"]
    one = itmaps.record(model, str(images[0]))
    np.testing.assert_allclose(one[committed], itmaps.record(model, images, committed)[committed][:1], rtol=1e-4,
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model, result: itmaps.record(model.module, ["a.jpg"]), r"A \w+ is not a model that load_model returns"),
        (lambda model, result: itmaps.record(model, ["a.jpg"]), "There is no image file a.jpg"),
        (
            lambda model, result: itmaps.record(model, [5]),
            "a list that holds other values than paths and Pillow images",
        ),
        (lambda model, result: itmaps.record(model, []), "There are no images"),
        (lambda model, result: itmaps.to_grid(np.zeros((3, 4)), itmaps.Grid.even(3)), r"have the shape \(3, 4\)"),
        (lambda model, result: itmaps.to_grid(np.zeros((1, 2, 3, 4)), 17), "int is not a grid"),
        (lambda model, result: itmaps.compare_results(result, "it_maps"), "contains no maps to compare"),
        (lambda model, result: itmaps.figures.overlay_figure(two_arrays()), "2 arrays cannot be drawn as one array"),
        (lambda model, result: itmaps.figures.overlay_figure(model), "0 arrays cannot be drawn as one array"),
        (lambda model, result: itmaps.list_models("nothing"), "no set named 'nothing'"),
    ],
)
def test_what_does_not_fit_is_a_sentence(call, said):
    with pytest.raises(itmaps.ItMapsError, match=said):
        call(itmaps.load_model("timm:test_resnet", "random"), scored())


def test_figures_take_a_result():
    assert isinstance(itmaps.figures.overlay_figure(scored()), Figure)
    assert isinstance(itmaps.figures.comparison_figure(scored()), Figure)
    for name in itmaps.figures.__all__:
        function = getattr(itmaps.figures, name)
        assert inspect.isfunction(function)
        assert "Returns\n" in function.__doc__
        assert ">>> " in function.__doc__


def test_an_error_of_use_is_also_a_value_error_and_the_nearest_names_come_first():
    with pytest.raises(ValueError, match="There is no interval"):
        itmaps.score("timm:test_resnet", weights="random", interval="none")
    with pytest.raises(itmaps.ModelError, match=r"Did you mean (\S+), (\S+) or (\S+)\?") as refused:
        itmaps.load_model("efficientnet_light0")
    assert str(refused.value).endswith("Did you mean efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2?")


def test_lists_hold_what_can_be_loaded_and_scored():
    from brainscore_itmaps.benchmark.catalogue import CATALOGUE
    from brainscore_itmaps.models.zoo import ZOO

    assert itmaps.list_models() == list(ZOO)
    assert set(CATALOGUE) < set(itmaps.list_benchmarks())
    assert itmaps.compare_results(scored(), scored()).difference == 0


def test_grids_of_the_same_positions_are_equal_and_the_package_knows_its_version():
    assert itmaps.Grid.even(3) == itmaps.Grid.even(3)
    assert len({itmaps.Grid.even(3), itmaps.Grid.even(3), itmaps.Grid.even(4), itmaps.Grid.even(3, 8.0)}) == 3
    assert itmaps.Grid.even(3) != "a grid"
    assert itmaps.__version__ == importlib.metadata.version("brainscore_itmaps")
