"""One cell out of a store, in the formats that other programs read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.ply import export_ply
from trimesh.exchange.stl import export_stl

from dispr_cli.config import FOREGROUND
from dispr_cli.durable import explained, replace_bytes
from dispr_cli.errors import ConfigError, StoreError
from dispr_cli.volumes.file_names import safe_file_name
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore
from dispr_cli.volumes.surface import surface_mesh

FORMATS = {"ome-tiff": ".ome.tif", "stl": ".stl", "ply": ".ply", "glb": ".glb", "npy": ".npy"}
"""Formats and the endings of their files."""

_MESHES = ("stl", "ply", "glb")
_STL_HEADER = 80
"""Bytes."""

Samples = int | Literal["mean", "all", "probability"]


class NoSurfaceError(StoreError):
    """A mesh of an empty shape was asked for."""


def export_cell(
    store: VolumeStore, cell: str | int, out: Path, file_format: str, sample: Samples | None = None
) -> list[Path]:
    """Write one cell of a store for other programs.

    Parameters
    ----------
    store
        An open store.
    cell
        Name or index of the cell.
    out
        The file to write, or a folder where files are named after the cell.
    file_format
        One of :data:`FORMATS`. Meshes are surfaces at 127.5 in micrometres, or voxels if the voxel size
        is unknown; OME-TIFF has the axes CZYX with samples as channels; npy is the array itself.
    sample
        An index, ``mean`` for the mean of the samples, ``all``, or ``probability``: the share of the samples
        that have a voxel inside, float32 from 0 to 1. By default meshes take the mean and arrays take all.

    Returns
    -------
    list of Path
        The files written: one, or one per sample for a mesh of ``all``.

    Raises
    ------
    ConfigError
        If the format is unknown, `out` ends like another format, or a mesh of the probability is asked for.
    NoSurfaceError
        If a mesh of an empty shape is asked for.
    StoreError
        If the cell cannot be read, or the file cannot be written.
    """
    _check(file_format, out)
    if sample == "probability" and file_format in _MESHES:
        raise ConfigError(
            f"--format {file_format} is a surface, which a probability has not: use ome-tiff or npy, or "
            "--sample mean for the surface where half the samples agree"
        )
    sample = sample if sample is not None else ("mean" if file_format in _MESHES else "all")
    index = store.cells.index(cell)
    row = store.cells[index]
    pieces = _pieces(store, index, sample, apart=file_format in _MESHES)
    return [
        _write(
            _path(out, row.name, piece, file_format, single=len(pieces) == 1), piece, row, store, file_format
        )
        for piece in pieces
    ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What goes into one file: its channels, (C, Z, Y, X), and what they are called."""

    label: str
    channels: tuple[str, ...]
    volumes: NDArray[np.uint8] | NDArray[np.float32]


def _check(file_format: str, out: Path) -> None:
    if file_format not in FORMATS:
        raise ConfigError(f"unknown format {file_format!r}: expected one of {', '.join(FORMATS)} (--format)")
    known = (".tif", ".tiff") if file_format == "ome-tiff" else (FORMATS[file_format],)
    if not _is_folder(out) and out.suffix.lower() not in known:
        raise ConfigError(
            f"{out} does not end like the format {file_format}: expected {FORMATS[file_format]}, or a folder"
        )


def _pieces(store: VolumeStore, cell: int, sample: Samples, *, apart: bool) -> list[_Piece]:
    if isinstance(sample, int):
        return [_of_sample(sample, store.read(cell, sample))]
    volumes = store.read(cell)
    if sample == "mean":
        mean = np.rint(volumes.mean(axis=0, keepdims=True)).astype(np.uint8)
        return [_Piece("mean", ("mean",), mean)]
    if sample == "probability":
        share = (volumes >= FOREGROUND).mean(axis=0, dtype=np.float32, keepdims=True)
        return [_Piece("probability", ("probability",), share)]
    if apart:
        return [_of_sample(index, volume) for index, volume in enumerate(volumes)]
    return [_Piece("", tuple(f"sample {index}" for index in range(len(volumes))), volumes)]


def _of_sample(index: int, volume: NDArray[np.uint8]) -> _Piece:
    return _Piece(f"sample{index}", (f"sample {index}",), volume[np.newaxis])


def _is_folder(out: Path) -> bool:
    """Whether `out` is there as a folder, or would be one: it ends like no format."""
    return out.is_dir() or out.suffix.lower() not in (".tif", ".tiff", *FORMATS.values())


def _path(out: Path, name: str, piece: _Piece, file_format: str, *, single: bool) -> Path:
    ending = FORMATS[file_format]
    label = f"_{piece.label}" if piece.label else ""
    if _is_folder(out):
        return out / f"{safe_file_name(name)}{label}{ending}"
    return out if single else out.with_name(f"{out.stem}{label}{ending}")


def _write(path: Path, piece: _Piece, row: CellRow, store: VolumeStore, file_format: str) -> Path:
    if file_format in _MESHES and not (piece.volumes >= FOREGROUND).any():
        raise NoSurfaceError(
            f"{store.path}: the {piece.label} of cell {row.name!r} is empty and has no surface to export."
        )
    content = _encoded(piece, row.name, row.voxel_size_um or store.voxel_size_um, file_format)
    with explained(path, "write the export"):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_bytes(path, content)
    return path


def _encoded(piece: _Piece, name: str, voxel_size_um: float | None, file_format: str) -> bytes:
    match file_format:
        case "npy":
            return _npy(piece.volumes)
        case "ome-tiff":
            return _ome_tiff(piece, name, voxel_size_um)
        case _:
            return _mesh(piece.volumes[0], voxel_size_um, file_format)


def _npy(volumes: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, volumes[0] if len(volumes) == 1 else volumes)
    return file.getvalue()


def _ome_tiff(piece: _Piece, name: str, voxel_size_um: float | None) -> bytes:
    # XML knows no control characters.
    shown = "".join(letter if letter.isprintable() else "_" for letter in name)
    metadata: dict[str, Any] = {"axes": "CZYX", "Name": shown, "Channel": {"Name": list(piece.channels)}}
    if voxel_size_um is not None:
        for axis in "XYZ":
            metadata |= {f"PhysicalSize{axis}": voxel_size_um, f"PhysicalSize{axis}Unit": "µm"}
    file = io.BytesIO()
    tifffile.imwrite(
        file, piece.volumes, ome=True, photometric="minisblack", compression="zlib", metadata=metadata
    )
    return file.getvalue()


def _mesh(volume: NDArray[Any], voxel_size_um: float | None, file_format: str) -> bytes:
    mesh = surface_mesh(volume, voxel_size_um)
    unit = "voxel" if voxel_size_um is None else "micrometre"
    # Normals at the vertices let viewers shade the surface smoothly; STL has none.
    match file_format:
        case "stl":
            # A header that begins with "solid" would be taken for a text file.
            header = f"dispr surface, axes x y z, unit {unit}".encode().ljust(_STL_HEADER)
            return header + export_stl(mesh)[_STL_HEADER:]
        case "ply":
            first, rest = export_ply(mesh, vertex_normal=True).split(b"\n", 1)
            form, rest = rest.split(b"\n", 1)
            return b"\n".join([first, form, f"comment unit {unit}, axes x y z".encode(), rest])
        case _:
            told = partial(_tell_unit, unit=unit)
            return export_glb(mesh.scene(), include_normals=True, tree_postprocessor=told)


def _tell_unit(tree: dict[str, Any], unit: str) -> None:
    """Say the unit in a glTF file, whose lengths viewers take for metres."""
    tree["asset"]["extras"] = {"unit": unit}
