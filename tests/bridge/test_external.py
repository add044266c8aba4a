"""Benchmarks of Brain-Score through our command, without pip, pickles, progress bars and printed text."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from answers import path_with_a_trap
from command_line import brainscore, python

from brainscore_itmaps import load_model
from brainscore_itmaps.benchmark.request import ScoreRequest
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.bridge.external import result_of_score
from brainscore_itmaps.bridge.plugins import host_folder
from brainscore_itmaps.errors import DataError

# a benchmark in a plugin folder that is attached for one run; it prints, like some benchmarks of Brain-Score
TOY = """
from brainscore_vision import benchmark_registry
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_core.metrics import Score
from tqdm import tqdm


class Toy(BenchmarkBase):
    def __init__(self):
        super().__init__('toy.v1', ceiling_func=lambda: Score(0.5), version=1, parent='IT')

    def __call__(self, candidate):
        print('stray print')
        for _ in tqdm(range(3)):
            pass
        score = Score(0.25)
        score.attrs['raw'] = Score(0.125)
        score.attrs['ceiling'] = Score(0.5)
        score.attrs['error'] = float('nan')
        score.attrs['seen'] = candidate.identifier
        return score


benchmark_registry['toy.v1'] = lambda: Toy()
"""

ATTACHED = """
import sys
from pathlib import Path
from brainscore_itmaps.bridge import plugins

folders, toy = plugins.plugin_folders, Path(sys.argv[1])

def with_toy():
    found = folders()
    found['benchmarks'] = [toy]
    return found

plugins.plugin_folders = with_toy
sys.argv = ['brainscore', *sys.argv[2:]]
from brainscore_itmaps.cli.start import main
main()
"""


@pytest.fixture
def toy(tmp_path) -> Path:
    folder = tmp_path / "benchmarks" / "toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(TOY)
    return folder


def run(toy, *arguments, **environment):
    return python("-c", ATTACHED, toy, "score", "--benchmark_identifier", "toy.v1", *arguments, **environment)


@pytest.mark.parametrize("model", ["pixels", "efficientnet_lite0"])
def test_a_benchmark_of_brain_score_gives_its_number_and_prints_nothing_else(toy, tmp_path, model):
    pickles = set(host_folder().parent.glob("conda_score*"))
    arguments = ("--model_identifier", model, "--out", tmp_path)
    done = run(toy, *arguments, "-q", PATH=path_with_a_trap(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.25\n", "")
    assert not (tmp_path / "pip-was-run").exists()
    assert set(host_folder().parent.glob("conda_score*")) == pickles
    saved = json.loads((tmp_path / f"{model}--toy.v1.json").read_text())
    assert (saved["score"], saved["raw"], saved["ceiling"], saved["error"]) == (0.25, 0.125, 0.5, None)
    assert saved["details"]["seen"] == model


def test_options_of_our_benchmarks_are_refused(toy, tmp_path):
    for option in (("--layers", "blocks.3"), ("--window", "100-150"), ("--protocol", "published"),
                   ("--random-seeds", "1")):  # fmt: skip
        done = run(toy, "--model", "pixels", "--out", tmp_path, *option)
        assert done.returncode == 2
        assert re.search("Leave out (--)?layers, (--)?window", done.stderr)


def test_a_benchmark_that_cannot_be_downloaded_gives_a_sentence(tmp_path):
    done = brainscore("score", "-m", "pixels", "-b", "MajajHong2015public.IT-pls", "--out", tmp_path)
    assert done.returncode == DataError.exit_code
    assert "needs the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_only_single_finite_numbers_are_saved():
    from brainscore_core.metrics import Score

    score = Score(0.5)
    score.attrs |= {
        "raw": Score(np.ones(3), dims=["x"]),
        "ceiling": 0.9,
        "error": np.inf,
        "comment": "layers",
        "many": [1],
        "other": np.nan,
    }
    model = HookedModel(load_model("timm:test_vit", weights="random"))
    saved = result_of_score(score, model, ScoreRequest(benchmark="b")).to_dict()
    assert (saved["score"], saved["raw"], saved["ceiling"], saved["error"]) == (0.5, None, 0.9, None)
    details = saved["details"]
    assert (details["comment"], "many" in details, details["other"]) == ("layers", False, None)


def test_a_download_that_failed_is_known_however_deep_it_lies():
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError
    from requests.exceptions import ConnectionError as NotConnected

    from brainscore_itmaps.bridge.quiet import needs_network

    both = Exception([NoCredentialsError(), EndpointConnectionError(endpoint_url="https://a-bucket")])
    assert needs_network(both)
    outer = RuntimeError("could not load")
    outer.__cause__ = NotConnected("no route")
    assert needs_network(outer)
    assert not needs_network(ValueError("Kar2019"))
    assert not needs_network(None)


@pytest.mark.parametrize("where", ["load", "score"])
def test_a_benchmark_whose_data_cannot_be_downloaded_says_that_it_needs_the_network(where, monkeypatch):
    import brainscore_vision
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError

    from brainscore_itmaps.bridge.external import ExternalBenchmark

    def fails(*_):
        raise Exception([NoCredentialsError(), EndpointConnectionError(endpoint_url="https://a-bucket")])

    monkeypatch.setattr(brainscore_vision, "load_benchmark", fails if where == "load" else lambda identifier: fails)
    monkeypatch.setattr("brainscore_core.benchmarks.score_benchmark", fails)
    model = HookedModel(load_model("timm:test_vit", "random"))
    with pytest.raises(DataError, match="benchmark Kar2019-ost needs the network") as refused:
        ExternalBenchmark("Kar2019-ost").score(model, ScoreRequest(benchmark="Kar2019-ost"))
    assert "Connect to the internet once" in refused.value.fix
