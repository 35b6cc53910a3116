"""The roofline names every point and lays each where its numbers say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.report import roofline
from dispr_cli.report.page import Page
from dispr_cli.report.roofline import Point, Roofs, draw_roofline

CPU = Roofs(memory=20.0, cache=45.0, arithmetic=90.0)
GPU = Roofs(memory=4_000.0, cache=9_000.0, arithmetic=790_000.0)


def _points(count: int, roofs: Roofs) -> list[Point]:
    """Points as crowded as a network's are, all under the roofs."""
    generator = np.random.default_rng(0)
    intensities = 10 ** generator.uniform(-0.1, 2.5, count)
    share = generator.uniform(0.3, 0.9, count)
    rates = share * np.minimum(roofs.arithmetic, roofs.memory * intensities)
    return [
        Point(f"convolution of a long name {i}", "ours", x, y)
        for i, (x, y) in enumerate(zip(intensities.tolist(), rates.tolist(), strict=True))
    ]


@pytest.mark.parametrize("roofs", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("count", [1, 8, 14])
def test_no_words_overlap_and_every_point_is_named(
    words_of: Callable[[Page], list[str]], count: int, roofs: Roofs
) -> None:
    words = words_of(roofline._composed(_points(count, roofs), roofs, "A processor of some kind, 2 threads"))
    for number in range(1, count + 1):
        assert str(number) in words
        assert any(word.startswith(f"{number}  convolution") for word in words)
    assert f"matrix product, {roofs.arithmetic:,.0f} GFLOP/s" in words


def test_points_that_fall_together_keep_their_numbers_apart(words_of: Callable[[Page], list[str]]) -> None:
    together = [Point("same", "ours", 0.8, 10.0 + 0.1 * i) for i in range(4)]
    assert {"1", "2", "3", "4"} <= set(words_of(roofline._composed(together, CPU, "")))


def test_a_point_at_the_limit_lies_on_the_roof() -> None:
    page = roofline._composed(
        [Point("copy", "ours", 0.5, 10.0), Point("product", "ours", 90.0, 90.0)], CPU, ""
    )
    lines = [line for line in page.axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.0]
    memory, _, flat = (line for line in lines if line.get_ydata()[0] > 0.6)
    markers = [line for line in page.axes.lines if line.get_marker() == "o"]
    (x, y), (_, top) = ((float(m.get_xdata()[0]), float(m.get_ydata()[0])) for m in markers)
    slope = np.diff(memory.get_ydata()) / np.diff(memory.get_xdata())
    assert y == pytest.approx(float(memory.get_ydata()[0] + slope[0] * (x - memory.get_xdata()[0])))
    assert top == pytest.approx(float(flat.get_ydata()[0]))


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    for points in ([], [Point("nothing", "ours", 1.0, 0.0)]):
        with pytest.raises(ValueError, match="positive"):
            draw_roofline(points, CPU, tmp_path / "a.png")
    draw_roofline(_points(3, CPU), CPU, tmp_path / "new" / "a.png", "machine", dots_per_inch=50)
    assert (tmp_path / "new" / "a.png").stat().st_size > 5000
