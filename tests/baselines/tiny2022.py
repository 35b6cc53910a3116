"""A network of DISPR's kind and a grid of an eighth of the side, small enough for tests."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.dispr2022.settings import NetworkConfig
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork

TINY = NetworkConfig(channels=4, multipliers=(1, 2), attention_levels=(1,), groups=2)
SIDE = 8


def make_network(config: NetworkConfig = TINY, seed: int = 0) -> PublishedNetwork:
    """A network none of whose weights is zero."""
    torch.manual_seed(seed)
    network = PublishedNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def draw_disc(radius: float) -> NDArray[np.bool_]:
    """A disc on the small grid."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    return np.asarray(np.hypot(y, x) <= radius)
