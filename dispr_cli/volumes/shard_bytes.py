"""The bytes of a shard's file, after the sharding codec of zarr v3: chunks, then where each of them is.

Encoding chunk by chunk lets a shard grow while its cells are computed, without all their voxels in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import google_crc32c
import numcodecs.blosc
import numpy as np
from numpy.typing import NDArray

COMPRESSOR: Final = "zstd"
LEVEL: Final = 5
"""Settings of the blosc codec, also written into the array's metadata; bits are shuffled."""

_CODEC: Final = numcodecs.blosc.Blosc(COMPRESSOR, LEVEL, numcodecs.blosc.BITSHUFFLE)
_MISSING = 2**64 - 1


def encode_chunk(volume: NDArray[np.uint8]) -> bytes:
    """Compress one volume, (64, 64, 64), and put its checksum behind it; no bytes at all if it is empty."""
    if not volume.any():
        return b""
    return _summed(bytes(_CODEC.encode(np.ascontiguousarray(volume))))


def join_chunks(chunks: Sequence[bytes], num_chunks: int) -> bytes:
    """Put the chunks of a shard together, in the order of their index; no bytes at all if all are empty.

    Parameters
    ----------
    chunks
        As :func:`encode_chunk` returns them.
    num_chunks
        Chunks of a full shard; the last one of a store may have fewer.
    """
    if not any(chunks):
        return b""
    index = np.full((num_chunks, 2), _MISSING, "<u8")
    at = 0
    for number, chunk in enumerate(chunks):
        if chunk:
            index[number] = at, len(chunk)
            at += len(chunk)
    return b"".join([*chunks, _summed(index.tobytes())])


def _summed(data: bytes) -> bytes:
    return data + google_crc32c.value(data).to_bytes(4, "little")
