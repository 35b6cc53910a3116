"""Times the fused operations beside eager PyTorch, and beside the machine's own limits.

    python benchmarks/ops.py [--threads 2] [--device cpu]

Prints a table and writes benchmarks/results/ops-<machine>.json. Ratios hold on a busy machine too, since all
that is compared runs in turns; times and rates hold there with --threads 1, where CPU time is taken.

On Linux set MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=10000000000 in the environment: else every large
tensor is memory fresh from the kernel, whose first touch costs more than the operation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.ops import kernels_status
from dispr_cli.diffusion.ops.timing import OpTiming, network_shapes, time_attention, time_group_norm

RESULTS = Path(__file__).parent / "results"
GROUP_CHANNELS = 16
LARGE = [(1, 64, 32, 32, 32), (1, 32, 64, 64, 64)]


def main() -> None:
    """Time every operation, print a line each, keep them as JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    if not kernels_status()["built"]:
        raise SystemExit(f"nothing to time: {kernels_status()['reason']}")
    rows = list(_norm_rows(device)) + list(_attention_rows(device))
    for row in rows:
        print(_line(row))
    path = RESULTS / f"ops-{_machine(device)}.json"
    path.parent.mkdir(exist_ok=True)
    record = {"machine": _machine(device), "threads": options.threads, "torch": torch.__version__}
    record |= {"instruction_set": kernels_status()["instruction_set"], "load": round(os.getloadavg()[0], 1)}
    record["rows"] = [asdict(row) | {"percent_of_limit": row.percent_of_limit} for row in rows]
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def _norm_rows(device: torch.device) -> Iterator[OpTiming]:
    for dtype in (torch.float32, torch.bfloat16):
        for shape in [*network_shapes(DenoiserConfig(), batch=5), *LARGE]:
            for film in (False, True):
                yield time_group_norm(shape, shape[1] // GROUP_CHANNELS, dtype, device, film)


def _attention_rows(device: torch.device) -> Iterator[OpTiming]:
    config = DenoiserConfig()
    channels, heads = config.channels[1], config.attention_heads
    for dtype in (torch.float32, torch.bfloat16):
        for batch, side in ((1, 8), (5, 8), (1, 16)):
            shape = (batch, channels, side, side, side)
            yield time_attention(shape, heads, channels // GROUP_CHANNELS, dtype, device)


def _line(row: OpTiming) -> str:
    shape = "x".join(map(str, row.shape))
    return (
        f"{row.operation:22} {shape:16} {row.dtype:9} eager {row.eager_ms:8.2f} ms  ours {row.ours_ms:8.2f} "
        f"ms  x{row.speedup:5.2f}  {row.rate:7.1f} {row.unit}, {row.percent_of_limit:3.0f} % of the limit"
    )


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = f"{_processor()} {os.cpu_count()} cores {torch.backends.cpu.get_cpu_capability()}"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists() and (model := re.search(r"model name\s*: (.*)", information.read_text())):
        return model[1]
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
