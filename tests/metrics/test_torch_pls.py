"""The regressions on a GPU give the numbers of those on processors; tested on the processor, in torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from brainscore_itmaps import load_model, load_recording
from brainscore_itmaps.benchmark.catalogue import CATALOGUE
from brainscore_itmaps.benchmark.evaluate import evaluate
from brainscore_itmaps.benchmark.source import HookedModel
from brainscore_itmaps.cache import ResultCache
from brainscore_itmaps.metrics import folds as folds_module
from brainscore_itmaps.metrics import torch_pls
from brainscore_itmaps.metrics.folds import fit_left_out, leave_one_out
from brainscore_itmaps.metrics.rows import Enlarged


def both(field, maps, **options):
    """Fit on the processor with numpy and with torch."""
    return [fit_left_out(field, maps, device=device, **options) for device in ("", "cpu")]


def check_same(first, second, tolerance=1e-9):
    for expected, found in zip(first, second, strict=True):
        assert np.array_equal(expected.components, found.components)
        for number in range(len(np.atleast_2d(expected.components))):
            for fold in range(len(expected.folds)):
                np.testing.assert_allclose(found.of(fold, number), expected.of(fold, number), atol=tolerance)


@given(
    seed=st.integers(0, 2**31),
    images=st.integers(4, 9),
    channels=st.integers(1, 60),
    sites=st.integers(1, 20),
    sets=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_predictions_are_those_of_the_processor(seed, images, channels, sites, sets):
    rng = np.random.default_rng(seed)
    field = rng.normal(size=(images, 5, 6, channels))
    maps = field[..., :1] + rng.normal(size=(sets, images, 5, 6, sites))
    check_same(*both(field, maps, components=8))


def test_constant_missing_and_dependent_values_are_treated_alike(rng):
    field = rng.normal(size=(6, 5, 5, 12))
    field[..., 3], field[..., 4] = 2.0, field[..., 5]
    maps = field[..., :4] @ rng.normal(size=(4, 5))
    maps[..., 1] = 3.0
    maps[1:, ..., 2] = 1.0
    maps[0, 0, 0, 3] = np.nan
    first, second = both(field, maps, components=20)
    assert np.array_equal(first[0].components, second[0].components)
    np.testing.assert_allclose(second[0].predicted, first[0].predicted, atol=1e-8)


def test_offsets_units_and_groups_of_copies_are_treated_alike(rng):
    units = rng.normal(size=(6, 3, 4, 30))
    down, across = rng.dirichlet(np.ones(3), size=7), rng.dirichlet(np.ones(4), size=8)
    maps = rng.normal(size=(6, 7, 8, 4))

    def offsets(left_out):
        return [np.stack([maps[~fold].mean(axis=0) for fold in left_out])]

    options = {"images": ["a", "b", "a", "c", "d", "e"], "offsets": offsets, "components": 5}
    check_same(*both(Enlarged(units, down, across), [maps], **options))


def test_large_channels_and_almost_equal_eigenvalues_cost_no_digits(rng):
    field = rng.normal(size=(6, 5, 5, 40))
    field[..., 0] *= 3e4
    maps = rng.normal(size=(6, 5, 5, 4))
    check_same(*both(field, maps, components=6), tolerance=1e-7)
    equal = np.eye(3)[None] * (1 + np.arange(3) * 1e-9)
    assert abs(torch_pls._largest(torch.as_tensor(equal))[0]).argmax() == 2


def test_folds_and_images_are_fitted_in_parts_that_fit_into_the_free_memory(rng, monkeypatch):
    field, maps = rng.normal(size=(6, 5, 5, 20)), rng.normal(size=(6, 5, 5, 3))
    whole = both(field, maps, components=6)
    solved, parts = torch_pls._solve, []
    monkeypatch.setattr(torch_pls, "_solve", lambda *values: parts.append(len(values[3])) or solved(*values))
    monkeypatch.setattr(torch_pls, "free_memory", lambda device: 100_000)
    in_parts = fit_left_out(field, maps, components=6, device="cpu")
    assert len(parts) > 3
    assert sum(parts) == len(leave_one_out(6)) + 15
    check_same(whole[1], in_parts)


@pytest.mark.parametrize(("device", "expected"), [("cuda", "cuda"), ("cuda:1", "cuda:1"), ("mps", ""), ("cpu", "")])
def test_regressions_run_on_gpus_with_double_precision(device, expected):
    assert folds_module.device_of_fits(device) == expected


def test_the_free_memory_of_a_gpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (12345, 2 * 12345))
    assert torch_pls.free_memory(torch.device("cuda")) == 12345


def test_a_model_on_a_gpu_is_scored_with_regressions_there(monkeypatch, tmp_path):
    recording, fitted = load_recording("it_maps_simulated"), []
    source = HookedModel(load_model("timm:test_resnet", "random")).source(("layer3", "layer4"))
    on_processor, on_device = (ResultCache(tmp_path / name) for name in ("processor", "device"))
    expected = evaluate(source, [recording], CATALOGUE["it_maps_simulated"], cache=on_processor)
    on_cpu = replace(source, reading=replace(source.reading, device="cuda:0"))
    solve = torch_pls.fit_pls_on
    monkeypatch.setattr(
        torch_pls, "fit_pls_on", lambda *values: fitted.append(values[-1]) or solve(*values[:-1], "cpu")
    )
    result = evaluate(on_cpu, [recording], CATALOGUE["it_maps_simulated"], cache=on_device)
    assert set(fitted) == {"cuda:0"}
    assert len(fitted) >= 4
    for name in ("score", "raw", "alignment", "interval"):
        assert getattr(result, name) == pytest.approx(getattr(expected, name), abs=1e-9), name
    for name, value in expected.added.items():
        assert result.added[name].raw == pytest.approx(value.raw, abs=1e-9), name
