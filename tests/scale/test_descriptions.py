"""Surface areas, intervals and familiarity in the table: through the whole run, whatever the batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.familiarity import Familiarity
from dispr_cli.diffusion.intervals import fit_intervals
from dispr_cli.diffusion.trust import MeasuredIntervals, Trust, sampling_settings, trust_file, write_trust
from dispr_cli.inputs.appearance import APPEARANCE, appearance
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.methods import load_denoiser
from dispr_cli.pipeline import read_cells, reconstruct_to_store
from dispr_cli.scale.descriptions import described
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.rows import PENDING, CellRow
from dispr_cli.volumes.store import VolumeStore
from dispr_cli.volumes.table import read_table
from dispr_cli.volumes.verify import verify_store

SAMPLER = SamplerConfig("ddpm", 2)


def run(source: Path, out: Path, weights: Path, cells_at_once: int = 4) -> VolumeStore:
    settings = {"inputs": InputSettings(), "num_samples": 3, "seed": 0}
    method = load_denoiser(weights, SAMPLER, device="cpu", precision="fp32")
    plan = plan_cells(source, InputSettings())
    return reconstruct_to_store(plan, out, method, cells_at_once=cells_at_once, **settings)[0]


@pytest.fixture
def trusted(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> Path:
    """Weights with calibrations of drawn numbers, to which the first phantom looks ordinary."""
    weights = Path(shutil.copy(tiny_weights, tmp_path / "own.safetensors"))
    method, rng = load_denoiser(weights, SAMPLER, device="cpu", precision="fp32"), np.random.default_rng(0)
    truth = rng.uniform(5e3, 2e4, 40)
    calibration = fit_intervals(truth[:, None] * np.exp(0.1 * rng.normal(size=(40, 3))), truth)
    first, size = appearance(read_cells(phantom_folder)[0]), len(APPEARANCE)
    assert first is not None
    familiarity = Familiarity(first, np.full(size, 1e-3), np.eye(size), 1.0, 40)
    intervals = {"volume": calibration, "surface": calibration}
    measured = (MeasuredIntervals(sampling_settings(method.identity()), intervals),)
    write_trust(trust_file(weights), Trust(method.checkpoint.sha256, measured, familiarity))
    return weights


def test_the_table_says_it_all(phantom_folder: Path, trusted: Path, tmp_path: Path) -> None:
    store = run(phantom_folder, tmp_path / "out.zarr", trusted)
    for index, row in enumerate(read_table(store.path / "cells.csv")):
        areas = [unmeshed_area(sample) for sample in store.read(index)]
        assert float(row["surface_voxels_mean"]) == pytest.approx(np.mean(areas), rel=1e-5)
        assert float(row["surface_voxels_sd"]) == pytest.approx(np.std(areas, ddof=1), rel=1e-5)
        for quantity in ("volume", "surface"):
            low, mean, high = (float(row[f"{quantity}_voxels_{end}"]) for end in ("low", "mean", "high"))
            assert low < mean < high
        assert (float(row["unlike_training"]) > 1) == (index > 0)
    assert not verify_store(store.path).damages


def test_volumes_do_not_depend_on_it_nor_it_on_the_batch(
    phantom_folder: Path, trusted: Path, tmp_path: Path
) -> None:
    one, all_ = (run(phantom_folder, tmp_path / f"{n}.zarr", trusted, n) for n in (1, 7))
    assert list(one.cells) == list(all_.cells)
    trust_file(trusted).unlink()
    without = run(phantom_folder, tmp_path / "without.zarr", trusted)
    assert without.configuration == one.configuration
    assert all((without.read(i) == one.read(i)).all() for i in range(7))
    row = next(read_table(without.path / "cells.csv"))
    assert row["surface_voxels_mean"] != ""
    assert {row[column] for column in ("volume_voxels_low", "surface_voxels_high", "unlike_training")} == {""}


def test_rows_that_are_not_done_or_were_described_before_stay_as_they_are() -> None:
    volumes = np.zeros((2, 64, 64, 64), np.uint8)
    pending = CellRow("a", status=PENDING)
    assert described(pending, None, volumes, lambda volume: 1.0, None) == pending
    before = CellRow("a", surface_voxels_mean=5.0, unlike_training=0.5)
    assert described(before, None, volumes, lambda volume: 1.0, None) == before


def test_one_sample_has_no_spread_and_an_empty_one_no_interval() -> None:
    truth = np.linspace(5e3, 2e4, 40)
    calibration = fit_intervals(np.stack([truth * 0.9, truth * 1.2], 1), truth)
    trust = Trust("", (MeasuredIntervals({}, {"volume": calibration, "surface": calibration}),))
    row = described(CellRow("a"), None, np.zeros((1, 8, 8, 8), np.uint8), lambda volume: 0.0, trust)
    assert (row.surface_voxels_mean, row.surface_voxels_sd) == (0.0, None)
    assert (row.volume_voxels_low, row.surface_voxels_high) == (None, None)
    full = described(CellRow("a"), None, np.full((1, 8, 8, 8), 255, np.uint8), lambda volume: 300.0, trust)
    assert full.volume_voxels_low is not None
    assert full.volume_voxels_low < 512 < (full.volume_voxels_high or 0)
