"""
Blur and number of components
=============================

The score of one layer while its features are blurred, and with several numbers of PLS components.
"""

import brainscore_itmaps as itmaps

# %%
# Sites of the simulated recording of textures sum the image over receptive fields, so blurred features predict better.
blur = itmaps.profile("efficientnet_lite0", "it_maps_textures_simulated", over="blur", values=[0, 2, 4])
itmaps.figures.feature_profile_figure(blur, width=3.5)

# %%
components = itmaps.profile("efficientnet_lite0", "it_maps_simulated", over="components", values=[5, 25])
itmaps.figures.feature_profile_figure(components)
