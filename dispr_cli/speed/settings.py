"""The settings of a timing, and how one side of a comparison is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.errors import ConfigError

_SAMPLER, _RUN = SamplerConfig(), ReconstructConfig()


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What is timed, and on what.

    Attributes
    ----------
    weights
        File of weights; None for the shipped ones.
    sampler, steps
        How samples are drawn.
    batch_size
        Volumes in one call of the network; 0 for the device's own.
    device, precision
        As in :class:`dispr_cli.config.ReconstructConfig`.
    threads
        CPU threads; 0 for all cores.
    ops
        Implementation of the fused operations: ``compiled``, ``plain``, or an instruction set.
    """

    weights: Path | None = None
    sampler: str = _SAMPLER.sampler
    steps: int = _SAMPLER.num_steps
    batch_size: int = 0
    device: str = _RUN.device
    precision: str = _RUN.precision
    threads: int = 0
    ops: str = "compiled"


_NUMBERS = ("steps", "batch_size", "threads")


def settings_from(text: str, given: BenchSettings) -> BenchSettings:
    """Read one side of a comparison: ``steps=2,precision=bf16``, or just a file of weights.

    Parameters
    ----------
    text
        Names and values as the command's options have them; ``ops=plain`` stands for plain PyTorch.
    given
        Holds for everything that is not named.

    Raises
    ------
    ConfigError
        If a name is unknown or a number is none.
    """
    if text.endswith(".safetensors") and "=" not in text:
        return dataclasses.replace(given, weights=Path(text))
    changes: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        field = name.replace("-", "_")
        if field not in BenchSettings.__slots__ or not value:
            names = ", ".join(known.replace("_", "-") for known in BenchSettings.__slots__)
            raise ConfigError(
                f"--compare {text!r}: cannot read {part!r}; expected a file of weights (.safetensors) or "
                f"settings such as steps=2,ops=plain, whose names are {names}"
            )
        changes[field] = _value(field, value)
    return dataclasses.replace(given, **changes)


def _value(field: str, value: str) -> Any:
    if field in _NUMBERS:
        if not value.isdecimal():
            raise ConfigError(f"--compare: {field.replace('_', '-')} is {value!r}; expected a whole number")
        return int(value)
    return Path(value) if field == "weights" else value
