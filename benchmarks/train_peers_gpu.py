"""Train SHAPR, SHAPR + topology and DISPR of 2022 on each fold of the real cells in minutes of one GPU.

    python -m benchmarks.train_peers_gpu CELLS.npz --phantoms PHANTOMS.npz --work WORK --out OUT

SHAPR's ten trainings (method x fold) run first, side by side in processes of their own. DISPR-2022 learns
from phantoms, which hold no real cell, so that this stage serves all folds; then from the real cells of each
fold; then the fold's held-out cells are sampled. Every stage has its seconds and is skipped where its file
lies in WORK already; a SHAPR that ran out of time goes on in the end. OUT gets ``peers.tar.00`` and so on:
``cat peers.tar.* | tar x``. ``benchmarks/import_samples.py`` makes a store of the samples. Needs torch,
numpy, scipy, numba and safetensors, on a GPU or (for a trial) a CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import multiprocessing
import tarfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dispr_cli.baselines.dispr2022.diffusion import Diffusion, make_schedule
from dispr_cli.baselines.dispr2022.sampling import draw_volumes, tile_condition
from dispr_cli.baselines.dispr2022.settings import Dispr2022Config, NetworkConfig
from dispr_cli.baselines.dispr2022.training import Dispr2022Trainer
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork
from dispr_cli.baselines.dispr2022.weights import FORMAT, load_dispr2022
from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.baselines.shapr.training import train_shapr
from dispr_cli.config import FOREGROUND, SamplerConfig
from dispr_cli.diffusion.checkpoint import write_tensors
from dispr_cli.diffusion.dataset import TrainingCells, load_cells
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.resumable_run import Progress, TrainingEvents
from dispr_cli.study.folds import assign_folds
from dispr_cli.training import PUBLISHED_TOPOLOGY_WEIGHT

NUM_FOLDS = 5
STAGES = ("phantoms", *(f"fold{fold}" for fold in range(NUM_FOLDS)))
"""Trainings of DISPR-2022; the place of each is its seed."""

MOST_STEPS = 50
SNAP = 20
"""Occupancies within this of 0 or 255 are stored as 0 or 255; the surface is at 127.5."""

PIECE = 15 * 2**20
"""Bytes of one file of OUT."""

STARTED = time.monotonic()


def say(text: str) -> None:
    """Print with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def split(cells: TrainingCells, fold: int) -> tuple[TrainingCells, TrainingCells]:
    """Cells that a fold may learn from, and those held out of it."""
    held = assign_folds(cells.names, NUM_FOLDS) == fold
    return cells.select(np.flatnonzero(~held)), cells.select(np.flatnonzero(held))


def train_shaprs(args: argparse.Namespace, seconds: float) -> list[Any]:
    """Start a process for each training that is not there yet."""
    until = time.time() + seconds
    jobs = [(method, fold) for method in args.methods if method != "dispr2022" for fold in args.folds]
    missing = [
        (*job, file)
        for job in jobs
        if not (file := args.work / "{}.fold{}.safetensors".format(*job)).exists()
    ]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=train_one_shapr, args=(*job, until, args)) for job in missing]
    for process in processes:
        process.start()
    return processes


def train_one_shapr(method: str, fold: int, file: Path, until: float, args: argparse.Namespace) -> None:
    """Train one SHAPR; it goes on from its state where it was stopped."""
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    learned, held_out = split(load_cells(args.cells), fold)
    config = ShaprConfig(
        num_examples=args.shapr_examples,
        batch_size=args.shapr_batch,
        learning_rate=args.shapr_rate,
        topology_weight=PUBLISHED_TOPOLOGY_WEIGHT if method == "shapr-topo" else 0.0,
    )

    def report(progress: Progress, found: HeldOut) -> None:
        fields = f"IoU {found.iou:.3f}, volume error {100.0 * found.volume_error:.1f} %"
        say(f"{file.stem}: {progress.examples} examples, loss {progress.loss:.3f}, held out {fields}")

    facts = {"method": method, "fold": fold, "device": device_name(args.device)}
    events = TrainingEvents(held_out=report)
    device = torch.device(args.device)
    complete = train_shapr(
        learned,
        file,
        config,
        device=device,
        held_out=held_out,
        provenance=facts,
        events=events,
        until=time.monotonic() + until - time.time(),
    )
    say(f"{file.stem}: {'complete' if complete else 'out of time, its state is kept'}")


def device_name(device: str) -> str:
    """Name of the device as documents give it."""
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


