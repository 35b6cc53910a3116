"""What scores of sets of samples have to allow for if the samples balance each other.

The noise of G samples of a cell that follow each other may add up to nothing, see
:class:`dispr_cli.diffusion.noise.BalancedNoise`: each is drawn from the method's distribution, but any two of
them are correlated by -1 / (G - 1). They lie farther apart than independent samples, their mean has less
noise and their extremes span more. A score that takes them for independent would flatter their method. What
stands here holds exactly for quantities that are linear in the noise; G = 1 are independent samples, and
groups are independent of each other.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_DRAWS = 400_000


def independence(num_samples: int, balance: int) -> NDArray[np.float64]:
    """Factors that bring the distances between samples to those between independent ones, (M, M).

    Parameters
    ----------
    num_samples
        M, in order.
    balance
        G.
    """
    groups = np.arange(num_samples) // balance
    same = groups[:, None] == groups
    return np.where(same & (balance > 1), np.sqrt((balance - 1) / balance), 1.0)


def noise_of_mean(num_samples: int, balance: int) -> float:
    """Variance of the mean of M samples over that of one: 1 / M if independent, 0 for whole groups."""
    if balance == 1:
        return 1.0 / num_samples
    rest = num_samples % balance
    return rest * (balance - rest) / (balance - 1) / num_samples**2


@lru_cache(maxsize=32)
def honest_ranks(num_samples: int, balance: int) -> tuple[float, ...]:
    """Probability of each rank of a truth among M samples of its own distribution, (M + 1,).

    Equal for independent samples; from simulated normal distributions for balanced ones: the extremes of five
    hold the truth in 75 instead of 67 %.
    """
    if balance == 1:
        return (1.0 / (num_samples + 1),) * (num_samples + 1)
    random = np.random.default_rng(0)
    groups = -(-num_samples // balance)
    raw = random.standard_normal((_DRAWS, groups, balance), np.float32)
    balanced = (raw - raw.mean(2, keepdims=True)) * np.float32((balance / (balance - 1)) ** 0.5)
    drawn = balanced.reshape(_DRAWS, -1)[:, :num_samples]
    below = (drawn < random.standard_normal((_DRAWS, 1), np.float32)).sum(1)
    share = np.bincount(below, minlength=num_samples + 1) / _DRAWS
    # Lowest and highest are alike.
    return tuple((0.5 * (share + share[::-1])).tolist())
