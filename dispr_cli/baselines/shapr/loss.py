"""SHAPR's loss: half soft Dice, half binary cross entropy, both on what they are defined on.

The public code hands cross entropy its arguments in the wrong order; here prediction and truth are named.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def dice_loss(probability: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice coefficient, for each cell on its own, averaged.

    Parameters
    ----------
    probability, true
        (N, 1, D, H, W) in [0, 1].
    """
    space = (1, 2, 3, 4)
    overlap = 2.0 * (probability * true).sum(space) + 1.0
    return (1.0 - overlap / (probability.sum(space) + true.sum(space) + 1.0)).mean()


def overlap_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Half Dice loss, half cross entropy of (N, 1, D, H, W) log-odds with true occupancies in [0, 1]."""
    entropy = F.binary_cross_entropy_with_logits(logits, true)
    return 0.5 * (dice_loss(torch.sigmoid(logits), true) + entropy)
