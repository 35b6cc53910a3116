"""Folders of many phantom cells, their weights, and results: what the scripts of scale share."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import tifffile
import torch

from dispr_cli import __version__
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms
from tests.diffusion.tiny import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PLACE = ROOT / "build" / "scale"
"""Cells and stores of unfinished scripts; remove it to begin anew."""

_DISTINCT = 200


def many_cells(count: int) -> Path:
    """Return a folder of so many cells: two hundred phantoms, each linked under many names."""
    folder = PLACE / f"cells_{count}"
    if (folder / "complete").exists():
        return folder
    images, masks = folder / "image", folder / "mask"
    for part in (images, masks):
        part.mkdir(parents=True, exist_ok=True)
    own = min(count, _DISTINCT)
    for number, phantom in enumerate(generate_phantoms(own, PHANTOM_CLASSES, seed=4)):
        for part, pixels in ((images, phantom.image), (masks, phantom.mask)):
            tifffile.imwrite(part / f"cell_{number:06d}.tif", pixels)
    for number in range(own, count):
        for part in (images, masks):
            link = part / f"cell_{number:06d}.tif"
            if not link.exists():
                os.link(part / f"cell_{number % own:06d}.tif", link)
    (folder / "complete").touch()
    return folder


def tiny_weights() -> Path:
    """Return weights of a network so small that what is around it shows; it has learned nothing."""
    path = PLACE / "tiny.safetensors"
    if not path.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        save_denoiser(path, VolumeDenoiser(TINY).eval(), {"data": "none"})
    return path


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
