"""Every shard has one owner, whatever the number of parts; schedulers' numbers are read right or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispr_cli.errors import ConfigError
from dispr_cli.scale.parts import WHOLE, Part, choose_part


@given(st.integers(1, 300), st.integers(1, 64))
def test_every_shard_has_one_owner_and_shares_are_even(num_shards: int, count: int) -> None:
    shares = [Part(index, count).shards_of(num_shards) for index in range(1, count + 1)]
    assert [shard for share in shares for shard in share] == list(range(num_shards))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_no_option_and_no_array_is_the_whole_run() -> None:
    assert choose_part(None, {}) == WHOLE
    assert choose_part(None, {"SLURM_ARRAY_TASK_ID": "3"}) == WHOLE
    assert WHOLE.is_whole


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ID": "0", "COUNT": "4", "MIN": "0"}, "1/4"),
        ({"ID": "4", "COUNT": "4", "MIN": "1"}, "4/4"),
        ({"ID": "12", "COUNT": "3", "MIN": "10"}, "3/3"),
        ({"ID": "7", "COUNT": "3", "MIN": "1", "STEP": "3"}, "3/3"),
        ({"ID": "2", "COUNT": "3"}, "3/3"),
    ],
)
def test_tasks_of_an_array_take_their_parts(environment: dict[str, str], expected: str) -> None:
    names = {"ID": "ID", "COUNT": "COUNT", "MIN": "MIN", "STEP": "STEP"}
    part = choose_part(None, {f"SLURM_ARRAY_TASK_{names[key]}": value for key, value in environment.items()})
    assert str(part) == expected
    assert part.origin == "SLURM_ARRAY_TASK_ID"


def test_the_option_wins_over_the_array() -> None:
    environment = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}
    assert str(choose_part("2/9", environment)) == "2/9"


@pytest.mark.parametrize(
    "environment",
    [
        {"ID": "7", "COUNT": "2", "MIN": "3"},
        {"ID": "2", "COUNT": "2", "MIN": "1", "STEP": "3"},
        {"ID": "0", "COUNT": "2", "MIN": "1"},
        {"ID": "x", "COUNT": "2", "MIN": "1"},
    ],
)
def test_an_array_with_gaps_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="--part i/N"):
        choose_part(None, {f"SLURM_ARRAY_TASK_{key}": value for key, value in environment.items()})


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", "", "1/10000000", "²/3"])
def test_parts_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConfigError, match="expected i/N"):
        choose_part(text, {})
