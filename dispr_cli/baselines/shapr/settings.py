"""Settings of a SHAPR training."""

from __future__ import annotations

from dataclasses import dataclass, field

from dispr_cli.config import PRECISIONS, TrainingConfig
from dispr_cli.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ShaprConfig:
    """One training of SHAPR.

    Attributes
    ----------
    num_examples
        Augmented examples learned from.
    batch_size, learning_rate
        Of Adam; the rate falls to zero along a cosine.
    topology_weight
        Weight of the topological loss; 0 is SHAPR, 0.1 the published SHAPR + topology.
    topology_resolution, topology_dimension, topology_order
        Side of the grid it is computed on (0: as it is), dimension of the features (2: voids), and
        order of the Wasserstein distance.
    adversarial_examples
        Examples of the second, adversarial phase, beyond ``num_examples``; 0 leaves it out.
    discriminator_rate
        Learning rate of the discriminator.
    validation_fraction
        Share of the cells held out for the printed metrics.
    checkpoint_minutes
        Minutes between saved states.
    device, precision
        Where the network is trained, and in which number format.
    augmentation
        How examples are moved, scaled and re-lit: as ours are. With three times as many examples it took the
        error of the volume of held-out cells from 24 to 20 % (docs/model_log.md).
    """

    num_examples: int = 18_000
    batch_size: int = 6
    learning_rate: float = 1e-3
    topology_weight: float = 0.0
    topology_resolution: int = 16
    topology_dimension: int = 2
    topology_order: float = 2.0
    adversarial_examples: int = 0
    discriminator_rate: float = 5e-5
    validation_fraction: float = 0.15
    checkpoint_minutes: float = 2.0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    augmentation: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for name, least in (("num_examples", 1), ("batch_size", 1), ("adversarial_examples", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a whole number from {least}")
        for name in ("learning_rate", "discriminator_rate", "checkpoint_minutes", "topology_order"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}: expected a positive number")
        if not 0.0 <= self.validation_fraction < 0.9:
            raise ConfigError(f"validation_fraction is {self.validation_fraction}: expected 0 to 0.9")
        if not 0.0 <= self.topology_weight < float("inf"):
            raise ConfigError(f"topology_weight is {self.topology_weight}: expected 0 or more")
        if not (self.topology_resolution == 0 or 4 <= self.topology_resolution <= 64):
            raise ConfigError(f"topology_resolution is {self.topology_resolution}: expected 0, or 4 to 64")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"unknown precision {self.precision!r}: expected {', '.join(PRECISIONS)}")
        if self.topology_dimension not in (0, 1, 2):
            raise ConfigError(f"topology_dimension is {self.topology_dimension}: expected 0, 1 or 2")
