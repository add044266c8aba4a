"""
Images that withstand an attack
===============================

The share of correctly classified images that withstand perturbations up to each length.
"""

import brainscore_itmaps as itmaps

# %%
# Photographs inside an installed package are attacked; more steps find shorter perturbations.
few = itmaps.AttackRequest(steps=10, most=4)
result = itmaps.score("efficientnet_lite0", "adversarial:photographs", attack=few)

# %%
itmaps.figures.robustness_figure(result, width=3.5)
