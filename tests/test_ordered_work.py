"""Results come in the order of their items, whichever thread is done first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from dispr_cli.ordered_work import in_order


def test_results_come_in_the_order_of_their_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    with ThreadPoolExecutor(3) as pool:
        assert list(in_order(work, range(20), pool, 4)) == [item * item for item in range(20)]


def test_an_error_comes_where_its_item_does() -> None:
    with ThreadPoolExecutor(3) as pool:
        made = in_order(lambda item: 1 // (5 - item), range(9), pool, 4)
        assert [next(made) for _ in range(5)] == [0, 0, 0, 0, 1]
        with pytest.raises(ZeroDivisionError):
            next(made)


def test_items_are_taken_as_they_are_asked_for_and_none_is_begun_after() -> None:
    taken: list[int] = []
    begun: list[int] = []
    gate = Event()

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    def work(item: int) -> None:
        begun.append(item)
        if item > 0:
            gate.wait(30)

    with ThreadPoolExecutor(1) as pool:
        try:
            made = in_order(work, items(), pool, 5)
            next(made)
            assert taken == [0, 1, 2, 3, 4]
            made.close()  # type: ignore[attr-defined]
        finally:
            gate.set()
    assert set(begun) <= {0, 1}
