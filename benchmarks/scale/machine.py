"""Results of scale, with the machine they were found on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from dispr_cli import __version__

RESULTS = Path(__file__).resolve().parent.parent / "results"


def write_result(name: str, command: str, **found: Any) -> None:
    """Write a result with the machine it was found on."""
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
    }
    result = {"command": command, "version": __version__, "machine": machine, **found}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "samples"}, indent=1), flush=True)
