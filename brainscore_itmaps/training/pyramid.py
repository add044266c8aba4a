"""Gaussian pyramids of maps."""

import torch
from torch.nn import functional

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def pyramid(maps: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Blur and halve maps again and again.

    Blurred with the 5 x 5 binomial kernel and taken at every second point, with zeros around and the points where
    TensorFlow's "SAME" puts them: a side of n points becomes one of ceil(n / 2).

    Parameters
    ----------
    maps : tensor, shape (image, y, x)
    levels : int
        How many, the maps themselves included.

    Returns
    -------
    list of tensor
        The maps themselves first.
    """
    found = [maps]
    while len(found) < levels:
        found.append(_halved(found[-1]))
    return found


def _halved(maps: torch.Tensor) -> torch.Tensor:
    row = maps.new_tensor(BINOMIAL) / sum(BINOMIAL)
    (top, bottom), (left, right) = (_same(side) for side in maps.shape[1:])
    padded = functional.pad(maps[:, None], (left, right, top, bottom))
    return functional.conv2d(padded, torch.outer(row, row)[None, None], stride=2)[:, 0]


def _same(side: int) -> tuple[int, int]:
    """Zeros before and after a side, as TensorFlow's "SAME" puts them for 5 points at every second one."""
    zeros = max((-(-side // 2) - 1) * 2 + len(BINOMIAL) - side, 0)
    return zeros // 2, zeros - zeros // 2
