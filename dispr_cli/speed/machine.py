"""Which machine it was."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

from dispr_cli.diffusion.ops import kernels_status


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Name processor or GPU, threads, versions and load; ``name`` is fit for a file."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        processor = f"{_processor()} {os.cpu_count()} cores {torch.backends.cpu.get_cpu_capability()}"
    return {
        "name": re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-"),
        "processor": processor,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "instruction_set": kernels_status()["instruction_set"],
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists() and (model := re.search(r"model name\s*: (.*)", information.read_text())):
        return model[1]
    return platform.processor() or platform.machine()
