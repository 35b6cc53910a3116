"""One shard in the making: each cell is compressed as it comes, so that it takes little memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dispr_cli.volumes.layout import ShardGrid
from dispr_cli.volumes.rows import PENDING, CellRow, measured
from dispr_cli.volumes.shard_bytes import encode_chunk, join_chunks


class ShardDraft:
    """Rows and compressed volumes of a shard; every cell is pending until it is put.

    Parameters
    ----------
    shard
        Which shard.
    grid
        Of its store.
    names
        Of its k cells, in order.

    Attributes
    ----------
    rows
        Its rows as they stand.
    stamps
        Of each cell's files, where they are known, see :mod:`dispr_cli.volumes.stamps`.
    """

    def __init__(self, shard: int, grid: ShardGrid, names: Sequence[str]) -> None:
        self.shard = shard
        self.rows = [CellRow(name, status=PENDING) for name in names]
        self.stamps: Sequence[str] = ()
        self._shape = grid.volume_shape(shard)[1:]
        self._num_chunks = grid.shard_cells * grid.num_samples
        self._chunks: list[list[bytes]] = [[b""] * grid.num_samples for _ in names]

    def put(self, place: int, row: CellRow, samples: NDArray[np.uint8] | None = None) -> None:
        """Take the row and the samples, (S, 64, 64, 64), of the cell at a place; None where it has none.

        Raises
        ------
        ValueError
            If shape, type or name are not those of this cell.
        """
        if row.name != self.rows[place].name:
            raise ValueError(f"the row of {self.rows[place].name!r} cannot be that of {row.name!r}")
        if samples is None:
            samples = np.zeros(self._shape, np.uint8)
        if samples.shape != self._shape or samples.dtype != np.uint8:
            found = f"{samples.shape} {samples.dtype}"
            raise ValueError(f"a cell of shard {self.shard} takes volumes {self._shape} uint8, not {found}")
        self._chunks[place] = [encode_chunk(volume) for volume in samples]
        self.rows[place] = measured(row, samples)

    def encoded(self) -> bytes:
        """Return the bytes of the shard's file; none at all if every voxel is zero."""
        return join_chunks([chunk for chunks in self._chunks for chunk in chunks], self._num_chunks)
