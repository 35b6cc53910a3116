"""Image files for the tests of reading, and what reading them gives; importable, unlike a conftest."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_plane
from dispr_cli.inputs.settings import InputSettings

PLANE = np.random.default_rng(0).integers(0, 200, (40, 50)).astype(np.uint8)
STACK = np.stack([PLANE, PLANE + 1, PLANE + 2])


def pixels_of(path, role="image", **settings):
    return read_plane(path, InputSettings(**settings), role)[1]


def message_of(path, role="image", **settings):
    with pytest.raises(InputError) as caught:
        read_plane(path, InputSettings(**settings), role)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def palette_png(path: Path, indices: np.ndarray, depth: int = 8) -> Path:
    """A PNG of colours by number, as drawing programs save labels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    colours = np.random.default_rng(0).integers(0, 256, (2**depth, 3)).astype(np.uint8)
    bits = np.unpackbits(indices[..., None], axis=-1)[..., 8 - depth :].reshape(len(indices), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    size = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], depth, 3, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"PLTE", colours.tobytes()) + chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    return path
