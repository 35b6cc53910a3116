"""Make the phantom cells that ship with the package (seed 2; the shipped weights never saw it).

python -m benchmarks.make_demo_cells dispr_cli/demo_cells
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import tifffile

from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, VOXEL_SIZE_UM
from dispr_cli.inputs.phantoms.write import write_phantoms


def main(out: Path) -> None:
    """Write one cell of each class as ``dispr phantom`` does, its volume compressed."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "cells"
        write_phantoms(made, len(PHANTOM_CLASSES), seed=2)
        for path in sorted((made / "obj").glob("*.tif")):
            volume = tifffile.imread(path)
            metadata = {"axes": "ZYX", "spacing": VOXEL_SIZE_UM, "unit": "um"}
            per_um = 1.0 / VOXEL_SIZE_UM
            tifffile.imwrite(
                path, volume, imagej=True, compression="zlib", resolution=(per_um, per_um), metadata=metadata
            )
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
