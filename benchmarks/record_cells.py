"""Write beside weights which cells they have learned from, where they were trained before they recorded it.

    python -m benchmarks.record_cells local/rbc.npz dispr_cli/weights/dispr.safetensors --of "108 real cells"

The file holds digests of masks and images, no pixels; ``dispr train --init`` reads it.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from dispr_cli.diffusion.dataset import join_cells, load_cells
from dispr_cli.diffusion.known_cells import write_cells_file


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path, nargs="+", help="packed by pack_cells.py")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--of", required=True, help="which cells these are, in words")
    args = parser.parse_args()
    cells = join_cells([load_cells(path) for path in args.cells])
    digest = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    print(f"{len(cells)} cells -> {write_cells_file(args.weights, digest, cells, args.of)}")


if __name__ == "__main__":
    main()
