from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_cells() -> list[tuple[dict[str, float], np.ndarray]]:
    """Each row of the reference table, as numbers, with the cell's volume."""
    table = SHARED / "parity" / "reference_shape.csv"
    if not (table.is_file() and (SHARED / "rbc" / "obj").is_dir()):
        pytest.skip("the real cells and reference values of ../shared/data are not here")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row.pop("name") for row in rows]
    numbers = [{key: float(value) for key, value in row.items()} for row in rows]
    volumes = [tifffile.imread(SHARED / "rbc" / "obj" / name) for name in names]
    return list(zip(numbers, volumes, strict=True))
