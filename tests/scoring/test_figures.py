"""The figures show what was found, failures included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.evaluation import evaluate
from dispr_cli.report import tiles
from dispr_cli.report.charts import encoded
from dispr_cli.scoring import figures
from dispr_cli.scoring.cells import Measuring
from dispr_cli.scoring.matching import voxel_sizes
from dispr_cli.scoring.result import Evaluation
from dispr_cli.scoring.truths import open_truths
from tests.scoring.stores import RADII, around, make_store, write_truths

FIRST = next(iter(RADII))


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the renderings and most pixels out: they have tests of their own."""
    monkeypatch.setattr(tiles, "shade", lambda *_, **__: np.zeros((8, 8, 4)))
    monkeypatch.setattr(figures, "encoded", lambda figure, dots_per_inch=0: encoded(figure, 30))


@pytest.fixture
def draw(tmp_path: Path) -> Callable[[Evaluation], dict[str, str]]:
    """Draw the figures of an evaluation and return their SVG texts."""

    def drawn(found: Evaluation) -> dict[str, str]:
        truths = open_truths(found.truth)
        truths.find(list(found.classes))
        measuring = Measuring(voxel_sizes(found.match, None), True)
        files = figures.write_figures(
            tmp_path / "drawn", found.scores, found.summaries, found.match, truths, measuring
        )
        assert all(path.stat().st_size > 0 for path in files)
        return {path.stem: path.read_text(encoding="utf-8") for path in files if path.suffix == ".svg"}

    return drawn


@pytest.mark.usefixtures("flat")
def test_a_failure_is_shown_as_one(tmp_path: Path, draw: Callable[[Evaluation], dict[str, str]]) -> None:
    truths = write_truths(tmp_path / "truths")
    make_store(tmp_path / "a.zarr", around(0.0, 1.0), method="a")
    make_store(tmp_path / "b.zarr", around(0.1), method="b", statuses={FIRST: "failed: no"})
    found = evaluate([tmp_path / "a.zarr", tmp_path / "b.zarr"], truths, figures=False)
    texts = draw(found)
    assert set(texts) == {"errors", "calibration", "cells"}
    assert "failed: nothing there" in texts["cells"]
    assert "No spread to judge: b" in texts["calibration"]
    for name in ("a", "b"):
        assert f">{name}</text>" in texts["errors"]
        assert f">{name}</text>" in texts["cells"]


@pytest.mark.usefixtures("flat")
def test_one_store_shows_its_vote_and_a_single_sample_alone(
    tmp_path: Path, draw: Callable[[Evaluation], dict[str, str]]
) -> None:
    truths = write_truths(tmp_path / "truths")
    make_store(tmp_path / "a.zarr", around(0.0, 1.0, 2.0))
    make_store(tmp_path / "b.zarr", around(0.0))
    texts = draw(evaluate(tmp_path / "a.zarr", truths, figures=False))
    assert "Vote of 3" in texts["cells"]
    assert "Medoid sample" in texts["cells"]
    texts = draw(evaluate(tmp_path / "b.zarr", truths, figures=False))
    assert "Reconstruction" in texts["cells"]
    assert set(texts) == {"errors", "cells"}
