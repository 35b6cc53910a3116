"""A packed list is the list it was made of, in a fraction of the memory."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispr_cli.inputs.packed import Packed
from dispr_cli.inputs.plan import CellRef


@given(st.lists(st.integers(), max_size=700), st.slices(700))
def test_it_is_the_list_it_was_made_of(items: list[int], part: slice) -> None:
    packed = Packed(iter(items))
    assert len(packed) == len(items)
    assert list(packed) == items
    assert packed == items
    assert packed[part] == items[part]
    assert [packed[i] for i in range(-len(items), len(items))] == items * 2
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert packed != [*items, 1]
    for beyond in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            packed[beyond]


def test_threads_may_read_it_at_once() -> None:
    packed = Packed(range(5000))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(packed.__getitem__, [*range(5000)] * 3)) == [*range(5000)] * 3


def test_cells_take_a_tenth_of_the_memory() -> None:
    def refs() -> list[CellRef]:
        folder = Path("/data/of/somebody")
        names = [f"cell_{i:06d}" for i in range(2000)]
        return [CellRef(n, folder / "image" / f"{n}.tif", folder / "mask" / f"{n}.tif") for n in names]

    def memory_of(make: object) -> tuple[int, object]:
        tracemalloc.start()
        try:
            made = make()  # type: ignore[operator]
            gc.collect()  # Python keeps up to 2000 freed tuples of each length for later.
            return tracemalloc.get_traced_memory()[0], made
        finally:
            tracemalloc.stop()

    memory_of(lambda: [str(ref.image) for ref in refs()])  # interns what both share
    memory_of(lambda: Packed(iter(refs())))  # the interpreter keeps what the first pickling allocated
    plain, _ = memory_of(refs)
    packed, found = memory_of(lambda: Packed(iter(refs())))
    assert packed < plain / 10
    assert found == refs()
