"""The violins show every method, few cells and many, and say what lies beyond the axis."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from dispr_cli.report.violins import axis_limit, draw_violins


def words_in(figure: Figure) -> list[str]:
    """All words; none of a panel may be written over another."""
    figure.draw_without_rendering()
    texts = [text for panel in figure.axes for text in panel.texts]
    return [text.get_text() for text in texts] + [
        label.get_text() for panel in figure.axes for label in panel.get_yticklabels()
    ]


@pytest.mark.parametrize("methods", [1, 3, 10])
@pytest.mark.parametrize("cells", [1, 2, 40])
def test_any_number_of_methods_and_cells(methods: int, cells: int) -> None:
    random = np.random.default_rng(0)
    errors = {f"a rather long name {i}": random.exponential(0.2, cells) for i in range(methods)}
    figure = draw_violins({"Volume": errors, "Roughness": errors})
    words = words_in(figure)
    for values in errors.values():
        assert words.count(f"{100 * values.mean():.1f} %") == 2
    heights = figure.get_figheight()
    assert heights == pytest.approx(0.95 + 0.46 * methods)


def test_equal_missing_and_infinite_errors() -> None:
    errors = {
        "same": np.full(9, 0.5),
        "none": np.full(9, np.nan),
        "infinite": np.array([0.1, 0.2, np.inf]),
        "right": np.zeros(9),
    }
    words = words_in(draw_violins({"Volume": errors}))
    assert {"50.0 %", "–", "∞", "0.0 %", "1 beyond →"} <= set(words)


def test_a_few_large_errors_do_not_squeeze_the_others() -> None:
    ordinary = np.linspace(0, 30, 200)
    assert axis_limit([ordinary]) == pytest.approx(30 * 1.04)
    limit = axis_limit([np.append(ordinary, [900.0, 2000.0])])
    assert 30 < limit < 60
    figure = draw_violins({"Volume": {"a": np.append(ordinary, [900.0, 2000.0]) / 100}})
    assert "2 beyond →" in words_in(figure)


def test_names_are_taken_letter_by_letter() -> None:
    words = words_in(draw_violins({"Volume": {"$\\frac{1}{2}$ \u202e": np.array([0.1, 0.2, 0.3])}}))
    assert any(word.startswith("$\\frac") for word in words)
