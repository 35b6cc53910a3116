"""Classes and folds from the names of cells."""

from __future__ import annotations

import pytest

from dispr_cli.classification.labels import readable
from dispr_cli.study.folds import class_of


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
