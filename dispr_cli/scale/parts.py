"""A run shared out over processes and machines that know nothing of each other.

Part i of N owns a range of whole shards of one store. Parts need no coordinator:
whichever comes first creates the store, and the one that finishes last writes the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dispr_cli.errors import ConfigError

_MOST_PARTS = 1_000_000
_TASK = "SLURM_ARRAY_TASK_ID"


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a run.

    Attributes
    ----------
    index, count
        Part ``index`` of ``count``, from 1.
    origin
        Who says so: the option, or the variable of the scheduler.
    """

    index: int = 1
    count: int = 1
    origin: str = "--part"

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= _MOST_PARTS:
            raise ConfigError(
                f"{self.origin} is {self.index}/{self.count}: expected i/N with i from 1 to N, such as 2/8"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether this part is the whole run."""
        return self.count == 1

    @property
    def is_assumed(self) -> bool:
        """Whether nobody asked for it: the numbers of a job array did."""
        return not self.is_whole and self.origin == _TASK

    def shards_of(self, num_shards: int) -> range:
        """Return the shards this part owns; every shard has one owner.

        Neighbouring shards stay together, because neighbouring cells are often of one image.
        """
        return range(
            (self.index - 1) * num_shards // self.count,
            self.index * num_shards // self.count,
        )


WHOLE = Part()
"""All of a run."""


def choose_part(option: str | None, environment: Mapping[str, str]) -> Part:
    """Return the part this process is to do.

    Parameters
    ----------
    option
        ``i/N`` as given to ``--part``; it wins.
    environment
        Where a task of a SLURM job array finds its number and their count.

    Returns
    -------
    Part
        Everything where neither says anything. An array's task is taken to be one of a run that all of them
        share, which an array with an input for each task is not: whoever takes it so has to say it.

    Raises
    ------
    ConfigError
        If the option makes no sense, or the array's numbers have gaps.
    """
    if option is not None:
        return _parsed(option)
    if _TASK in environment and "SLURM_ARRAY_TASK_COUNT" in environment:
        return _of_array(environment)
    return WHOLE


def _parsed(text: str) -> Part:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if found is None:
        raise ConfigError(f"--part is {text!r}: expected i/N with i from 1 to N, such as 2/8")
    return Part(int(found[1]), int(found[2]))


def _of_array(environment: Mapping[str, str]) -> Part:
    try:
        task, count = int(environment[_TASK]), int(environment["SLURM_ARRAY_TASK_COUNT"])
        first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0"))
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", "1"))
    except ValueError as error:
        raise ConfigError(
            f"{_TASK} and its companions are no whole numbers ({error}): give --part i/N"
        ) from error
    position, rest = divmod(task - first, max(step, 1))
    if rest or not 0 <= position < count:
        raise ConfigError(
            f"{_TASK} is {task}, but the array has {count} tasks from {first}: its numbers have gaps. "
            "Give --part i/N, as the script of 'dispr slurm' does."
        )
    return Part(position + 1, count, _TASK)