class TimedTrainer(Dispr2022Trainer):
    """The trainer of DISPR-2022 with a rate that falls along a cosine to zero within given seconds."""

    def __init__(self, *args: Any, seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seconds, self.started = seconds, time.monotonic()

    def begin(self) -> float:
        """Start the clock, after the first step has chosen kernels; returns when the time is over."""
        self.started = time.monotonic()
        return self.started + self.seconds

    def _take_step(self) -> float:
        passed = min(1.0, (time.monotonic() - self.started) / self.seconds)
        warm = min(1.0, (self.step + 1) / 50)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * passed))
        loss = super()._take_step()
        assert math.isfinite(loss), "the training diverged"
        return loss


def train_dispr2022(
    name: str,
    cells: TrainingCells,
    held_out: TrainingCells,
    start: PublishedNetwork | None,
    rate: float,
    seconds: float,
    args: argparse.Namespace,
) -> PublishedNetwork:
    """Train for so many seconds and write the running average in bfloat16; what is returned was read back."""
    file = args.work / f"dispr2022.{name}.safetensors"
    if not file.exists():
        config = Dispr2022Config(
            num_examples=10**9,
            batch_size=args.batch,
            learning_rate=rate,
            ema_rate=0.98,
            augmentation="ours",
            seed=STAGES.index(name),
        )
        network = NetworkConfig(channels=args.channels, groups=args.channels)
        trainer = TimedTrainer(cells, config, torch.device(args.device), True, network, seconds=seconds)
        if start is not None:
            trainer.network.load_state_dict(start.state_dict())
            trainer.average.load_state_dict(start.state_dict())
        losses: list[float] = []

        def observe(progress: Progress) -> None:
            losses.append(progress.loss)
            if len(losses) % args.report == 0:
                recent = np.mean(losses[-args.report :])
                say(f"{file.stem}: {progress.examples} examples, loss {recent:.4f}")

        trainer._take_step()  # chooses kernels, for which a few seconds pass
        trainer.run(observe, trainer.begin())
        examples = trainer.step * config.batch_size
        say(f"{file.stem}: {examples} examples in {seconds:.0f} s")
        facts = {
            "method": "dispr2022",
            "stage": name,
            "cells": len(cells),
            "held_out": list(held_out.names),
            "examples": examples,
            "seconds": seconds,
            "device": device_name(args.device),
            "training": dataclasses.asdict(config),
        }
        tensors = {key: value.bfloat16() for key, value in trainer.average.state_dict().items()}
        shape = dataclasses.asdict(trainer.network.config)
        write_tensors(file, tensors, {"format": FORMAT, "network": shape, "provenance": facts})
    return load_dispr2022(file).network


def sample_dispr2022(fold: int, cells: TrainingCells, args: argparse.Namespace) -> None:
    """Sample every held-out cell of a fold."""
    file = args.work / f"dispr2022.fold{fold}.samples.npz"
    if file.exists():
        return
    device = torch.device(args.device)
    weights = load_dispr2022(args.work / f"dispr2022.fold{fold}.safetensors")
    network = weights.network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    examples = cells.examples(np.arange(len(cells)), device)
    condition = tile_condition(examples.image, examples.outline > 0)
    work = torch.arange(len(cells), device=device).repeat_interleave(args.samples)
    parts = [*work.split(args.sample_batch)]
    generator = torch.Generator(device).manual_seed(fold)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):

        def draw(part: torch.Tensor, steps: int) -> torch.Tensor:
            padded = torch.cat([part, part[-1:].expand(args.sample_batch - len(part))])
            shape = (len(padded), 1, *examples.distance.shape[2:])

            def noise() -> torch.Tensor:
                return torch.randn(shape, generator=generator, device=device)

            sampler = SamplerConfig(args.sampler, steps, args.eta)
            drawn = draw_volumes(
                network, condition[padded], Diffusion(make_schedule(steps), device), noise, sampler
            )
            return (drawn[: len(part), 0].clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).cpu()

        draw(parts[0], 1)
        begun = time.monotonic()
        draw(parts[0], 2)
        of_step = (time.monotonic() - begun) / 2
        if not args.steps:  # the first fold decides for all
            args.steps = max(4, min(MOST_STEPS, int(args.sample_seconds / (of_step * len(parts)))))
        steps = args.steps
        volumes = [draw(part, steps) for part in parts]
    drawn = torch.cat(volumes).unflatten(0, (len(cells), args.samples)).numpy()
    # What is all but empty or full is stored as that, or noise far from the surface would fill the files.
    drawn[drawn <= SNAP], drawn[drawn >= 255 - SNAP] = 0, 255
    facts = {
        "method": "dispr2022",
        "weights_sha256": weights.sha256,
        "training": weights.provenance,
        "sampler": args.sampler,
        "num_steps": steps,
        "eta": args.eta,
        "precision": "bf16",
        "seed": fold,
        "snapped": SNAP,
        "device": device_name(args.device),
    }
    np.savez_compressed(file, names=np.array(cells.names), volumes=drawn, facts=np.array(json.dumps(facts)))
    inside, true = torch.from_numpy(drawn[:, 0]).to(device) >= FOREGROUND, examples.distance[:, 0] > 0
    space = (1, 2, 3)
    iou = ((inside & true).sum(space) / (inside | true).sum(space)).mean().item()
    volume, true_volume = inside.sum(space).double(), true.sum(space).double()
    error = ((volume - true_volume).abs() / true_volume).mean().item()
    say(
        f"{file.stem}: {len(work)} volumes in {steps} steps of {1e3 * of_step:.0f} ms a batch; one sample: "
        f"IoU {iou:.3f}, volume error {100.0 * error:.1f} %"
    )


