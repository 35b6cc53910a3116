"""Directories of a TIFF file that lie on top of each other are found before they are decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_header
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.tiff_directories import directories_overlap


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"imagej": True}])
@pytest.mark.parametrize("pages", [1, 40])
def test_sound_files(tmp_path: Path, options: dict[str, object], pages: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((pages, 2, 2), np.uint8), **options)
    assert not directories_overlap(tmp_path / "a.tif")


@pytest.mark.parametrize(("form", "head", "at"), [("H12xI", b"II*\0", 4), ("Q20xQ", b"II+\0\x08\0\0\0", 8)])
def test_circles(tmp_path: Path, form: str, head: bytes, at: int) -> None:
    start = len(head) + (4 if at == 4 else 8)
    body = head + struct.pack("<I" if at == 4 else "<Q", start) + struct.pack(f"<{form}", 1, start)
    (tmp_path / "a.tif").write_bytes(body)
    assert directories_overlap(tmp_path / "a.tif")


def test_a_chain_that_wanders_over_the_same_bytes(tmp_path: Path) -> None:
    # Every four bytes stands "a directory of 1000 tags", and each leads to the next of them.
    content = bytearray(b"II*\0" + struct.pack("<I", 8) + struct.pack("<I", 1000) * 8000)
    step = 2 + 12 * 1000
    for number in range(1500):
        at = 8 + 4 * number
        struct.pack_into("<I", content, at + step, at + 4)
        struct.pack_into("<H", content, at, 1000)
    (tmp_path / "a.tif").write_bytes(content)
    assert directories_overlap(tmp_path / "a.tif")
    with pytest.raises(InputError, match="lie on top of each other"):
        read_header(tmp_path / "a.tif", InputSettings())


def test_short_files(tmp_path: Path) -> None:
    for size in range(20):
        (tmp_path / "a.tif").write_bytes((b"II*\0" + struct.pack("<I", 8) + b"\1" * 20)[:size])
        assert not directories_overlap(tmp_path / "a.tif")


def test_an_empty_directory_that_leads_to_itself(tmp_path: Path) -> None:
    content = b"II*\0" + struct.pack("<I", 12) + b"\0" * 4 + struct.pack("<HI", 0, 12)
    (tmp_path / "a.tif").write_bytes(content)
    assert directories_overlap(tmp_path / "a.tif")


def test_more_directories_than_any_image_has(tmp_path: Path) -> None:
    empty = [struct.pack("<HI", 0, 16 + 6 * (number + 1)) for number in range(270_000)]
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 16) + b"\0" * 8 + b"".join(empty))
    assert directories_overlap(tmp_path / "a.tif")


@pytest.mark.parametrize("bigtiff", [False, True])
def test_pyramids_are_sound(tmp_path: Path, bigtiff: bool) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=bigtiff) as file:
        for _ in range(3):
            file.write(np.zeros((64, 64), np.uint8), subifds=2)
            file.write(np.zeros((32, 32), np.uint8), subfiletype=1)
            file.write(np.zeros((16, 16), np.uint8), subfiletype=1)
    assert not directories_overlap(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["I", "H", "B"])
def test_a_directory_that_is_named_a_thousand_times(tmp_path: Path, kind: str) -> None:
    # One entry names the directory at byte 32, of 300 tags, as a lower resolution, again and again.
    codes, names = {"B": 1, "H": 3, "I": 4}, struct.pack(f"<1000{kind}", *[32] * 1000)
    big = struct.pack("<H", 300) + b"\0" * 12 * 300 + b"\0" * 4
    entry = struct.pack("<HHII", 330, codes[kind], 1000, 32 + len(big))
    first = struct.pack("<H", 1) + entry + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + first.ljust(24, b"\0") + big + names)
    assert directories_overlap(tmp_path / "a.tif")
    with pytest.raises(InputError, match="lie on top of each other"):
        read_header(tmp_path / "a.tif", InputSettings())
