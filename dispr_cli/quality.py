"""What ``--quality`` spends on a cell, by name."""

from __future__ import annotations

from dataclasses import dataclass

from dispr_cli.config import METHODS, SAMPLING_METHODS
from dispr_cli.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Quality:
    """How much is spent on a cell; measured in docs/benchmarks.md.

    Attributes
    ----------
    num_samples, num_steps
        Shapes of each cell, and denoising steps of each (methods with steps of their own keep those).
    spread
        As in :class:`SamplerConfig`.
    """

    num_samples: int
    num_steps: int
    spread: float = 1.0


QUALITIES = {
    "fast": Quality(1, 2, 0.0),
    "standard": Quality(5, 2),
    "high": Quality(10, 2, 1.5),
}
"""By name: the best single guess; shapes and their spread; twice as many that differ more."""


def spend(
    quality: str, method: str, num_samples: int | None, num_steps: int | None, spread: float | None
) -> tuple[int, int | None, float | None]:
    """Return samples, steps and spread: as asked for, else as a quality has them, where a method has them.

    Raises
    ------
    ConfigError
        If there is no such quality.
    """
    if quality not in QUALITIES:
        raise ConfigError(f"--quality is {quality!r}: expected one of {', '.join(QUALITIES)}")
    chosen = QUALITIES[quality]
    if num_samples is None:  # Equal shapes would have a spread of 0, which reads as certainty.
        num_samples = chosen.num_samples if method in SAMPLING_METHODS else 1
    if method == METHODS[0]:
        num_steps = chosen.num_steps if num_steps is None else num_steps
        spread = chosen.spread if spread is None else spread
    return num_samples, num_steps, spread
