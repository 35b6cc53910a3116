"""Work in order: by threads where they wait for a disk, without where they would wait for each other."""

from __future__ import annotations

import threading
import time

import pytest

from dispr_cli.inputs.reading_ahead import as_threads_pay


def threads_used(work: object) -> set[str]:
    """Names of the threads that did the third and later items."""
    used: dict[int, str] = {}

    def noted(item: int) -> int:
        used[item] = threading.current_thread().name
        work(item)  # type: ignore[operator]
        return item * item

    assert list(as_threads_pay(noted, range(12), 3, ahead=4)) == [item * item for item in range(12)]
    assert {used[0], used[1]} == {threading.current_thread().name}
    return {used[item] for item in range(2, 12)}


def test_quick_work_stays_in_its_thread() -> None:
    assert threads_used(lambda item: sum(range(20_000))) == {threading.current_thread().name}


def test_work_that_waits_goes_to_threads() -> None:
    found = threads_used(lambda item: time.sleep(0.02))
    assert len(found) == 3
    assert all(name.startswith("dispr-read") for name in found)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_items(count: int) -> None:
    assert list(as_threads_pay(str, range(count), 2, ahead=2)) == [str(item) for item in range(count)]


def test_an_error_comes_where_its_item_does() -> None:
    made = as_threads_pay(lambda item: 1 // (5 - item), range(9), 2, ahead=4)
    assert [next(made) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(made)
