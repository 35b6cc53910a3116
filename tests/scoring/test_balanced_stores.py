"""What a store says of the balance of its samples reaches their scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dispr_cli.evaluation import evaluate
from tests.scoring.stores import RADII, make_store, write_truths


def test_balanced_samples_are_not_flattered(tmp_path: Path) -> None:
    radii = {name: [radius - 0.5, radius + 0.2, radius + 0.5] for name, radius in RADII.items()}
    make_store(tmp_path / "alone.zarr", radii, method="alone")
    make_store(tmp_path / "balanced.zarr", radii, method="balanced", balance=3)
    write_truths(tmp_path / "truth")
    stores = [tmp_path / "alone.zarr", tmp_path / "balanced.zarr"]
    found = evaluate(stores, tmp_path / "truth", figures=False)
    for cell in RADII:
        alone, balanced = (found.scores[name][cell] for name in ("alone", "balanced"))
        assert balanced.vote == alone.vote
        for score in ("fair_crps_volume", "ged_squared"):
            assert balanced.together[score] > alone.together[score]
    calibrations = [found.summaries[name].calibration["volume"] for name in ("alone", "balanced")]
    assert calibrations[0].nominal[0] == pytest.approx(0.5)
    assert calibrations[1].nominal[0] > 0.55
    assert np.isclose(calibrations[1].honest_ranks.sum(), 1.0)
