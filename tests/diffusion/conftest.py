"""Small networks and cells that need no files."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.inputs.cell import Cell


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises here, as in a terminal: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def cells() -> list[Cell]:
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms  # needs tifffile

    made = []
    for phantom in generate_phantoms(6, PHANTOM_CLASSES, seed=5):
        image, mask = phantom.image.astype(np.float32) / 255, phantom.mask > 127
        made.append(Cell(phantom.name, image, mask, None, Path(phantom.name), None, (0, 0, 64, 64), False))
    return made


@pytest.fixture(scope="session")
def training_cells() -> TrainingCells:
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms

    phantoms = list(generate_phantoms(6, PHANTOM_CLASSES, seed=6))
    packed = [pack_cell(p.image.astype(np.float32) / 255, p.mask > 127, p.volume) for p in phantoms]
    distance, outline, image = (np.stack(arrays) for arrays in zip(*packed, strict=True))
    return TrainingCells(tuple(p.name for p in phantoms), distance, outline, image)
