"""The neural harmonizer: training networks toward what people find important in a picture (Fel et al. 2022)."""

from brainscore_itmaps.training.loss import HarmonizerLoss as HarmonizerLoss
from brainscore_itmaps.training.loss import Parts as Parts
