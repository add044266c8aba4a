"""
Time windows
============

The score of one model in several windows after stimulus onset, with the raw values and the noise ceilings below it.
"""

from dataclasses import replace

import numpy as np

import brainscore_itmaps as itmaps

# %%
# The simulated recording has one window. Here, its maps with added noise stand for other windows.
recording = itmaps.load_recording("it_maps_simulated")
results = []
for noise, window in ((20.0, (50, 90)), (10.0, (90, 130)), (15.0, (130, 170))):
    rng = np.random.default_rng(window[0])
    noisy = recording.repeats + rng.normal(0, noise, recording.repeats.shape)
    window_maps = replace(recording, repeats=noisy, maps=noisy.mean(axis=1), window=window)
    results.append(itmaps.score("efficientnet_lite0", window_maps))

# %%
itmaps.figures.window_profile_figure(results)
