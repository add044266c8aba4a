"""
Compare models
==============

Score against ImageNet accuracy, and against what models add to the controls. Names stand beside points where there is
room; a line says how many are left out.
"""

import tempfile

import brainscore_itmaps as itmaps

models = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
results = [itmaps.score(model, "it_maps_simulated") for model in models]
with tempfile.TemporaryDirectory() as folder:
    comparison = itmaps.compare(results, folder, maps=False)

# %%
# All figures of the comparison, by name.
figures = comparison.figures(width=3.5)
print(*figures, sep="\n")

# %%
# Score against accuracy.
figures["accuracy--it_maps_simulated"]

# %%
# Score against the alignment of maps, for a wider page.
comparison.figures(width=7)["alignment--it_maps_simulated"]

# %%
# Score against what the model adds to the controls.
figures["controls--it_maps_simulated"]
