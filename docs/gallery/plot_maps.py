"""
Maps over images
================

A recorded map lies over its image, at the positions where it was recorded. Beside it stands what a model predicts.
"""

import brainscore_itmaps as itmaps

recording = itmaps.load_recording("it_maps_simulated")
result = itmaps.score("efficientnet_lite0", recording)

# %%
# One map over its image. White dots are the recorded positions.
itmaps.figures.overlay_figure(result, recording.images[0], image=0, width=3.5)

# %%
# Image, recorded map, predicted map, and their difference. Both maps share one range of colours; a line says which
# share of the values lies beyond it.
itmaps.figures.comparison_figure(result, recording.images[1], image=1)

# %%
# The same for a single site, in one column of print.
itmaps.figures.comparison_figure(result, recording.images[1], image=1, site=3, width=3.5)

# %%
# Some images, with positions in degrees.
itmaps.figures.maps_figure(result, recording.images, shown=[0, 2, 4])

# %%
# All images of the array.
itmaps.figures.sheet_figure(result, result.arrays[0], recording.images)
