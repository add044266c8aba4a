"""``reference_compat``, the name of the published protocol in 0.1: accepted, and answered with the new one."""

from pathlib import Path

import numpy as np
import pytest
from answers import succeeded
from typer.testing import CliRunner

from brainscore_itmaps import load_recording, score, score_features
from brainscore_itmaps.cli.data import data
from brainscore_itmaps.data.clickme import read_clickme
from brainscore_itmaps.errors import UsageError
from brainscore_itmaps.metrics.alignment import agreement, align, feature_alignment, top_overlap
from brainscore_itmaps.metrics.predictivity import neural_predictivity
from brainscore_itmaps.study.config import read_study

PAIR = np.random.default_rng(0).normal(size=(2, 3, 8, 9, 4))
SQUARE = np.random.default_rng(1).normal(size=(2, 5, 8, 8, 4))
MAPS = PAIR[..., 0]
MAPS[0, 1] = 3.0
SYNTHETIC = Path(__file__).parents[1] / "golden" / "clickme_synth.tfrecords"
CALLS = {
    "align": lambda **how: align(*PAIR, **how).dice,
    "feature_alignment": lambda **how: feature_alignment(*PAIR, scale=4, **how),
    "top_overlap": lambda **how: top_overlap(*MAPS, **how).dice,
    "agreement": lambda **how: agreement(*MAPS, **how).iou,
    "score_features": lambda **how: score_features(*SQUARE, **how).site_r,
    "read_clickme": lambda **how: next(read_clickme([SYNTHETIC], **how)).heatmap,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_old_keyword_is_answered_with_the_new_one(call):
    for compat, protocol in ((True, "published"), (False, "ours")):
        with pytest.warns(FutureWarning, match=f'now protocol="{protocol}"; write that') as warned:
            found = call(reference_compat=compat)
        assert warned[0].filename == __file__
        np.testing.assert_array_equal(found, call(protocol=protocol))
    assert not np.array_equal(call(protocol="published"), call(), equal_nan=True)


@pytest.mark.parametrize("call", [*CALLS.values(), lambda **how: neural_predictivity(*PAIR, **how)])
def test_a_protocol_that_is_not_known_is_refused_with_the_nearest(call):
    with pytest.raises(UsageError, match=r"no protocol named 'publishd'\. Did you mean published"):
        call(protocol="publishd")


def test_recordings_take_the_old_keyword_and_the_old_flag(stand_in, own_home):
    with pytest.warns(FutureWarning, match='now protocol="published"'):
        found = load_recording("monkey2_ML", (3, 17), stand_in, reference_compat=True)
    again = load_recording("monkey2_ML", (3, 17), stand_in, protocol="published")
    np.testing.assert_array_equal(found.maps, again.maps)
    assert found.identifier == again.identifier == "Arcaro2020.monkey2_ML-simulated-reference"
    asked = ["info", "monkey2_ML", "--window", "3-17", "--source", str(stand_in)]
    old = CliRunner().invoke(data, [*asked, "--reference-compat"])
    new = CliRunner().invoke(data, [*asked, "--protocol", "published"])
    assert (old.exit_code, old.stdout, new.stderr) == (0, new.stdout, "")
    assert old.stderr == "--reference-compat was renamed. Use --protocol published instead.\n"
    assert "-reference" in new.stdout
    assert "reference-compat" not in CliRunner().invoke(data, ["info", "--help"]).output


@pytest.mark.slow
def test_a_score_takes_the_old_keyword_and_the_old_flag(tmp_path):
    with pytest.warns(FutureWarning, match='reference_compat is now protocol="published"; write that'):
        old = score("efficientnet_lite0", reference_compat=True)
    assert old.raw == score("efficientnet_lite0", protocol="published").raw
    assert old.protocol == "published"
    with pytest.warns(FutureWarning, match='protocol="ours"'):
        assert score("efficientnet_lite0", reference_compat=False).protocol == "ours"
    done = succeeded("score", "-m", "efficientnet_lite0", "--reference-compat", "--out", tmp_path)
    assert "--reference-compat was renamed. Use --protocol published instead." in done.stderr
    assert f"{old.raw:.3f}" in done.stdout
    assert [file.name for file in tmp_path.glob("*.json")] == [f"{old.file_stem}.json"]


def test_a_study_file_takes_the_old_key_with_a_sentence(tmp_path):
    file = tmp_path / "old.toml"
    text = 'models = ["timm:test_vit"]\nbenchmarks = ["it_maps_simulated"]\nreference_compat = {}\n'
    for value, protocol in (("true", "published"), ("false", "ours")):
        file.write_text(text.format(value))
        with pytest.warns(FutureWarning, match=f'old.toml: reference_compat is now protocol = "{protocol}"'):
            assert read_study(file).protocol == protocol
    done = succeeded("sweep", file, "--dry-run")
    assert f'note: {file}: reference_compat is now protocol = "ours"; write that.' in done.stderr
    assert "FutureWarning" not in done.stderr
    file.write_text(text.format('"false"'))
    with pytest.raises(UsageError, match="reference_compat"):
        read_study(file)
    file.write_text(text.format("false").replace("reference_compat = false", 'protocol = "publishd"'))
    with pytest.raises(UsageError, match=r"old\.toml: There is no protocol named 'publishd'"):
        read_study(file)
