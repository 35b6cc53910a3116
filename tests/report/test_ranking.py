"""The best, median and worst cells are those, each once, and their picture writes nothing over anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dispr_cli.report import tiles
from dispr_cli.report.page import Page
from dispr_cli.report.ranking import RankedCell, RankedShape, choose_ranked, draw_ranking


def test_the_extremes_and_the_middle_are_chosen() -> None:
    scores = {f"cell {number}": number / 20 for number in range(21)}
    assert choose_ranked(scores) == [
        ("cell 20", "best"),
        ("cell 19", "best"),
        ("cell 11", "median"),
        ("cell 10", "median"),
        ("cell 1", "worst"),
        ("cell 0", "worst"),
    ]


@pytest.mark.parametrize("count", range(1, 9))
def test_no_cell_stands_twice(count: int) -> None:
    chosen = choose_ranked({f"{number}": float(number) for number in range(count)})
    names = [name for name, _ in chosen]
    assert len(names) == len(set(names)) == min(count, 3 if count < 6 else 6)
    assert names[0] == str(count - 1)
    assert names[-1] == "0"


def test_equal_scores_are_ranked_by_name() -> None:
    assert choose_ranked(dict.fromkeys("cba", 0.5)) == [("a", "best"), ("b", "median"), ("c", "worst")]


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_no_words_overlap(
    words_of: Callable[[Page], list[str]], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(tiles, "shade", lambda *_, **__: np.zeros((8, 8, 4)))
    volume = np.zeros((16, 16, 16), np.uint8)
    volume[4:12, 3:9, 5:13] = 255
    shape = RankedShape(volume, "IoU 0.55, volume +114 %")
    shapes = {f"method {number} with a long name": shape for number in range(columns)}
    names = ("a", "a very long name of a cell" * 4, "細胞 $x$")
    rows = [
        RankedCell(name, group, volume, shapes)
        for name, group in zip(names, ("best", "median", "worst"), strict=True)
    ]
    page = draw_ranking(rows, "ranked by the IoU of one random sample of dispr")
    words = words_of(page)
    assert {"best", "median", "worst", "Ground truth", "ground truth"} <= set(words)
    assert words.count("IoU 0.55, volume +114 %") == 3 * columns


def test_the_outline_of_the_truth_lies_on_the_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "shade", lambda *_, **__: np.zeros((8, 8, 4)))
    volume = np.zeros((16, 16, 16), np.uint8)
    volume[4:14, 2:9, 5:13] = 255
    page = draw_ranking([RankedCell("a", "best", volume, {"m": RankedShape(volume, "")})], "")
    images = [image for image in page.axes.images if image.get_array().shape == (16, 16)]
    outlines = [line for line in page.axes.lines if len(line.get_xdata()) > 10]
    assert len(outlines) == 3
    for line, image in zip(outlines, images[3:], strict=True):
        left, right, bottom, top = image.get_extent()
        down, beside = np.nonzero(np.asarray(image.get_array()) > 127)
        assert min(line.get_xdata()) == pytest.approx(left + (right - left) * beside.min() / 16, abs=0.001)
        assert min(line.get_ydata()) == pytest.approx(top + (bottom - top) * down.min() / 16, abs=0.001)