def run_dispr2022(args: argparse.Namespace, phantoms: TrainingCells | None) -> None:
    """Phantoms once; then each fold's training and samples."""
    torch.backends.cudnn.benchmark = True
    cells = load_cells(args.cells)
    start = None
    if phantoms is not None:
        start = train_dispr2022("phantoms", phantoms, cells, None, args.rate, args.pretrain_seconds, args)
    rate = args.rate if start is None else 0.5 * args.rate
    for fold in args.folds:
        learned, held_out = split(cells, fold)
        train_dispr2022(f"fold{fold}", learned, held_out, start, rate, args.fold_seconds, args)
        sample_dispr2022(fold, held_out, args)


def pack(args: argparse.Namespace) -> None:
    """Put what is small and what counts most into one archive, in pieces."""
    args.out.mkdir(parents=True, exist_ok=True)
    patterns = ("shapr.fold*", "shapr-topo.fold*", "*.samples.npz", "dispr2022.phantoms.*", "dispr2022.fold*")
    found = [file for pattern in patterns for file in sorted(args.work.glob(pattern))]
    chosen, total = list[Path](), 0
    for file in dict.fromkeys(file for file in found if ".state." not in file.name):
        if total + file.stat().st_size < args.most_bytes:
            chosen.append(file)
            total += file.stat().st_size
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in chosen:
            tar.add(file, file.name)
    packed = archive.getvalue()
    for number, begin in enumerate(range(0, len(packed), PIECE)):
        (args.out / f"peers.tar.{number:02d}").write_bytes(packed[begin : begin + PIECE])
    say(f"packed {', '.join(file.name for file in chosen)}: {len(packed) / 2**20:.1f} MiB")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--phantoms", type=Path)
    parser.add_argument("--work", type=Path, default=Path("local/peers"))
    parser.add_argument("--out", type=Path, default=Path("local/peers/out"))
    parser.add_argument("--methods", default="shapr,shapr-topo,dispr2022")
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shapr-examples", type=int, default=ShaprConfig().num_examples)
    parser.add_argument("--shapr-batch", type=int, default=ShaprConfig().batch_size)
    parser.add_argument("--shapr-rate", type=float, default=ShaprConfig().learning_rate)
    parser.add_argument("--shapr-seconds", type=float, default=75.0)
    parser.add_argument("--channels", type=int, default=NetworkConfig().channels)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--pretrain-seconds", type=float, default=80.0)
    parser.add_argument("--fold-seconds", type=float, default=16.0)
    parser.add_argument("--sample-seconds", type=float, default=14.0, help="for the cells of one fold")
    parser.add_argument("--sample-batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--sampler", default="ddpm")
    parser.add_argument("--steps", type=int, default=0, help="of the sampler; 0: as many as the time allows")
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--report", type=int, default=100, help="optimiser steps between two lines")
    parser.add_argument("--most-bytes", type=int, default=62 * 2**20)
    args = parser.parse_args()
    args.folds = [int(fold) for fold in args.folds.split(",")]
    args.methods = args.methods.split(",")
    return args


def main() -> None:
    """Train SHAPR, then DISPR-2022; pack what came of it."""
    args = parse()
    args.work.mkdir(parents=True, exist_ok=True)
    processes = train_shaprs(args, args.shapr_seconds)
    wanted = "dispr2022" in args.methods
    phantoms = load_cells(args.phantoms) if wanted and args.phantoms is not None else None
    for process in processes:
        process.join()
    try:
        if wanted:
            run_dispr2022(args, phantoms)
    except Exception:
        traceback.print_exc()  # what is there already is packed all the same
    for process in train_shaprs(args, args.shapr_seconds):
        process.join()
    pack(args)


if __name__ == "__main__":
    main()
