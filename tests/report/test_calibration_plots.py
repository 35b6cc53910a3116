"""Only methods with a spread are drawn; an honest one lies in the band."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.report.calibration_plots import chance_band, draw_calibration, has_spread
from dispr_cli.shape.balanced import honest_ranks
from dispr_cli.shape.calibration import (
    VoxelReliability,
    interval_coverage,
    rank_histogram,
    spread_skill_ratio,
)
from dispr_cli.shape.comparison import Calibration, MethodSummary


def summary(samples: int, sd: float = 1.0, cells: int = 300) -> MethodSummary:
    random = np.random.default_rng(1)
    drawn = random.normal(0, sd, (cells, samples))
    truth = random.normal(0, 1, cells)
    calibration = Calibration(
        *interval_coverage(drawn, truth),
        rank_histogram(drawn, truth),
        np.array(honest_ranks(samples, 1)),
        spread_skill_ratio(drawn, truth),
    )
    votes = np.arange(samples + 1) * 10 + 5
    return MethodSummary(
        {},
        dict.fromkeys(("volume", "surface_area", "z_extent"), calibration),
        VoxelReliability(votes, votes // 2),
        0,
        cells * samples,
    )


def test_methods_without_a_spread_are_named_below() -> None:
    figure = draw_calibration({"ours": summary(5), "one": summary(1), "equal": summary(5, sd=0.0)})
    assert figure is not None
    assert "No spread to judge: one, equal." in figure._supxlabel.get_text()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["ours"]
    assert len(figure.axes) == 8


def test_nothing_is_drawn_where_no_method_spreads() -> None:
    assert draw_calibration({"one": summary(1)}) is None
    assert not has_spread(MethodSummary({}, {}, None, 0, 0))


def test_methods_with_different_numbers_of_samples_share_the_panels() -> None:
    figure = draw_calibration({"five": summary(5), "nine": summary(9)})
    assert figure is not None
    lines = {line.get_label(): line.get_xdata() for line in figure.axes[4].lines}
    assert len(lines["five"]) == 6
    assert len(lines["nine"]) == 10
    assert lines["nine"][-1] == lines["five"][-1] == 1
    figure.draw_without_rendering()


def test_an_honest_spread_lies_in_the_band() -> None:
    honest = summary(9).calibration["volume"]
    low, high = chance_band(honest.nominal, 300)
    assert ((low <= honest.observed) & (honest.observed <= high)).mean() >= 0.75
    sure = summary(9, sd=0.2).calibration["volume"]
    assert (sure.observed < low).all()


@pytest.mark.parametrize("cells", [4, 100])
def test_the_band_holds_95_percent(cells: int) -> None:
    low, high = chance_band(np.array([0.4]), cells)
    drawn = np.random.default_rng(0).binomial(cells, 0.4, 20_000) / cells
    assert ((low <= drawn) & (drawn <= high)).mean() > 0.94
