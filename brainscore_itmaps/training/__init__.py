"""Training with the neural harmonizer: align a model's saliency with human importance maps (Fel et al. 2022)."""

from brainscore_itmaps.training.loss import HarmonizerLoss as HarmonizerLoss
from brainscore_itmaps.training.loss import LossTerms as LossTerms
