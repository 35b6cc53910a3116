"""What `dispr train` leaves beside its weights, and what `dispr reconstruct` makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dispr_cli import trust_measurement
from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.folder import read_training_cells
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.trust import read_trust, trust_file, trust_of
from dispr_cli.inputs.cell import Cell
from dispr_cli.trust_measurement import measure_trust
from tests.diffusion.tiny import make_denoiser

CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    save_denoiser(path, make_denoiser(), {"data": "none"})
    return path


@pytest.fixture
def cells(phantom_folder: Path) -> TrainingCells:
    """Forty cells of seven kinds."""
    return read_training_cells(phantom_folder).select(np.arange(40) % 7)


def swollen(truths: TrainingCells) -> object:
    """A network whose samples are the truth, grown by one voxel to one side or the other, by turns."""

    def reconstruct(
        self: DiffusionMethod, cells: Sequence[Cell], num_samples: int, seed: int
    ) -> NDArray[np.uint8]:
        truth = truths.occupancy(truths.names.index(cells[0].name))
        return np.stack([np.maximum(truth, np.roll(truth, i % 3 + 1, 0)) for i in range(num_samples)])[None]

    return reconstruct


def test_intervals_are_those_of_the_held_out_cells(
    weights: Path, cells: TrainingCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffusionMethod, "reconstruct", swollen(cells))
    said: list[str] = []
    measure_trust(weights, cells, cells.select(np.arange(24)), CPU, said.append)
    trust = read_trust(trust_file(weights))
    assert said == []
    assert trust.intervals["volume"].num_cells == 24
    # Every sample is too large, so what holds the truth lies below the samples.
    truth = cells.occupancy(0)
    samples = swollen(cells)(None, [cells.cell(0)], 5, 0)[0]  # type: ignore[operator]
    volumes = (samples > 127).sum((1, 2, 3)).astype(float)
    ends = trust.intervals["volume"].interval(volumes)
    assert ends is not None
    assert ends[0] < (truth > 127).sum() < volumes.min()
    found = trust_of(DiffusionMethod(load_denoiser(weights), SamplerConfig(), CPU))
    assert found is not None
    assert found.intervals == trust.intervals


def test_cells_like_the_training_cells_are_familiar_and_noise_is_not(
    weights: Path, cells: TrainingCells
) -> None:
    measure_trust(weights, cells, None, CPU)
    familiarity = read_trust(trust_file(weights)).familiarity
    assert familiarity is not None
    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    known, other = cells.cell(0), cells.cell(1)
    strange = Cell("noise", noise, noise > 0.5, None, Path("noise"), None, (0, 0, 64, 64), False)
    assert familiarity.unlike(known) <= 1.0
    assert familiarity.unlike(other) <= 1.0
    assert familiarity.unlike(strange) > 1.0


def test_too_few_cells_are_said_and_give_no_numbers(weights: Path, cells: TrainingCells) -> None:
    said: list[str] = []
    measure_trust(weights, cells.select(np.arange(7)), cells.select(np.arange(3)), CPU, said.append)
    trust = read_trust(trust_file(weights))
    assert not trust.intervals
    assert trust.familiarity is None
    assert [text.split(":")[0] for text in said] == [
        "7 training cells are too few to say which new cells are unlike them",
        "3 cells held out",
    ]


def test_empty_samples_do_not_calibrate(
    weights: Path, cells: TrainingCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(
        self: DiffusionMethod, cells: Sequence[Cell], num_samples: int, seed: int
    ) -> NDArray[np.uint8]:
        return np.zeros((1, num_samples, 64, 64, 64), np.uint8)

    monkeypatch.setattr(DiffusionMethod, "reconstruct", nothing)
    assert not measure_trust(weights, cells, cells, CPU).intervals


def test_many_held_out_cells_are_sampled_evenly(
    weights: Path, cells: TrainingCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    draw = swollen(cells)

    def count(self: DiffusionMethod, some: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        seen.append(some[0].name)
        return draw(self, some, num_samples, seed)  # type: ignore[operator, no-any-return]

    monkeypatch.setattr(DiffusionMethod, "reconstruct", count)
    monkeypatch.setattr(trust_measurement, "MOST_HELD_OUT", 25)
    measure_trust(weights, cells, cells, CPU)
    assert len(seen) == 25
    assert set(seen) == set(cells.names)
