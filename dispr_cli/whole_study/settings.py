"""What ``dispr study`` is asked for, where it runs, and who follows it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from dispr_cli.classification.classify import ClassifyConfig, ClassifyEvents
from dispr_cli.config import SamplerConfig
from dispr_cli.errors import ConfigError
from dispr_cli.morphology.measure import FeatureEvents
from dispr_cli.scale.shards import Events
from dispr_cli.study.forest import ForestConfig
from dispr_cli.training import TrainingWatcher


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """One run of ``dispr study``.

    Attributes
    ----------
    num_folds
        Networks that are trained; each never sees one share of the cells.
    num_examples
        Augmented examples each learns from.
    num_samples, num_steps
        Shapes drawn of each cell by the network that never saw it, and denoising steps.
    num_known_samples
        Shapes each network draws of every cell it was trained on: these may train a classifier that is
        tested on the cells the network never saw. One, as the paper's networks predict.
    seed
        Of the folds, the trainings and the shapes.
    never_seen
        The user says that the weights to start from were trained on none of these cells.
    classify
        How classes are compared.
    """

    num_folds: int = 5
    num_examples: int = 8000
    num_samples: int = 5
    num_known_samples: int = 1
    num_steps: int = SamplerConfig().num_steps
    seed: int = 0
    never_seen: bool = False
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)

    def __post_init__(self) -> None:
        if self.num_folds < 2:
            raise ConfigError(f"--folds is {self.num_folds}: expected a whole number from 2")
        if self.num_known_samples < 1:
            raise ConfigError(f"--known-samples is {self.num_known_samples}: expected a whole number from 1")


SMALL = StudyConfig(
    num_folds=3,
    num_examples=800,
    num_samples=2,
    num_steps=4,
    classify=ClassifyConfig(num_repeats=2, forest=ForestConfig(100, 50)),
)
"""Finishes in about a quarter of an hour on two cores; its networks have learned little."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a study runs; nothing of this changes its result but for the last bits.

    Attributes
    ----------
    device, precision
        Of the networks.
    threads
        Shapes measured at the same time.
    """

    device: str
    precision: str
    threads: int


class StudyEvents(Protocol):
    """Who follows a study."""

    def message(self, text: str) -> None:
        """Take a sentence worth knowing."""

    def training(self) -> AbstractContextManager[TrainingWatcher]:
        """Follow one training."""

    def reconstruction(self) -> AbstractContextManager[Events]:
        """Follow one store being filled."""

    def features(self) -> AbstractContextManager[FeatureEvents]:
        """Follow one table being measured."""

    def classification(self) -> AbstractContextManager[ClassifyEvents]:
        """Follow the forests."""
