"""Pack training cells into one .npz that ``train_folds.py`` reads and that is small enough to carry to a GPU.

    python -m benchmarks.pack_cells real CELLS_DIR local/rbc.npz
    python -m benchmarks.pack_cells phantoms 6000 local/phantoms.npz --seed 1
    python -m benchmarks.pack_cells phantoms 3600 local/unseen.npz --classes discocyte,stomatocyte

The seed of the phantoms is not 0, which the shipped demonstration cells use.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from dispr_cli.diffusion.dataset import TrainingCells, pack_cell
from dispr_cli.threads import available_threads

SET_SIZE = 90
"""Phantoms of one seed."""

Packed = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def pack_some_phantoms(count: int, seed: int, classes: tuple[str, ...]) -> list[Packed]:
    """Phantoms of the classes in turn, of all nine if none is named."""
    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, as_read, generate_phantoms

    packed = []
    for phantom in generate_phantoms(count, classes or PHANTOM_CLASSES, seed):
        cell = as_read(phantom)
        packed.append((f"{phantom.name}_{seed}", *pack_cell(cell.image, cell.mask, phantom.volume)))
    return packed


def pack_phantoms(count: int, seed: int, workers: int, classes: tuple[str, ...] = ()) -> Iterator[Packed]:
    """Make sets of :data:`SET_SIZE` with seeds from ``seed`` on: the number of workers changes nothing."""
    sizes = [min(SET_SIZE, count - start) for start in range(0, count, SET_SIZE)]
    seeds = range(seed, seed + len(sizes))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for packed in pool.map(pack_some_phantoms, sizes, seeds, repeat(classes)):
            yield from packed


def pack_folder(folder: Path) -> Iterator[Packed]:
    """Every cell of a folder with ``obj/``."""
    from dispr_cli.diffusion.folder import read_training_cells

    cells = read_training_cells(folder)
    yield from zip(cells.names, cells.distance, cells.outline, cells.image, strict=True)


def main() -> None:
    """Pack and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["real", "phantoms"])
    parser.add_argument("source", help="a folder, or the number of phantoms")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workers", type=int, default=available_threads(), help="processes that make phantoms"
    )
    parser.add_argument(
        "--classes", default="", help="of phantoms, with commas between them; all if left out"
    )
    parser.add_argument("--uncompressed", action="store_true", help="write faster, to a large file")
    args = parser.parse_args()
    packed = (
        pack_phantoms(int(args.source), args.seed, args.workers, tuple(filter(None, args.classes.split(","))))
        if args.kind == "phantoms"
        else pack_folder(Path(args.source))
    )
    names, distance, outline, image = zip(*packed, strict=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    TrainingCells(tuple(names), np.stack(distance), np.stack(outline), np.stack(image)).save(
        args.out, compressed=not args.uncompressed
    )
    print(f"{len(names)} cells -> {args.out}")


if __name__ == "__main__":
    main()
