"""Tables of features: a row for each shape, as Parquet or CSV, and what the networks behind them saw."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from dispr_cli.durable import explained, replace_bytes, replaced, replacing
from dispr_cli.errors import InputError
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.volumes.formulas import guarded, unguarded

FORMAT = "dispr-features/1"
TRUTH, PREDICTED = "truth", "predicted"
MEASURED, FAILED = "measured", "failed: "

IDENTITY = (
    ("cell", pa.string()),
    ("sample", pa.int64()),
    ("kind", pa.string()),
    ("network", pa.string()),
    ("status", pa.string()),
    ("voxel_size_um", pa.float64()),
)
"""The columns before the features."""

CSV_DIGEST = "csv_sha256"
"""In the facts of a CSV: the SHA-256 of the table that they are of."""

_GARBLED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One shape.

    Attributes
    ----------
    cell
        Name of the cell it shows.
    sample
        Which of several predictions; 0 for the truth.
    kind
        ``truth`` or ``predicted``.
    network
        Hash of the weights that made it; empty for the truth.
    status
        ``measured``, or ``failed: why``.
    voxel_size_um
        Side of a voxel in micrometres, None if unknown.
    values
        Its features by name; none if it failed.
    """

    cell: str
    sample: int
    kind: str
    network: str
    status: str
    voxel_size_um: float | None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is true of a whole table.

    Attributes
    ----------
    source
        What was measured.
    unit_of_length
        ``um`` or ``voxel``, for the features whose unit is L.
    networks
        What each network that appears in the rows has seen, by its hash.
    """

    source: str
    unit_of_length: str
    networks: Mapping[str, NetworkRecord] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return what :meth:`from_json` takes."""
        networks = {name: record.as_json() for name, record in self.networks.items()}
        facts = {"format": FORMAT, "source": self.source, "unit_of_length": self.unit_of_length}
        return json.dumps({**facts, "networks": networks})

    @classmethod
    def from_json(cls, text: str | bytes) -> TableFacts:
        """Rebuild the facts; ValueError if they are not such."""
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"not of the format {FORMAT}")
        records = {name: NetworkRecord.from_json(found) for name, found in content["networks"].items()}
        return cls(str(content["source"]), str(content["unit_of_length"]), records)


@dataclass(frozen=True)
class FeatureTable:
    """A table in memory; N rows, F features.

    Attributes
    ----------
    cells, samples, kinds, networks, statuses
        (N,) identity of each row, see :class:`FeatureRow`.
    names
        The F features.
    values
        (N, F) float64; NaN where a row has no value.
    facts
        What is true of the whole table.
    """

    cells: NDArray[np.str_]
    samples: NDArray[np.int64]
    kinds: NDArray[np.str_]
    networks: NDArray[np.str_]
    statuses: NDArray[np.str_]
    names: tuple[str, ...]
    values: NDArray[np.float64]
    facts: TableFacts

    def __len__(self) -> int:
        return len(self.cells)


def schema_of(features: Sequence[str], facts: TableFacts) -> pa.Schema:
    """Describe the columns of a table with these features."""
    columns = [*IDENTITY, *((name, pa.float64()) for name in features)]
    return pa.schema(columns, metadata={"dispr": facts.as_json()})


def as_batch(rows: Sequence[FeatureRow], schema: pa.Schema) -> pa.RecordBatch:
    """Lay rows out as columns."""
    identity = [[getattr(row, name) for row in rows] for name, _ in IDENTITY]
    features = schema.names[len(IDENTITY) :]
    columns = [[row.values.get(name) for row in rows] for name in features]
    return pa.record_batch([*identity, *columns], schema=schema)


def write_table(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    """Write a table, whole or not at all, one batch in memory at a time.

    Parameters
    ----------
    path
        Ends in ``.parquet`` or ``.csv``; the facts of a CSV stand beside it in ``NAME.csv.json``.
    schema
        From :func:`schema_of`.
    batches
        Of that schema.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    with explained(path, "write the table of features"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".csv":
            return _write_csv(path, schema, batches)
        return _write_parquet(path, schema, batches)


def facts_file(path: Path) -> Path:
    """Return where the facts of a CSV table stand."""
    return path.with_name(f"{path.name}.json")


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    count = 0
    with replaced(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _write_csv(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    with replacing(path) as partial:
        count = _write_rows(partial, schema, batches)
        # The facts come first: killed between both names, a table meets facts that are seen to be another's.
        facts = {**json.loads(schema.metadata[b"dispr"]), CSV_DIGEST: _digest_of(partial)}
        replace_bytes(facts_file(path), json.dumps(facts).encode() + b"\n")
    return count


def _write_rows(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    count = 0
    with path.open("wb") as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([guarded(name) for name in schema.names])
        for batch in batches:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                writer.writerow([_cell(value) for value in row])
            count += batch.num_rows
        text.detach()
    return count


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else guarded(str(value))


def read_table(path: Path) -> FeatureTable:
    """Read a table of features.

    Raises
    ------
    InputError
        If the file is missing, was not written by ``dispr features``, or its facts are those of another.
    """
    try:
        return _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except (OSError, *_GARBLED, csv.Error, pa.ArrowException) as error:
        raise InputError(
            f"{path}: is not a table of features ({_short(error)}). Expected a .parquet or .csv file written "
            "by 'dispr features'."
        ) from error


def _short(error: Exception) -> str:
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return text[:200] or type(error).__name__


def _read_parquet(path: Path) -> FeatureTable:
    table = parquet.read_table(path)
    facts = TableFacts.from_json((table.schema.metadata or {}).get(b"dispr", b"null"))
    return _as_table({name: table.column(name).to_pylist() for name in table.column_names}, facts)


def _read_csv(path: Path) -> FeatureTable:
    described = facts_file(path).read_bytes()
    facts = TableFacts.from_json(described)
    if json.loads(described).get(CSV_DIGEST) not in (None, _digest_of(path)):
        raise InputError(
            f"{path}: is not the table that {facts_file(path).name} beside it was written for: one of both "
            "was changed or replaced, or a run was killed between them; measure anew with 'dispr features "
            "--overwrite'."
        )
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    names = list(reader.fieldnames or ())
    words = {name: [row[name] for row in rows] for name in names}
    return _as_table({unguarded(name): [w and unguarded(w) for w in words[name]] for name in names}, facts)


def _as_table(columns: dict[str, list[Any]], facts: TableFacts) -> FeatureTable:
    identity = {name: columns.pop(name) for name, _ in IDENTITY}
    texts = {
        name: np.array([value or "" for value in identity[name]], dtype=np.str_)
        for name in ("cell", "kind", "network", "status")
    }
    numbers = [[_number(value) for value in column] for column in columns.values()]
    count = len(texts["cell"])
    return FeatureTable(
        texts["cell"],
        np.array([int(value or 0) for value in identity["sample"]], dtype=np.int64),
        texts["kind"],
        texts["network"],
        texts["status"],
        tuple(columns),
        np.array(numbers, dtype=np.float64).T.reshape(count, len(columns)),
        facts,
    )


def _number(value: Any) -> float:
    return float("nan") if value is None or value == "" else float(value)
