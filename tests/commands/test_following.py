"""What is seen of a run where there is no terminal."""

from __future__ import annotations

import pytest

from dispr_cli.commands import following
from dispr_cli.commands.counting import Counting
from dispr_cli.commands.following import SHOWN_FAILURES, Following


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PLAIN_LINE_SECONDS", 0.0)


def test_a_plain_line_says_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with Following("shards checked", quiet=False) as shards:
        shards.show(3, 8)
        shards.show(4, 8, lambda: "half of it")
        shards.message("[not markup]")
    assert capfd.readouterr().err.splitlines() == ["3 of 8 shards checked", "half of it", "[not markup]"]


def test_lines_are_rare(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(following, "PLAIN_LINE_SECONDS", 3600.0)
    with Following("cells", quiet=False) as cells:
        for done in range(100):
            cells.show(done, 100)
    assert capfd.readouterr().err == ""


def test_quiet_leaves_the_first_failures_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with Counting("shapes", quiet=True) as shapes:
        shapes.started(100, 2)
        for index in range(98):
            shapes.measured(f"cell {index}", "is empty" if index < 2 * SHOWN_FAILURES else None)
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"Failed: cell {index}: is empty" for index in range(SHOWN_FAILURES)]


def test_the_pace_counts_what_is_new_and_the_time_left_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following.time, "monotonic", lambda: 110.0)
    line = following.pace(60, 100, 20, 100.0, "cells", "cells/s")
    assert line == "60 of 100 cells, 2.00 cells/s, about 20 s left"


def test_nothing_is_promised_before_anything_is_done() -> None:
    assert following.pace(60, 100, 0, 100.0, "cells", "cells/s") == "60 of 100 cells"
