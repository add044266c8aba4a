"""`brainscore attack` on the command line, and its page."""

import json
from pathlib import Path

import numpy as np
import pytest
from answers import assert_refused, succeeded
from PIL import Image

from brainscore_itmaps.benchmark.result import Result
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.reporting.attack_page import attack_page, command_of_attack, robustness_figure

pytestmark = pytest.mark.usefixtures("own_home")
MODEL = ("--model", "timm:test_resnet", "--weights", "random", "--steps", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images with SIMULATED maps; the name of one is that of a tag."""
    folder = tmp_path_factory.mktemp("data") / "maps_simulated"
    rng = np.random.default_rng(0)
    for part in ("images", "maps"):
        (folder / part).mkdir(parents=True)
    for name in ("<b>one", "two"):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / "images" / f"{name}.png")
        np.save(folder / "maps" / f"{name}.npy", rng.uniform(size=(40, 40)).astype(np.float32))
    return folder


def files_of(done):
    return [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("written")]


def test_a_folder_is_attacked_and_every_file_is_written(folder, tmp_path):
    done = succeeded("attack", *MODEL, "--images", folder, "--out", tmp_path, COLUMNS="200")
    assert "tolerance" in done.stdout
    assert "gradient" in done.stdout
    assert "SIMULATED" in done.stdout
    files = files_of(done)
    assert [file.rpartition(".")[2] for file in files] == ["json", "csv", "npz", "csv", "html"]
    result = Result.load(files[0])
    page = Path(files[-1]).read_text(encoding="utf-8")
    assert page == attack_page(result)
    assert "SIMULATED human maps" in page
    assert "&lt;b&gt;one.png" in page
    assert "<b>one" not in page
    assert page.count('src="data:image/jpeg') == 2 * 4  # image, map, perturbation, attacked image
    assert command_of_attack(result) in page
    again = succeeded("report", files[0], "--out", tmp_path / "again.html")
    assert "written" in again.stdout
    assert (tmp_path / "again.html").read_text() == page


def test_the_command_of_the_page_gives_the_same_result(folder, tmp_path):
    first = succeeded("attack", *MODEL, "--images", folder, "--most", "1", "--restarts", "1", "--out", tmp_path / "a")
    saved = Result.load(files_of(first)[0])
    words = command_of_attack(saved).split()
    assert words[:2] == ["brainscore", "attack"]
    second = Result.load(files_of(succeeded(*words[1:], "--out", tmp_path / "b"))[0])
    assert second.request == saved.request
    np.testing.assert_array_equal(second.attacked.norms, saved.attacked.norms)


def test_json_is_plain_and_the_photographs_are_the_default(tmp_path):
    done = succeeded("attack", *MODEL, "--most", "2", "--json", "--no-controls", "--out", tmp_path)
    plain = json.loads(done.stdout)
    assert plain["benchmark"] == "adversarial:photographs"
    assert plain["details"]["images"] == 2
    assert plain["attacked"]["names"] == ["imagenet_00_243.jpg", "imagenet_01_559.jpg"]
    assert plain["kind"] == "adversarial"


def test_brainscore_score_knows_the_benchmark_too(folder, tmp_path):
    named = f"adversarial:{folder}"
    done = succeeded("score", "--model", "timm:test_resnet", "--weights", "random", "--benchmark", named,
                     "--report", "--out", tmp_path, COLUMNS="300")  # fmt: skip
    assert files_of(done)[-1].endswith(".html")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "timm:test_resnet", "--images", "nowhere"], 2, "nowhere is not a folder of images"),
        (["--model", "resnet5000"], 4, "There is no model named"),
        (["--model", "timm:test_resnet", "--seed", "1"], 2, "--seed requires random weights"),
        ([*MODEL, "--protocol", "published", "--restarts", "1"], 2, "begins at the image, once"),
        ([*MODEL, "--images", "ClickMe", "--offline"], 3, "val-0.tfrecords"),
        (["--model", "alexnet"], 4, "provides no gradients"),
        ([*MODEL, "--decision", "dogs"], 2, "'classes', 'animate'"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(arguments, code, said):
    assert_refused(code, said, "attack", *arguments, COLUMNS="300", NO_COLOR="1")


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(3, "empty", "attack", *MODEL, "--images", tmp_path / "empty", COLUMNS="300", NO_COLOR="1")


def test_the_curve_falls_from_all_images_to_none(folder, tmp_path):
    result = Result.load(files_of(succeeded("attack", *MODEL, "--images", folder, "--out", tmp_path))[0])
    line = robustness_figure(result).axes[0].lines[0]
    x, y = line.get_data()
    assert (x[0], y[0]) == (0, 100)
    assert y[-1] == 0
    np.testing.assert_allclose(x[1:], np.sort(result.attacked.norms))


def test_other_results_have_no_page_of_attacks():
    from shown import scored

    with pytest.raises(UsageError, match="attacks no images"):
        attack_page(scored())
