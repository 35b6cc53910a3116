"""The whole flow of ``dispr features`` on one page: shapes -> features -> parts on disk -> one table.

Each unit of a source (a shard, a few files) is measured and saved as a part; a run that was stopped goes on
with the parts that are missing. Memory holds one unit, however many shapes there are.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import parquet
from threadpoolctl import threadpool_limits

from dispr_cli import __version__
from dispr_cli.durable import explained, remove_partial_files, replace_bytes, replaced
from dispr_cli.errors import CellError, ConfigError, InputError
from dispr_cli.morphology.shape_ref import ShapeRef, ShapeSource
from dispr_cli.morphology.table import (
    FAILED,
    MEASURED,
    FeatureRow,
    TableFacts,
    as_batch,
    schema_of,
    write_table,
)
from dispr_cli.ordered_work import in_order
from dispr_cli.shape.features.planar import PLANAR_FEATURES, measure_plane
from dispr_cli.shape.features.registry import SHAPE_FEATURES, measure_shape

SUFFIXES = (".parquet", ".csv")
AHEAD = 4
"""Shapes read ahead of the one that is waited for, for each thread."""


class FeatureEvents(Protocol):
    """Who follows a measurement."""

    def started(self, total: int, finished: int) -> None:
        """Take the number of shapes, and of those that an earlier run left measured."""

    def measured(self, cell: str, problem: str | None) -> None:
        """Take one shape, and why it could not be measured."""


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """What a measurement made.

    Attributes
    ----------
    table
        The file.
    shapes, failed
        Rows, and those among them without values.
    absent
        Cells of the source that have no row, because they have no shape.
    features
        Columns with values.
    unit_of_length
        ``um`` or ``voxel``.
    """

    table: Path
    shapes: int
    failed: int
    absent: int
    features: int
    unit_of_length: str


def measure_to_table(
    source: ShapeSource, out: Path, *, threads: int, events: FeatureEvents, overwrite: bool = False
) -> FeatureSummary:
    """Measure every feature of every shape, going on where an earlier run stopped.

    Parameters
    ----------
    source
        From :func:`dispr_cli.morphology.sources.find_shapes`.
    out
        The table, ``.parquet`` or ``.csv``.
    threads
        Shapes measured at the same time.
    events
        Who is told how it goes.
    overwrite
        Replace a table that is there.

    Raises
    ------
    DisprError
        If the table cannot be written or is there already. A shape that cannot be measured is no error: its
        row says why.
    """
    _check_out(out, overwrite)
    facts = TableFacts(source.name, source.unit_of_length, dict(source.networks))
    features = [*SHAPE_FEATURES, *(PLANAR_FEATURES if source.has_images else ())]
    schema = schema_of([feature.name for feature in features], facts)
    parts = _Parts(out.with_name(f".{out.name}.parts"), source.fingerprint(), schema)
    finished = parts.open()
    events.started(source.num_shapes, sum(parts.count(unit) for unit in finished))
    # Our threads share shapes out; those of BLAS, for matrices of 3 x 3, would only wait in turns for a core.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads, thread_name_prefix="dispr-features") as pool,
    ):
        for unit in range(source.num_units):
            if unit not in finished:
                parts.write(unit, list(_measured(source.unit(unit), pool, threads, events)))
    shapes, failed, cells = _join(out, schema, parts, source.num_units)
    parts.remove()
    # By the rows and not by what the source says now: a store may have grown since its units were read.
    absent = source.num_cells - cells
    return FeatureSummary(out, shapes, failed, absent, len(features), facts.unit_of_length)


def measure_ref(ref: ShapeRef) -> FeatureRow:
    """Measure one shape, image and mask, each in its own size; a failure is a row that says why."""
    identity = (ref.cell, ref.sample, ref.kind, ref.network)
    try:
        values = measure_shape(ref.read(), ref.voxel_size_um)
        if ref.read_cell is not None:
            cell = ref.read_cell()
            values |= measure_plane(cell.image, cell.mask, ref.pixel_size_um)
    except (CellError, InputError) as error:
        return FeatureRow(*identity, f"{FAILED}{error}", ref.voxel_size_um)
    return FeatureRow(*identity, MEASURED, ref.voxel_size_um, values)


def _measured(
    refs: Sequence[ShapeRef],
    pool: ThreadPoolExecutor,
    threads: int,
    events: FeatureEvents,
) -> Iterator[FeatureRow]:
    for row in in_order(measure_ref, refs, pool, AHEAD * threads):
        problem = row.status.removeprefix(FAILED) if row.status.startswith(FAILED) else None
        events.measured(row.cell, problem)
        yield row


def _join(out: Path, schema: pa.Schema, parts: _Parts, num_units: int) -> tuple[int, int, int]:
    """Put the parts together; returns how many rows there are, how many failed, and of how many cells."""
    failed = cells = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal failed, cells
        for unit in range(num_units):
            # The table is cast, not its batches: pyarrow before 16 cannot cast a batch.
            part = parts.read(unit).cast(schema)
            cells += len(part.column("cell").unique())
            for batch in part.to_batches():
                failed += sum(status.startswith(FAILED) for status in batch.column("status").to_pylist())
                yield batch

    shapes = write_table(out, schema, batches())
    return shapes, failed, cells


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out is {out}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: is there already; give --overwrite to measure anew, or another name")


class _Parts:
    """The finished units of an unfinished table, beside it."""

    def __init__(self, folder: Path, fingerprint: str, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._key = f"{__version__} {fingerprint} {schema.names}".encode()

    def open(self) -> set[int]:
        """Return the units that are finished; those of another source or version are removed."""
        with explained(self._folder, "keep unfinished tables"):
            plan = self._folder / "plan"
            if self._folder.is_dir() and (not plan.is_file() or plan.read_bytes() != self._key):
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_partial_files(self._folder)
            if not plan.is_file():
                replace_bytes(plan, self._key)
            return {int(path.stem) for path in self._folder.glob("*.parquet")}

    def write(self, unit: int, rows: Sequence[FeatureRow]) -> None:
        """Save one unit, whole or not at all."""
        with explained(self._folder, "save a part"), replaced(self._file(unit)) as file:
            parquet.write_table(pa.Table.from_batches([as_batch(rows, self._schema)]), file)

    def read(self, unit: int) -> pa.Table:
        """Read one unit."""
        return parquet.read_table(self._file(unit))

    def count(self, unit: int) -> int:
        """Count the rows of one unit without reading them."""
        rows: int = parquet.read_metadata(self._file(unit)).num_rows
        return rows

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, unit: int) -> Path:
        return self._folder / f"{unit:08d}.parquet"
