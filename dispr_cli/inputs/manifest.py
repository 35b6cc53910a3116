"""A CSV table that says which image goes with which mask."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from dispr_cli.errors import ConfigError, InputError
from dispr_cli.inputs.pairing import Note, Pair, Pairing, stem
from dispr_cli.inputs.settings import InputSettings, Plane, plane_of

MANIFEST_SUFFIXES = (".csv", ".tsv")
COLUMNS = ("image", "mask", "name", "pixel_size_um", "obj", "plane", "channel")
"""Columns that count; others are named and not read. All but ``image`` and ``mask`` may be missing."""


def read_manifest(path: Path, masks_optional: bool) -> Pairing:
    """Read the pairs of a manifest, in its order.

    Parameters
    ----------
    path
        A table separated by commas, semicolons or tabs with a header line; file names are relative to it.
    masks_optional
        Whether a row may do without a mask, because masks are segmented.

    Returns
    -------
    Pairing
        One pair per row.

    Raises
    ------
    InputError
        If a column is missing, or a name is there twice. A file that is missing, or a value that makes no
        sense, is the problem of its pair, with its line.
    """
    text = _text(path).splitlines()
    blank = next(number for number, line in enumerate(text) if line.strip())
    delimiter = max(",;\t", key=text[blank].count)
    rows = csv.DictReader(io.StringIO("\n".join(text[blank:])), delimiter=delimiter)
    pairing = Pairing()
    lines_by_name: dict[str, int] = {}
    try:
        columns = _columns(path, rows, masks_optional)
        pairing.notes += _notes(path, columns)
        for row in rows:
            line = blank + rows.line_num
            values = {key: (row[key] or "").strip() for key in COLUMNS if key in columns}
            if not any(values.values()):
                continue
            try:
                pair = _pair(path, line, values, masks_optional)
            except InputError as error:  # One row's fault fails one cell.
                image = str(path.parent / values["image"])
                pair = Pair(_name(values) or f"line {line}", image, None, problem=str(error))
            if pair.name in lines_by_name:
                raise InputError(
                    f"{path}, line {line}: a second row named {pair.name!r} (the first is line "
                    f"{lines_by_name[pair.name]}); give different names in a column name."
                )
            lines_by_name[pair.name] = line
            pairing.pairs.append(pair)
    except csv.Error as error:
        raise InputError(f"{path}, line {blank + rows.line_num}: not a table ({error}).") from error
    if not pairing.pairs:
        raise InputError(f"{path}: a header line and no rows below it.")
    return pairing


def _columns(path: Path, rows: csv.DictReader[str], masks_optional: bool) -> list[str]:
    columns = [(name or "").strip().lower() for name in rows.fieldnames or ()]
    rows.fieldnames = columns
    needed = ("image",) if masks_optional else ("image", "mask")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            f"{path}: no column {' and '.join(missing)} (found: {', '.join(columns) or 'nothing'}); expected "
            f"a header line with {', '.join(COLUMNS[:2])} and, if wanted, {', '.join(COLUMNS[2:])}."
        )
    return columns


def _notes(path: Path, columns: list[str]) -> list[Note]:
    others = [name for name in columns if name and name not in COLUMNS]
    if not others:
        return []
    shown = ", ".join(name[:40] for name in others[:6]) + (", ..." if len(others) > 6 else "")
    return [Note(path, f"column(s) not read: {shown}; those that are: {', '.join(COLUMNS)}")]


def _text(path: Path) -> str:
    data = path.read_bytes()
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError(f"{path}: the manifest is empty.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8.") from error


def _pair(path: Path, line: int, values: dict[str, str], masks_optional: bool) -> Pair:
    image = _file(path, line, "image", values["image"])
    if image is None:
        raise InputError(f"{path}, line {line}: no image given.")
    mask = _file(path, line, "mask", values.get("mask", ""))
    if mask is None and not masks_optional:
        raise InputError(
            f"{path}, line {line}: no mask given for {values['image']}; or use --mask-from otsu."
        )
    truth = _file(path, line, "obj", values.get("obj", ""))
    size = _pixel_size(path, line, values.get("pixel_size_um", ""))
    return Pair(
        _name(values),
        str(image),
        None if mask is None else str(mask),
        None if truth is None else str(truth),
        size,
        _plane(path, line, values.get("plane", "")),
        _channel(path, line, values.get("channel", "")),
    )


def _name(values: dict[str, str]) -> str:
    return values.get("name") or stem(Path(values["image"]).name)


def _file(path: Path, line: int, column: str, value: str) -> Path | None:
    if not value:
        return None
    file = path.parent / value
    if not file.is_file():
        raise InputError(f"{path}, line {line}: the {column} {value} is not there (looked for {file}).")
    return file


def _plane(path: Path, line: int, value: str) -> Plane | None:
    try:
        return plane_of(value) if value else None
    except ConfigError as error:
        raise InputError(f"{path}, line {line}: {error}") from error


def _channel(path: Path, line: int, value: str) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise InputError(
            f"{path}, line {line}: channel is {value[:40]!r}, expected a whole number from 0 upwards."
        )
    return int(value)


def _pixel_size(path: Path, line: int, value: str) -> float | None:
    if not value:
        return None
    try:
        return InputSettings(pixel_size_um=float(value.replace(",", "."))).pixel_size_um
    except (ValueError, ConfigError) as error:
        raise InputError(
            f"{path}, line {line}: pixel_size_um is {value!r}, expected micrometres per pixel, such as 0.1."
        ) from error
