"""Folders of many phantom cells, and weights that have learned nothing."""

from __future__ import annotations

import os
from pathlib import Path

import tifffile
import torch

from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms
from tests.diffusion.tiny import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
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
