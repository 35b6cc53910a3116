from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.report.charts import encoded
from dispr_cli.report.class_figures import DrawnScores, draw_class_scores, draw_confusions
from dispr_cli.report.class_tables import markdown_table, p_value, signed_with_interval, with_interval


def scores(mean: float, classes: int = 3) -> DrawnScores:
    repeats = mean + np.array([-0.02, 0.0, 0.02])
    confusion = np.pad(np.eye(classes) * 9 + 0.5, ((0, 0), (0, 1)))
    return DrawnScores(repeats, (mean - 0.1, mean + 0.1), np.full(classes, mean), confusion)


def words_of(figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}


@pytest.mark.parametrize("count", [1, 4, 9])
def test_scores_name_variants_and_classes_and_show_the_means(count: int) -> None:
    drawn = {f"variant {number}": scores(0.5 + number / 50) for number in range(count)}
    figure = draw_class_scores(drawn, ["round", "flat", "odd_$one$"])
    words = words_of(figure)
    assert set(drawn) | {"round", "flat", "odd_$one$"} <= words
    assert {f"{found.macro_f1.mean():.2f}" for found in drawn.values()} <= words
    assert encoded(figure, 60)[".png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(("count", "classes"), [(1, 2), (3, 4), (6, 9)])
def test_confusions_show_per_cent_of_the_true_class(count: int, classes: int) -> None:
    drawn = {f"variant {number}": scores(0.7, classes) for number in range(count)}
    figure = draw_confusions(drawn, [f"class {number}" for number in range(classes)])
    share = 9.5 / (9 + 0.5 * classes)
    assert {f"{100 * share:.0f}", "class 0", *drawn} <= words_of(figure)
    assert encoded(figure, 60)[".svg"].startswith(b"<?xml")


def test_words() -> None:
    assert markdown_table(("a", "b"), [("x|y", "1")]).splitlines()[2] == "| x\\|y | 1 |"
    assert with_interval(0.5, (0.4, 0.6)) == "0.50 (0.40 to 0.60)"
    assert signed_with_interval(0.1, -0.2, 0.3) == "+0.100 (-0.200 to +0.300)"
    assert (p_value(0.0001), p_value(0.04)) == ("< 0.001", "0.040")
