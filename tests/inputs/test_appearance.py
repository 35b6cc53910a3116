"""Fourteen numbers of what a cell looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dispr_cli.inputs.appearance import APPEARANCE, appearance
from dispr_cli.inputs.cell import Cell


def cell(image: np.ndarray, mask: np.ndarray) -> Cell:
    return Cell("c", image.astype(np.float32), mask, None, Path("c"), None, (0, 0, 64, 64), False)


def ellipse(height: float, width: float) -> np.ndarray:
    y, x = np.ogrid[:64, :64]
    return ((y - 31.5) / height) ** 2 + ((x - 31.5) / width) ** 2 < 1.0


def numbers(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    found = appearance(cell(image, mask))
    assert found is not None
    return dict(zip(APPEARANCE, found, strict=True))


def test_turning_and_mirroring_change_nothing() -> None:
    image, mask = np.random.default_rng(0).random((64, 64)), ellipse(20, 11)
    plain = appearance(cell(image, mask))
    for turned in (np.rot90, np.flipud, np.transpose):
        assert np.allclose(appearance(cell(turned(image), turned(mask))), plain)


def test_the_numbers_are_what_their_names_say() -> None:
    flat = np.full((64, 64), 0.5)
    round_, long = numbers(flat, ellipse(15, 15)), numbers(flat, ellipse(24, 8))
    assert np.isclose(np.exp(round_["log_area"]), np.pi * 15**2, rtol=0.02)
    assert abs(round_["log_elongation"]) < 0.01
    assert np.isclose(np.exp(long["log_elongation"]), 3.0, rtol=0.03)
    assert long["log_thickness"] < round_["log_thickness"]
    assert (round_["inside_mean"], round_["inside_sd"], round_["rim_over_core"]) == (0.5, 0.0, 0.0)
    ring = np.where(ellipse(15, 15) & ~ellipse(12, 12), 1.0, 0.0)
    assert numbers(ring, ellipse(15, 15))["rim_over_core"] > 0.8
    noise = np.random.default_rng(0).random((64, 64))
    assert numbers(noise, ellipse(15, 15))["log_grain_inside"] > round_["log_grain_inside"] + 3


def test_every_mask_with_a_pixel_has_finite_numbers_and_an_empty_one_none() -> None:
    image = np.zeros((64, 64))
    one = np.zeros((64, 64), bool)
    assert appearance(cell(image, one)) is None
    one[3, 60] = True
    for mask in (one, np.ones((64, 64), bool), ellipse(1.2, 30)):
        found = appearance(cell(image, mask))
        assert found is not None
        assert np.isfinite(found).all()
