"""Times the fused operations beside eager PyTorch and torch.compile, and beside the machine's own limits.

    python -m benchmarks.ops [--threads 2] [--device cpu]

Prints a table and writes benchmarks/results/ops-<machine>.json. Ratios hold on a busy machine too, since all
that is compared runs in turns; times and rates hold there with --threads 1, where CPU time is taken.

On Linux set MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=10000000000 in the environment: else every large
tensor is memory fresh from the kernel, whose first touch costs more than the operation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import torch

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.ops import kernels_status
from dispr_cli.diffusion.ops.timing import OpTiming, groups_of, time_attention, time_group_norm
from dispr_cli.diffusion.ops.timing_network import (
    network_shapes,
    time_convolution,
    time_noise,
    time_projections,
)
from dispr_cli.speed.machine import describe_machine
from dispr_cli.threads import available_threads

RESULTS = Path(__file__).parent / "results"
LARGE = [(1, 64, 32, 32, 32), (1, 32, 64, 64, 64)]


def main() -> None:
    """Time every operation, print a line each, keep them as JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    if not kernels_status()["built"]:
        raise SystemExit(f"nothing to time: {kernels_status()['reason']}")
    machine = describe_machine(device)
    rows = []
    for row in chain(
        _norm_rows(device, options.compiled), _attention_rows(device, options.compiled), _other_rows(device)
    ):
        print(_line(row), flush=True)
        rows.append(asdict(row) | {"percent_of_limit": row.percent_of_limit})
    path = RESULTS / f"ops-{machine['name']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compiled", action="store_true", help="time torch.compile too")
    return parser.parse_args()


def _norm_rows(device: torch.device, compiled: bool) -> Iterator[OpTiming]:
    for dtype in (torch.float32, torch.bfloat16):
        for shape in [*network_shapes(DenoiserConfig(), batch=5), *LARGE]:
            for film in (False, True):
                yield time_group_norm(shape, groups_of(shape), dtype, device, film, compiled)


def _attention_rows(device: torch.device, compiled: bool) -> Iterator[OpTiming]:
    config = DenoiserConfig()
    for dtype in (torch.float32, torch.bfloat16):
        for batch, side in ((1, 8), (5, 8), (1, 16)):
            shape = (batch, config.channels[1], side, side, side)
            yield time_attention(shape, config.attention_heads, groups_of(shape), dtype, device, compiled)


def _other_rows(device: torch.device) -> Iterator[OpTiming]:
    config, batch = DenoiserConfig(), 5
    if device.type == "cpu":
        for dtype in (torch.float32, torch.bfloat16):
            for shape in network_shapes(config, batch):
                yield time_convolution(shape, dtype)
            yield from time_projections(config, batch, dtype)
        yield time_noise(batch)


def _line(row: OpTiming) -> str:
    shape = "x".join(map(str, row.shape))
    return (
        f"{row.operation:22} {shape:16} {row.dtype:9} eager {row.eager_ms:8.2f} ms  ours {row.ours_ms:8.2f} "
        f"ms  x{row.speedup:5.2f}  {row.rate:7.1f} {row.unit}, {row.percent_of_limit:3.0f} % of the limit"
    )


if __name__ == "__main__":
    main()
