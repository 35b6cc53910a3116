"""Things that are no red blood cells, as a careless folder may hold them, on the network's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dispr_cli.config import GRID
from dispr_cli.inputs.cell import Cell

Pair = tuple[np.ndarray, np.ndarray]


def as_cell(name: str, image: np.ndarray, mask: np.ndarray) -> Cell:
    """Image and mask as the methods take them."""
    clipped = np.clip(image, 0.0, 1.0).astype(np.float32)
    return Cell(name, clipped, mask.astype(bool), None, Path(name), None, (0, 0, GRID, GRID), False)


def drawn_non_cells(real: Sequence[Cell], count: int, seed: int) -> dict[str, list[Cell]]:
    """Draw so many things of each kind; some borrow the outlines or images of real cells."""
    rng = np.random.default_rng(seed)

    def some() -> Cell:
        return real[int(rng.integers(len(real)))]

    kinds: dict[str, Callable[[], Pair]] = {
        "noise in a cell's outline": lambda: (rng.random((GRID, GRID)), some().mask),
        "flat grey in a cell's outline": lambda: (np.full((GRID, GRID), rng.random()), some().mask),
        "letters in a cell's outline": lambda: (letters(rng), some().mask),
        "a cell's image, empty outline": lambda: (some().image, np.zeros((GRID, GRID))),
        "a cell's image, rectangle as outline": lambda: (some().image, rectangle(rng)),
        "grey rectangle": lambda: _grey(rectangle(rng), rng),
        "another cell's outline": lambda: (some().image, some().mask),
        "cell with dark and bright swapped": lambda: _inverted(some()),
        "cell at 0.3 of its size": lambda: scaled(some(), 0.3),
        "cell at 0.5 of its size": lambda: scaled(some(), 0.5),
        "cell at 1.6 of its size": lambda: scaled(some(), 1.6),
    }
    return {kind: [as_cell(f"{kind} {i}", *make()) for i in range(count)] for kind, make in kinds.items()}


def letters(rng: np.random.Generator) -> np.ndarray:
    """Draw rows of black and white signs of 6 x 4 pixels, slightly blurred."""
    from scipy.ndimage import gaussian_filter

    image = np.zeros((GRID, GRID))
    for y in range(5, GRID - 6, 9):
        for x in range(4, GRID - 4, 6):
            image[y : y + 6, x : x + 4] = rng.random((6, 4)) > 0.45
    blurred: np.ndarray = gaussian_filter(image, 0.5)
    return blurred


def rectangle(rng: np.random.Generator) -> np.ndarray:
    """Draw a rectangle of 20 to 45 pixels a side in the middle."""
    height, width = rng.integers(20, 46, 2)
    mask = np.zeros((GRID, GRID))
    y, x = (GRID - height) // 2, (GRID - width) // 2
    mask[y : y + height, x : x + width] = 1.0
    return mask


def _grey(mask: np.ndarray, rng: np.random.Generator) -> Pair:
    return 0.8 * mask + 0.05 * rng.random((GRID, GRID)), mask


def _inverted(cell: Cell) -> Pair:
    return 1.0 - cell.image, cell.mask


def scaled(cell: Cell, factor: float) -> Pair:
    """Make the cell larger or smaller about the middle of the grid."""
    from scipy.ndimage import affine_transform

    middle = (GRID - 1) / 2
    how = {"matrix": [1 / factor] * 2, "offset": middle * (1 - 1 / factor)}
    image = affine_transform(cell.image.astype(float), order=1, **how)
    return image, affine_transform(cell.mask.astype(float), order=0, **how) > 0.5


def found_non_cells(folder: Path) -> dict[str, list[Cell]]:
    """Nuclei and blobs by others, as ``dispr reconstruct`` would read them; see that folder's README."""
    from dispr_cli.inputs.settings import InputSettings
    from dispr_cli.pipeline import read_cells

    otsu = InputSettings(mask_from="otsu", channel=0)
    sources = {
        "nuclei (StarDist's test data)": (folder / "stardist", None),
        "nuclei (BBBC007v1)": (folder / "bbbc007", None),
        "blobs (ImageJ)": (folder / "blobs", None),
        "HeLa cells (ImageJ), first channel, Otsu": (folder / "hela-cells.tif", otsu),
    }
    return {kind: read_cells(path, settings) for kind, (path, settings) in sources.items() if path.exists()}
