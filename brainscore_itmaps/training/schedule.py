"""Learning rate and weight of the harmonisation at every step."""

import math

from brainscore_itmaps.training.config import Config

DROP = 0.1


def steps_of(config: Config, per_epoch: float) -> int:
    """Steps of a whole run, at least one.

    Parameters
    ----------
    config : Config
    per_epoch : float
        Steps of an epoch.
    """
    return max(1, round(config.epochs * per_epoch))


def learning_rate(config: Config, step: int, per_epoch: float) -> float:
    """Rate at a step, counted from 0."""
    optimiser = config.optimiser
    warmup = round(optimiser.warmup_epochs * per_epoch)
    if step < warmup:
        return optimiser.lr * (step + 1) / warmup
    if optimiser.schedule == "steps":
        return optimiser.lr * DROP ** sum(step >= drop * per_epoch for drop in optimiser.drops)
    gone = (step - warmup) / max(1, steps_of(config, per_epoch) - warmup)
    return optimiser.lr * (1 + math.cos(math.pi * gone)) / 2


def strength(config: Config, step: int, per_epoch: float) -> float:
    """The loss's ``lambda_harmonization`` at a step."""
    ramp = config.loss.ramp_epochs * per_epoch
    share = 1.0 if step >= ramp else (1 - math.cos(math.pi * step / ramp)) / 2
    return config.loss.lambda_harmonization * share
