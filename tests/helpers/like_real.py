"""Made-up recordings of the published shape without the mark of a simulation, and made-up published tables.

Nothing here was recorded or published: maps are random numbers with planted properties, and published scores are given.
"""

import numpy as np
import pandas as pd
from PIL import Image

from brainscore_itmaps.data.arcaro2020 import ARRAYS, FOLLOW_UP
from brainscore_itmaps.data.grid import Grid, orient_maps, unorient_maps
from brainscore_itmaps.data.recording import Recording
from brainscore_itmaps.study.verify_structure import PEAKS, RATES, SITES

PEAK_CELLS = {3: (5, 12), 8: (3, 13)}
"""Peaks that are planted in the maps of two images, where the published figure has them."""


def bump(cell, height=1.0, width=1.5, positions=17):
    y, x = np.indices((positions, positions))
    return height * np.exp(-((y - cell[0]) ** 2 + (x - cell[1]) ** 2) / (2 * width**2))


def planted_maps(seed=0, images=14, cells=PEAK_CELLS, second_face=0.5):
    """Maps (image, y, x) with peaks at given cells and a second face; the other peaks lie at the left border."""
    rng = np.random.default_rng(seed)
    maps = np.array([bump((rng.integers(0, 17), 0)) for _ in range(images)])
    for image, cell in cells.items():
        maps[image] = bump(cell)
    last = list(cells)[-1]
    maps[last] += bump((4, 3), second_face)
    return maps + 0.01 * rng.normal(size=maps.shape)


def image_files(folder, images=14):
    rng = np.random.default_rng(1)
    files = []
    for number in range(images):
        files.append(folder / f"image-{number:02d}.png")
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(files[-1])
    return tuple(files)


def recording_like(name, files, *, stored="flip_both", used="flip_both", scale=1.0, simulated=False, noise=False):
    """A recording of the published shape, whose peaks, rates and agreement of sites are as published."""
    array, sites = ARRAYS[name], SITES[name]
    rng = np.random.default_rng(sites)
    maps = planted_maps() if array.positions == 17 else np.array([bump((4, 4), positions=9)] * 14)
    low, high = RATES[name]
    gains = np.linspace(low, high, sites)
    noisy = maps[..., None] + (0.11 if array.positions == 17 else 0.22) * rng.normal(size=(*maps.shape, sites))
    maps = rng.normal(size=noisy.shape) if noise else scale * gains * noisy
    return Recording(
        identifier=f"{array.identifier}{'-simulated' if simulated else ''}",
        maps=orient_maps(unorient_maps(maps, stored), used),
        images=files,
        grid=Grid.even(array.positions),
        window=array.windows["elife"],
        subject=array.subject,
        area=array.area,
        sites=tuple(f"ch{number}" for number in range(sites)),
        sha256="0" * 64,
        citation="made up",
        simulated=simulated,
        orientation=used,
    )


def replace_recordings(monkeypatch, files, **options):
    """Let `verify` load made-up recordings, whose responses peak in the published window."""

    def load(name, window=None, source=None, **ignored):
        middle = sum(window if isinstance(window, tuple) else FOLLOW_UP.get(window, (100, 250))) / 2
        scale = 1.0 if window is None else float(np.exp(-(((middle - PEAKS[name]) / 60) ** 2)))
        return recording_like(name, files, scale=scale, **options)

    for module in ("verify", "verify_numbers", "verify_structure"):
        monkeypatch.setattr(f"brainscore_itmaps.study.{module}.load_recording", load)
    monkeypatch.setattr("brainscore_itmaps.study.verify_structure._duration", lambda array, source: 400)


def published_table(models, layer="layer3", raw=0.5, ceiling=0.75):
    """A data frame of the form of `read_published_maps`, with made-up numbers."""
    rows = [
        {"model": model, "array": array, "window": window, "shifted": shifted, "raw": raw, "sd": 0.1,
         "ceiling": ceiling + 0.1 * shifted, "score": raw / ceiling, "layer": layer, "sites": SITES[array]}
        for shifted in (False, True) for array in reversed(ARRAYS) for window in reversed(FOLLOW_UP) for model in models
        if not shifted or array == "monkey2_ML"
    ]  # fmt: skip
    return pd.DataFrame(rows)
