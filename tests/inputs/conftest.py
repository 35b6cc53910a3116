from __future__ import annotations

import logging
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from tests.inputs.drawn_cells import disc

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def nothing_leaks(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    """No reader may write to the screen or the log: the commands say what there is to say."""
    with caplog.at_level(logging.DEBUG):
        yield
    heard = [record for record in caplog.get_records("call") if record.name == "tifffile"]
    assert not heard, [record.getMessage() for record in heard]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.fixture
def rbc() -> Path:
    if not (SHARED / "rbc").is_dir():
        pytest.skip("the real cells of ../shared/data/rbc are not here")
    return SHARED / "rbc"


@pytest.fixture
def fov() -> Path:
    if not (SHARED / "fov").is_dir():
        pytest.skip("the fields of view of ../shared/data/fov are not here")
    return SHARED / "fov"


@pytest.fixture
def crop() -> tuple[np.ndarray, np.ndarray]:
    """A 64 x 64 image of one cell, uint8, and its mask, 0 and 255."""
    inside = disc((64, 64), (32, 30), 20)
    noise = np.random.default_rng(0).integers(0, 20, (64, 64))
    return (inside * 150 + noise).astype(np.uint8), (inside * 255).astype(np.uint8)


@pytest.fixture
def field() -> tuple[np.ndarray, np.ndarray]:
    """A 120 x 160 image of four cells, uint16, and its labels 2, 3, 7, 40; cell 40 is cut by the border."""
    labels = np.zeros((120, 160), np.uint16)
    for label, centre, radius in (
        (2, (30, 30), 12),
        (3, (40, 90), 14),
        (7, (90, 60), 16),
        (40, (90, 150), 13),
    ):
        labels[disc(labels.shape, centre, radius)] = label
    noise = np.random.default_rng(1).integers(90, 110, labels.shape)
    return ((labels > 0) * 900 + noise).astype(np.uint16), labels


@pytest.fixture
def save(tmp_path: Path):
    """Write an array as TIFF, PNG or JPEG below the test's folder."""

    def write(name: str, pixels: np.ndarray, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
        elif path.suffix in (".jpg", ".jpeg"):
            path.write_bytes(imagecodecs.jpeg8_encode(pixels, level=95))
        else:
            options.setdefault("photometric", "minisblack")
            tifffile.imwrite(path, pixels, **options)
        return path

    return write


@pytest.fixture
def pairs(tmp_path: Path, save, crop):
    """A folder of ``image/`` and ``mask/`` with cells of the given names."""

    def write(*names: str) -> Path:
        for name in names:
            save(f"cells/image/{name}.tif", crop[0])
            save(f"cells/mask/{name}.tif", crop[1])
        return tmp_path / "cells"

    return write


@pytest.fixture
def folder(tmp_path: Path):
    """A folder of empty files: pairing looks at names alone."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "data"

    return make
