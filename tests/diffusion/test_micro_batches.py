"""The network is always asked for as many volumes, whatever there is to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dispr_cli.config import GRID
from dispr_cli.diffusion import micro_batches
from dispr_cli.diffusion.micro_batches import MicroBatchedMethod, Work
from dispr_cli.errors import DisprError
from dispr_cli.inputs.cell import Cell

IMAGE = np.zeros((GRID, GRID), np.float32)
CELLS = [
    Cell(f"cell {i}", IMAGE, IMAGE > 0, None, Path("none"), None, (0, 0, GRID, GRID), False) for i in range(3)
]


class Numbering(MicroBatchedMethod):
    """Draws the number of the cell and of the sample; memory suffices for ``most`` volumes."""

    def __init__(self, micro_batch: int, most: int = 1000, precision: str = "fp32") -> None:
        self.said: list[str] = []
        super().__init__(torch.device("cpu"), micro_batch, precision, self.said.append)
        self.most, self.asked = most, []

    asked: list[Work]

    def describe(self) -> str:
        return "numbers"

    def identity(self) -> dict[str, Any]:
        return {"method": "numbering"}

    def _draw(self, cells: Sequence[Cell], work: Work, seed: int) -> NDArray[np.uint8]:
        if len(work) > self.most:
            raise MemoryError
        self.asked.append(work)
        return np.stack([np.full((GRID, GRID, GRID), 10 * i + s, np.uint8) for i, s in work])


EXPECTED = [[0, 1, 2], [10, 11, 12], [20, 21, 22]]


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5, 9, 20])
def test_every_call_is_of_one_size_and_every_shape_in_its_place(micro_batch: int) -> None:
    method = Numbering(micro_batch)
    drawn = method.reconstruct(CELLS, 3, seed=0)
    assert {len(work) for work in method.asked} == {micro_batch}
    assert len(method.asked) == -(-9 // micro_batch)
    np.testing.assert_array_equal(drawn[..., 0, 0, 0], EXPECTED)
    assert (drawn == drawn[..., :1, :1, :1]).all()


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost() -> None:
    method = Numbering(8, most=3)
    drawn = method.reconstruct(CELLS, 3, seed=0)
    np.testing.assert_array_equal(drawn[..., 0, 0, 0], EXPECTED)
    assert {len(work) for work in method.asked} == {2}
    assert [text.split()[-5] for text in method.said] == ["4", "2"]
    with pytest.raises(DisprError, match="single volume"):
        Numbering(2, most=0).reconstruct(CELLS, 1, seed=0)


def test_nothing_to_draw_asks_for_nothing() -> None:
    method = Numbering(5)
    assert method.reconstruct([], 2, seed=0).shape == (0, 2, GRID, GRID, GRID)
    assert method.asked == []


@pytest.mark.parametrize("fast", [False, True])
def test_auto_takes_the_precision_of_a_store_and_a_given_one_stays(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = torch.bfloat16 if fast else None
    monkeypatch.setattr(
        micro_batches,
        "choose_autocast",
        lambda _, name: {"fp32": None, "bf16": torch.bfloat16}.get(name, best),
    )
    own, other = ("bf16", "fp32") if fast else ("fp32", "bf16")
    given, free = Numbering(2, precision=own), Numbering(2, precision="auto")
    assert not given.take_precision(other)
    assert not free.take_precision(own)
    assert not [*given.said, *free.said]
    assert free.take_precision(other)
    assert (free.autocast is None) == fast
    assert ("faster on this machine" in free.said[0]) == (not fast)
    assert free.take_precision(own)
