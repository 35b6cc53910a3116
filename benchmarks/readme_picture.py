"""Draw the README's picture: real cells of fold 0, reconstructed by the network that never saw them.

python -m benchmarks.readme_picture CELLS_DIR local/folds/fold0.safetensors docs/real_cells.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dispr_cli.diffusion.folder import truth_of
from dispr_cli.methods import load_denoiser
from dispr_cli.pipeline import read_cells, reconstruct
from dispr_cli.report.montage import MontageRow, draw_montage
from dispr_cli.study.folds import assign_folds, class_of


def main(folder: Path, weights: Path, out: Path) -> None:
    """Draw the first held-out cell of each class."""
    cells = read_cells(folder)
    fold = assign_folds([cell.name for cell in cells], 5)
    held = [cells[i] for i in np.flatnonzero(fold == 0)]
    chosen = [
        next(c for c in held if class_of(c.name) == k) for k in sorted({class_of(c.name) for c in held})
    ]
    volumes = reconstruct(chosen, load_denoiser(weights), num_samples=5)
    rows = [
        MontageRow(cell.name, cell.image, cell.mask, samples, None, truth_of(cell))
        for cell, samples in zip(chosen, volumes, strict=True)
    ]
    draw_montage(rows, out, dots_per_inch=110)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
