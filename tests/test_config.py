"""Settings refuse what makes no sense with a sentence, and numbers of NumPy become Python's."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.errors import ConfigError


@pytest.mark.parametrize("value", [0, -1, 1001, 1.5, 2.0, True, "5", None])
def test_numbers_of_samples_that_make_no_sense(value: object) -> None:
    with pytest.raises(ConfigError, match=r"--samples \(num_samples\) is .*: expected a whole number from"):
        ReconstructConfig(num_samples=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, 2**63, 2**70, 1.5, False, "1"])
def test_seeds_that_make_no_sense(value: object) -> None:
    with pytest.raises(ConfigError, match=r"--seed is .*: expected a whole number from 0 to 2\*\*63 - 1"):
        ReconstructConfig(seed=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_steps", 2.5, r"--steps \(num_steps\) is 2.5: expected a whole number from 1 to 10000"),
        ("orientations", 9, "orientations is 9: expected a whole number from 1 to 8"),
        ("balance", "5", "balance is '5': expected a whole number from 1 to 64"),
        ("eta", float("nan"), "--eta is nan: expected a number from 0 to 1"),
        ("spread", "1", "--spread is '1': expected a number from 0 to 10"),
        ("spread", True, "--spread is True"),
    ],
)
def test_ways_of_drawing_that_make_no_sense(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SamplerConfig(**{name: value})  # type: ignore[arg-type]


def test_numbers_of_numpy_become_those_of_python() -> None:
    run = ReconstructConfig(np.int64(3), np.uint64(2**63 - 1))
    sampler = SamplerConfig(num_steps=np.int32(4), spread=np.float32(0.5), eta=1)
    values = (run.num_samples, run.seed, sampler.num_steps, sampler.spread, sampler.eta)
    assert values == (3, 2**63 - 1, 4, 0.5, 1.0)
    assert [type(value) for value in values] == [int, int, int, float, float]
