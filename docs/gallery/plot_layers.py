"""
Layers, sites and controls
==========================

How well each layer predicts the maps, how often it was chosen, how the sites differ, and what simple controls reach.
"""

import brainscore_itmaps as itmaps

result = itmaps.score("efficientnet_lite0", "it_maps_simulated", layers=["blocks.3", "blocks.4", "blocks.5"])

# %%
# Filled points are layers that were chosen for at least one image. The numbers at the right count these images.
itmaps.figures.layer_profile_figure(result)

# %%
# Sites, with their noise ceilings.
itmaps.figures.site_histogram_figure(result, width=3.5)

# %%
# The model, its controls, and what it adds to them.
itmaps.figures.controls_figure(result)
