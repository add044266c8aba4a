"""The figures of this package; each function returns a matplotlib figure and saves nothing."""

from brainscore_itmaps.reporting.controls import controls_figure
from brainscore_itmaps.reporting.feature_profiles import feature_profile_figure
from brainscore_itmaps.reporting.maps import (
    comparison_figure,
    maps_figure,
    orientation_figure,
    overlay_figure,
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
    "sheet_figure",
    "site_histogram_figure",
    "window_profile_figure",
]
