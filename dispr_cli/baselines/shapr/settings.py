"""Settings of a SHAPR training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dispr_cli.config import GRID, TRAINING_RANGES, TrainingConfig
from dispr_cli.setting_ranges import Nested, Number, Range, Whole, check_settings


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
        check_settings(self, {**TRAINING_RANGES, **_OWN_RANGES})


_OWN_RANGES: Mapping[str, Range] = {
    "topology_weight": Number(0.0, 1e6),
    "topology_resolution": Whole(4, GRID, also=(0,)),
    "topology_dimension": Whole(0, 2),
    "topology_order": Number(0.0, 100.0, above=True),
    "adversarial_examples": Whole(0, 10**12),
    "discriminator_rate": Number(0.0, 10.0, above=True),
    "augmentation": Nested(TrainingConfig),
}
