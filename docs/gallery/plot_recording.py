"""
Check a recording
=================

Before anything is scored, two figures show whether positions, image size and orientation are right.
"""

import brainscore_itmaps as itmaps

recording = itmaps.load_recording("it_maps_simulated")

# %%
# The positions over each image, and below it the map, averaged over sites.
itmaps.figures.registration_figure(recording)

# %%
# The maps in all eight orientations: the right one puts responses on what they respond to.
itmaps.figures.orientation_figure(recording, shown=[0, 3, 4, 5])
