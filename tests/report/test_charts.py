"""Charts are the same bytes each time, in colours that can be told apart, and leave no settings behind."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb

from dispr_cli.report.charts import chart, encoded, label_panels, looks, style


def example() -> dict[str, bytes]:
    with style():
        figure = chart(3, 2)
        panels = figure.subplots(1, 2)
        for panel in panels:
            panel.plot([0, 1], [0, 1])
        panels[0].set_title("cost in $ and $x$")
        label_panels(panels)
    return encoded(figure, dots_per_inch=50)


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert example() == example()


def test_words_stay_words_in_svg() -> None:
    files = example()
    assert files[".png"].startswith(b"\x89PNG")
    words = "".join(ElementTree.fromstring(files[".svg"]).itertext())
    assert "cost in $ and $x$" in words


def test_settings_of_matplotlib_come_back() -> None:
    before = dict(matplotlib.rcParams)
    example()
    assert dict(matplotlib.rcParams) == before


def test_methods_can_be_told_apart_with_and_without_colour() -> None:
    look = looks([f"method {number}" for number in range(24)])
    drawn = [(entry.colour, entry.marker, entry.line) for entry in look.values()]
    assert len(set(drawn)) == 24
    first = list(look.values())[:8]
    assert len({entry.marker for entry in first}) == 8
    for one, other in combinations(first, 2):
        assert np.linalg.norm(np.subtract(to_rgb(one.colour), to_rgb(other.colour))) > 0.2
