"""Time the main job: cells of a folder x 5 samples, seconds per cell, peak memory, ratio to DISPR-2022.

    python -m benchmarks.main_job CELLS_DIR --out benchmarks/results/main_job.json

The command runs as a process of its own, as a user runs it. DISPR-2022 takes 789 GFLOP x 1000 steps per
sample and 11.2 s per step on two (faster) cores, a figure quoted and not measured here; ours is counted by
torch's FLOP counter.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser

DISPR_2022_GFLOP = 789.0 * 1000
DISPR_2022_SECONDS = 11.2 * 1000


def gflop_per_call() -> tuple[float, float]:
    """Count the condition encoder and one call of the denoiser, in GFLOP per volume."""
    denoiser = load_denoiser().denoiser
    with torch.no_grad(), FlopCounterMode(display=False) as encoding:
        condition = denoiser.encode(torch.rand(1, 64, 64), torch.randn(1, 64, 64))
    with torch.no_grad(), FlopCounterMode(display=False) as denoising:
        denoiser(torch.randn(1, 1, 64, 64, 64), torch.ones(1), condition)
    return encoding.get_total_flops() / 1e9, denoising.get_total_flops() / 1e9


def main() -> None:
    """Run, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/main_job.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "out.zarr"
        command = [sys.executable, "-m", "dispr_cli", "reconstruct", str(args.cells), str(store), "--json"]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--samples", str(args.samples)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ,
        )
        seconds = time.perf_counter() - started
    cells = json.loads(done.stdout)["done"]
    encoder, call = gflop_per_call()
    steps = SamplerConfig().num_steps
    ours = args.samples * (encoder + steps * call)  # each sample is of its own orientation of the cell
    result = {
        "command": "python -m benchmarks.main_job CELLS_DIR",
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "cells": cells,
        "samples": args.samples,
        "steps": steps,
        "seconds": seconds,
        "seconds_per_cell": seconds / cells,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9,
        "gflop_encoder": encoder,
        "gflop_call": call,
        "flop_ratio_dispr_2022": DISPR_2022_GFLOP * args.samples / ours,
        "time_ratio_dispr_2022": DISPR_2022_SECONDS * args.samples / (seconds / cells),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
