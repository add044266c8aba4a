"""A script of a user is checked by mypy in strict mode: every public name has a type."""

import os
import re
import subprocess
import sys

import pytest
from documented import CHECKOUT

import brainscore_itmaps as itmaps

SCRIPT = """\
import torch

import brainscore_itmaps as itmaps

result = itmaps.score("efficientnet_lite0", "it_maps_simulated")
recording = itmaps.load_recording("it_maps_simulated")
features = itmaps.record(itmaps.load_model("efficientnet_lite0"), recording)
field = itmaps.to_grid(features, recording)["blocks.4"]
predicted, components = itmaps.predict_left_out(field, recording.maps)
itmaps.figures.comparison_figure(result).savefig("comparison.png")
comparison = itmaps.compare([result], "comparison")
print(result.arrays[0].site_r.mean(), predicted.shape, components.max(), comparison.page, itmaps.__version__)


def train(model: torch.nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> None:
    loss, optimizer = itmaps.HarmonizerLoss(lambda_harmonization=1.0), torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels, heatmaps in batches:
        optimizer.zero_grad()
        loss(model, images, labels, heatmaps).total.backward()  # type: ignore[no-untyped-call]  # of torch
        optimizer.step()


"""
TYPES = {
    "result": r"benchmark\.result\.Result",
    "result.score": "builtins.float|float",
    "result.interval": r"tuple\[.*float.*float.*\]",
    "result.arrays[0].site_r": "ndarray",
    "recording": r"data\.recording\.Recording",
    "features": r"dict\[.*str, .*ndarray",
    "field": "ndarray",
    "predicted": "ndarray",
    "comparison": r"study\.compare\.Comparison",
    "itmaps.list_models()": r"list\[.*str\]",
    "itmaps.compare_results(result, result).p_value": "float",
    "itmaps.__version__": "str",
}


@pytest.mark.slow
def test_a_script_passes_and_public_names_have_types(tmp_path):
    names = [f"itmaps.{name}" for name in itmaps.__all__]
    revealed = "".join(f"reveal_type({expression})\n" for expression in [*TYPES, *names])
    (tmp_path / "script.py").write_text(f"{SCRIPT}{revealed}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "script.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"MYPYPATH": str(CHECKOUT), "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    types = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(types) == len(TYPES) + len(names)
    for (expression, expected), found in zip(TYPES.items(), types, strict=False):
        assert re.search(expected, found), f"{expression}: {found}"
    for name, found in zip(names, types[len(TYPES) :], strict=True):
        assert found != "Any", name
        assert not re.search(r"-> Any$", found), f"{name}: {found}"
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import brainscore_itmaps as itmaps\n\nitmaps.scoer('a')\nitmaps.score(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", wrong.name],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"MYPYPATH": str(CHECKOUT), "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert 'has no attribute "scoer"' in done.stdout
    assert "[arg-type]" in done.stdout
