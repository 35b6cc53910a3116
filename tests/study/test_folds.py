"""Classes and folds from the names of cells."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.classification.labels import readable
from dispr_cli.study.folds import class_of, hold_out
from dispr_cli.training_cells import split_held_out

NAMES = [
    f"{kind}_{i:03d}" for kind, count in (("a", 55), ("b", 25), ("c", 18), ("d", 10)) for i in range(count)
]


@pytest.mark.parametrize(
    ("name", "own", "shown"),
    [
        ("A_cell_clusters000609", "A_cell_clusters", "cell clusters"),
        ("B_keratocytes000679", "B_keratocytes", "keratocytes"),
        ("C_knizocytes000707", "C_knizocytes", "knizocytes"),
        ("D_multilobate_cells000734", "D_multilobate_cells", "multilobate cells"),
        ("E_acanthocytes000800", "E_acanthocytes", "acanthocytes"),
        ("-1.00_spherocyte000001", "-1.00_spherocyte", "spherocyte"),
        ("-0.33_stomatocyte_I000123", "-0.33_stomatocyte_I", "stomatocyte I"),
        ("0.00_discocyte000200", "0.00_discocyte", "discocyte"),
        ("1.00_echinocyte_III000450", "1.00_echinocyte_III", "echinocyte III"),
        ("SDE_000123", "SDE", "SDE"),
        ("discocyte_000012", "discocyte", "discocyte"),
        ("000123", "000123", "000123"),
        ("cell", "cell", "cell"),
    ],
)
def test_the_class_of_a_name(name: str, own: str, shown: str) -> None:
    """The prefixes of the public set, its letters and its numbers, and of the phantoms."""
    assert class_of(name) == own
    assert readable(own) == shown


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.15, 0.3, 0.4, 0.6, 0.8, 0.85])
def test_so_many_cells_are_held_out_as_the_fraction_says(fraction: float) -> None:
    held = split_held_out(NAMES, fraction)
    assert held.sum() == max(1, round(fraction * len(NAMES)))
    for kind in "abcd":
        own = held[[name.startswith(kind) for name in NAMES]]
        assert abs(own.sum() - held.mean() * len(own)) < 1.0
    # Whatever order the cells are listed in, the same are held out.
    back = split_held_out(NAMES[::-1], fraction)[::-1]
    np.testing.assert_array_equal(back, held)


def test_few_cells_are_neither_all_held_out_nor_none() -> None:
    assert split_held_out(NAMES[:4], 0.89).sum() == 3
    assert split_held_out(NAMES[:4], 0.01).sum() == 1
    assert split_held_out(NAMES[:3], 0.5).sum() == 0
    assert split_held_out(NAMES, 0.0).sum() == 0


def test_another_seed_holds_out_others() -> None:
    assert not np.array_equal(hold_out(NAMES, 20), hold_out(NAMES, 20, seed=1))
    assert not hold_out([], 0).any()
