"""The trajectory shows the first and the last step and names every noise level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.report import trajectory
from dispr_cli.report.page import Page
from dispr_cli.report.trajectory import MOST_STEPS, Step, chosen_steps, draw_trajectory

SIDE = 16


def _steps(count: int) -> list[Step]:
    predicted = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    predicted[4:12, 4:12, 4:12] = 255
    noise = np.random.default_rng(0).standard_normal(predicted.shape).astype(np.float32)
    field = predicted / 127.5 - 1
    return [(sigma, field + sigma * noise, predicted) for sigma in np.geomspace(200, 0.4, count)]


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the renderings out: they have tests of their own."""
    monkeypatch.setattr(trajectory, "shade", lambda *_, **__: np.zeros((8, 8, 4)))


def test_picture_is_written(tmp_path: Path) -> None:
    draw_trajectory(_steps(2), tmp_path / "a.png", name="cell", dots_per_inch=50)
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize("count", [1, 2, 6, 9, 40, 1000])
def test_no_words_overlap(words_of: Callable[[Page], list[str]], count: int) -> None:
    words = words_of(trajectory._composed(_steps(count), "a very long name of a cell " * 9))
    assert "1:  σ = 200" in words
    assert count == 1 or f"{count}:  σ = 0.4" in words
    assert sum("σ" in word for word in words) == min(count, MOST_STEPS)


@pytest.mark.parametrize(("count", "most"), [(1, 9), (9, 9), (10, 9), (1000, 9), (3, 2)])
def test_chosen_steps_are_even_and_hold_both_ends(count: int, most: int) -> None:
    chosen = chosen_steps(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    assert chosen[-1] == count - 1
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_noise_is_grey_at_zero_whatever_its_level() -> None:
    for sigma in (0.01, 1.0, 500.0):
        noise = sigma * np.random.default_rng(0).standard_normal((SIDE, SIDE, SIDE))
        shown, surface = trajectory._noise_in_grey(noise)
        assert np.array_equal(shown > 127.5, noise > 0)
        assert shown.std() == pytest.approx(127.5 / 2.5, rel=0.05)
        assert surface.dtype == np.uint8
    assert (trajectory._noise_in_grey(np.zeros((2, 2, 2)))[0] == 127.5).all()


def test_no_steps() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        draw_trajectory([], Path("never.png"))
