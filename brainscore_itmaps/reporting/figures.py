"""The figures of this package; each function returns a matplotlib figure and saves nothing.

Each has the option ``width``: 7 inches, two columns of print, by default, and 3.5 for one column. The figures of a
comparison of models are ``compare(...).figures(width=3.5)``.
"""

from brainscore_itmaps.reporting.attack_page import robustness_figure
from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.feature_profiles import feature_profile_figure
from brainscore_itmaps.reporting.maps import (
    comparison_figure,
    maps_figure,
    orientation_figure,
    overlay_figure,
    registration_figure,
    sheet_figure,
)
from brainscore_itmaps.reporting.profiles import layer_profile_figure, site_histogram_figure, window_profile_figure

__all__ = [
    "comparison_figure",
    "controls_figure",
    "feature_profile_figure",
    "layer_profile_figure",
    "maps_figure",
    "orientation_figure",
    "overlay_figure",
    "registration_figure",
    "robustness_figure",
    "sheet_figure",
    "site_histogram_figure",
    "window_profile_figure",
]
