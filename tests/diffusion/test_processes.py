"""A training shared by processes is the training of one, within rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.augmentation import Randomness, augment
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.processes import ALONE, Processes, launched
from dispr_cli.diffusion.resumable_run import state_file
from dispr_cli.diffusion.training import Trainer
from dispr_cli.errors import ConfigError
from tests.diffusion.shared_training import CONFIG, train
from tests.diffusion.tiny import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
CPU = torch.device("cpu")


def torchrun(count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command += [str(argument) for argument in arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def losses(out: Path) -> list[float]:
    found: list[float] = json.loads(out.with_suffix(".json").read_text())
    return found


def test_two_processes_learn_what_one_learns(training_cells: TrainingCells, tmp_path: Path) -> None:
    cells, one, two = (tmp_path / name for name in ("cells.npz", "one.safetensors", "two.safetensors"))
    training_cells.save(cells)
    train(cells, one)
    script = ROOT / "tests" / "diffusion" / "shared_training.py"
    stopped = torchrun(2, script, cells, two, 5)
    assert stopped.returncode != 0
    assert state_file(two).exists()
    done = losses(two)
    went_on = torchrun(2, script, cells, two)
    assert went_on.returncode == 0, went_on.stderr
    done += losses(two)
    assert len(losses(one)) == len(done) == CONFIG.num_examples // CONFIG.batch_size
    np.testing.assert_allclose(done, losses(one), rtol=1e-4)
    assert not np.allclose(losses(one)[1:], losses(one)[:-1], rtol=1e-2)
    alone, shared = (load_denoiser(path).denoiser for path in (one, two))
    start = Trainer(training_cells, CONFIG, TINY, CPU).denoiser
    for a, b, c in zip(alone.parameters(), shared.parameters(), start.parameters(), strict=True):
        # Adam turns rounding of a small gradient into a whole step; what was learned is far more.
        assert (a - b).norm() <= 0.02 * (a - c).norm() + 1e-7


def test_every_process_has_the_numbers_of_its_own_examples(training_cells: TrainingCells) -> None:
    index = torch.tensor([0, 1, 2, 3, 4, 0])
    resident = training_cells.resident(CPU)
    whole = augment(resident.examples(index, CPU), CONFIG, Randomness.of_step(3, 7, CPU))
    for count in (2, 3):
        for rank in range(count):
            who = Processes(rank, count)
            share = augment(
                resident.examples(who.share(index), CPU), CONFIG, Randomness.of_step(3, 7, CPU, who)
            )
            for own, of_all in zip(share, whole, strict=True):
                torch.testing.assert_close(own, who.share(of_all))


def test_choices_and_noise_levels_are_those_of_the_whole_batch() -> None:
    odds = torch.rand(20)
    alone = Randomness.of_step(1, 2, CPU)
    chosen, levels = alone.choose(odds, 8), alone.quantiles(8)
    shares = [Randomness.of_step(1, 2, CPU, Processes(rank, 4)) for rank in range(4)]
    assert torch.equal(torch.cat([share.choose(odds, 2) for share in shares]), chosen)
    assert torch.equal(torch.cat([share.quantiles(2) for share in shares]), levels)
    assert (levels * 8).floor().sort().values.tolist() == list(range(8))


def test_a_batch_that_cannot_be_shared_is_refused(training_cells: TrainingCells) -> None:
    config = TrainingConfig(num_examples=8, batch_size=4)
    with pytest.raises(ConfigError, match="batch of 4 cannot be shared evenly by 3 processes"):
        Trainer(training_cells, config, TINY, CPU, processes=Processes(0, 3))


def test_who_one_is_stands_in_the_environment() -> None:
    assert launched({}) is ALONE
    assert launched({"WORLD_SIZE": "1", "RANK": "0"}) is ALONE
    assert launched({"WORLD_SIZE": "4", "RANK": "3"}) == Processes(3, 4)
    assert not launched({"WORLD_SIZE": "4", "RANK": "3"}).is_first


def test_peers_are_trained_by_one_process(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dispr_cli.training import train_on_folder

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="shapr is trained by one process"):
        train_on_folder("shapr", phantom_folder, tmp_path / "w.safetensors", {}, None, None)  # type: ignore[arg-type]


def test_the_command_is_shared_too(phantom_folder: Path, tmp_path: Path) -> None:
    settings, out = tmp_path / "s.toml", tmp_path / "w.safetensors"
    settings.write_text("batch_size = 2\nwarmup = 1\nvalidation_fraction = 0.3\nprecision = 'fp32'\n")
    options = ("--config", settings, "--examples", 4, "--device", "cpu")
    done = torchrun(2, "-m", "dispr_cli", "train", phantom_folder, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"weights: {out}"]
    assert done.stderr.count("cells to learn from") == 1
    assert load_denoiser(out).provenance["training"]["batch_size"] == 2
