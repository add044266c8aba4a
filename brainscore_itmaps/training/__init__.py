"""The neural harmonizer: training models toward what people find important in an image (Fel et al. 2022)."""

from brainscore_itmaps.training.loss import HarmonizerLoss as HarmonizerLoss
from brainscore_itmaps.training.loss import LossTerms as LossTerms
