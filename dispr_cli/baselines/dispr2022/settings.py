"""Shape of the published network, and settings of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispr_cli.config import TRAINING_RANGES, SamplerConfig
from dispr_cli.errors import ConfigError
from dispr_cli.setting_ranges import Number, OneOf, Range, check_settings

TRAINING_STEPS = 1000
"""T, the number of noise levels the network is trained on."""

PUBLISHED_SAMPLER = SamplerConfig("ddpm", TRAINING_STEPS)
"""Ancestral sampling through every noise level."""

AUGMENTATIONS = ("none", "ours")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Shape of the U-Net; the defaults are the published ones.

    Attributes
    ----------
    channels
        Channels of the finest level.
    multipliers
        Channels of each level, finest first, as multiples of ``channels``. Between two levels y and x are
        halved, z is not.
    attention_levels
        Levels with self-attention (0 is the finest). On a grid of 64, level 2 has 16 voxels along y and x.
    groups
        Groups of the normalisations.
    """

    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 3, 4)
    attention_levels: tuple[int, ...] = (2,)
    groups: int = 32

    def __post_init__(self) -> None:
        if self.channels < 2 or self.channels % self.groups or self.channels % 2:
            raise ConfigError(f"{self.channels} channels cannot be divided into {self.groups} groups")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ConfigError(f"the channel multipliers are {self.multipliers}: expected numbers from 1")


@dataclass(frozen=True, slots=True)
class Dispr2022Config:
    """One training of the published network.

    Attributes
    ----------
    num_examples
        Training examples seen in all; 45,000 steps of one example each were published.
    batch_size, learning_rate, weight_decay
        Of AdamW; the rate stays as it is.
    ema_rate
        What the running average keeps of itself at each step.
    augmentation
        ``none``, as published; ``ours`` turns, scales and re-lights examples as our own training does.
    validation_fraction
        Share of the cells held out for the printed metrics.
    checkpoint_minutes
        Minutes between saved states.
    device, precision
        Where the network is trained, and in which number format.
    """

    num_examples: int = 45_000
    batch_size: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    ema_rate: float = 0.9999
    augmentation: str = "none"
    validation_fraction: float = 0.15
    checkpoint_minutes: float = 10.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_settings(self, {**TRAINING_RANGES, **_OWN_RANGES})


_OWN_RANGES: Mapping[str, Range] = {
    "ema_rate": Number(0.0, 1.0, below=True),
    "augmentation": OneOf(AUGMENTATIONS),
}
