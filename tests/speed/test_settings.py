"""One side of a comparison, as it is written on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.speed.settings import BenchSettings, settings_from

GIVEN = BenchSettings(sampler="heun", steps=9)


def test_what_is_named_changes_and_the_rest_stays() -> None:
    side = settings_from("steps=2, batch-size=10,precision=bf16,ops=plain", GIVEN)
    assert side == BenchSettings(sampler="heun", steps=2, batch_size=10, precision="bf16", ops="plain")


def test_weights_need_no_name() -> None:
    assert settings_from("a/b.safetensors", GIVEN).weights == Path("a/b.safetensors")
    named = settings_from("weights=a=b.safetensors,steps=1", GIVEN)
    assert (named.weights, named.steps) == (Path("a=b.safetensors"), 1)


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ("stepz=2", r"'stepz=2'.*names are weights, sampler, steps, batch-size"),
        ("steps", "'steps'"),
        ("", "cannot read ''"),
        ("steps=", "'steps='"),
        ("steps=2,,", "cannot read ''"),
        ("steps=two", "steps is 'two'; expected a whole number"),
        ("batch-size=-1", "batch-size is '-1'"),
    ],
)
def test_a_side_that_cannot_be_read(side: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings_from(side, GIVEN)
