"""Results come in the order of their items, whichever thread is done first."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

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


def test_no_more_is_begun_than_was_asked_for() -> None:
    begun: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        made = in_order(begun.append, range(100), pool, 5)
        next(made)
        made.close()  # type: ignore[attr-defined]
    assert len(begun) <= 5
