"""Sound files of every kind the program reads, from which the fuzzer makes unsound ones."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.morphology.table import (
    CSV_DIGEST,
    MEASURED,
    TRUTH,
    FeatureRow,
    TableFacts,
    as_batch,
    facts_file,
    schema_of,
    write_table,
)
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from tests.diffusion.tiny import make_denoiser

STORE: dict[str, Any] = {
    "num_cells": 3,
    "num_samples": 1,
    "voxel_size_um": 0.2,
    "configuration": {"seed": 1, "inputs": {"scale": "auto"}},
    "cells": ["a", "b", "c"],
    "shard_cells": 2,
}
"""Settings of the store that is damaged."""


def grey(side: int = 48) -> NDArray[np.uint8]:
    """Return a picture of a round cell."""
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(y - side / 2, x - side / 2)
    return (200 - 3 * distance).clip(20, 255).astype(np.uint8)


def mask(side: int = 48) -> NDArray[np.uint8]:
    """Return its mask."""
    y, x = np.mgrid[:side, :side]
    return (np.hypot(y - side / 2, x - side / 2) < side / 3).astype(np.uint8) * 255


def tiffs() -> list[bytes]:
    """TIFF files of many kinds: numbers, compressions, tiles, metadata, pages."""
    plain, deep = grey(), grey().astype(np.uint16) * 200
    stack = np.stack([plain] * 3)
    kinds: list[tuple[NDArray, dict[str, Any]]] = [
        (plain, {}),
        (deep, {"byteorder": ">"}),
        (deep.astype(np.float32), {"compression": "zlib", "predictor": True}),
        (plain, {"compression": "lzw", "rowsperstrip": 7}),
        (deep, {"compression": "zstd", "tile": (16, 32)}),
        (plain, {"compression": "packbits"}),
        (plain, {"compression": "jpeg"}),
        (np.stack([plain] * 3, -1), {"photometric": "rgb"}),
        (stack, {"imagej": True, "metadata": {"unit": "um", "spacing": 0.3, "axes": "ZYX"}}),
        (plain, {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}),
        (stack, {"ome": True, "metadata": {"axes": "CYX"}}),
        (plain, {"bigtiff": True, "resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}),
        (mask().astype(np.int32), {}),
        (mask() > 0, {}),
    ]
    return [*(as_tiff(pixels, **options) for pixels, options in kinds), _pyramid(plain), _pages(plain)]


def as_tiff(pixels: NDArray, **options: Any) -> bytes:
    """Return the bytes of a TIFF file."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def _pyramid(pixels: NDArray) -> bytes:
    """Return a picture with two lower resolutions in directories below its own."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, subifds=2)
        for step in (2, 4):
            writer.write(pixels[::step, ::step], subfiletype=1)
    return file.getvalue()


def _pages(pixels: NDArray) -> bytes:
    """Return pages of different sizes."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for side in (48, 40, 48):
            writer.write(pixels[:side, :side], metadata=None)
    return file.getvalue()


def pngs() -> list[bytes]:
    """PNG files of many kinds, and JPEG files."""
    plain = grey()
    found: list[NDArray[Any]] = [
        plain,
        plain.astype(np.uint16) * 257,
        np.stack([plain] * 3, -1),
        np.stack([plain] * 4, -1),
        np.stack([plain] * 2, -1),
        mask(),
    ]
    encoded = [bytes(imagecodecs.png_encode(pixels)) for pixels in found]
    palette = bytes(range(48)) * 3
    return [
        *encoded,
        bytes(imagecodecs.jpeg8_encode(plain)),
        _png(mask() > 0, depth=1, colour=0),
        _png(plain % 48, depth=8, colour=3, chunks=((b"PLTE", palette), (b"tRNS", b"\x00\x80"))),
    ]


def _png(pixels: NDArray, depth: int, colour: int, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """Return a PNG file of a kind that the encoder does not write (PNG specification, IHDR)."""
    rows = np.packbits(pixels, axis=1) if depth == 1 else pixels
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", *pixels.shape[::-1], depth, colour, 0, 0, 0)
    found = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")):
        found += struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)
    return found


def manifests() -> list[bytes]:
    """CSV tables that name an image and its mask."""
    return [
        b"image,mask\na.tif,m.tif\n",
        b"image;mask;name;pixel_size_um\na.tif;m.tif;cell;0.1\na.tif;m.tif;other;0,2\n",
        b'\xef\xbb\xbfimage\tmask\tname\n"a.tif"\tm.tif\t"x ""y"" z"\n',
        "image,mask,name,obj\na.tif,m.tif,細胞,\na.tif,m.tif,=1+1,\n".encode(),
    ]


def tomls() -> list[bytes]:
    """Training settings."""
    values = dataclasses.asdict(TrainingConfig())
    full = "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())
    return [
        full.encode(),
        b"batch_size = 2\nlearning_rate = 1e-3\ndevice = 'cpu'\n",
        b"[table]\na = [1, 2]\n",
    ]


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def weights(folder: Path) -> list[bytes]:
    """Weights of a small network."""
    path = folder / "seed.safetensors"
    save_denoiser(path, make_denoiser(), {"data": "none", "held_out": ["a"]})
    return [path.read_bytes()]


def checkpoints() -> list[bytes]:
    """Pickled tensors, as the peers publish them."""
    files = []
    for zipped in (True, False):
        file = io.BytesIO()
        tensors = {"conv.weight": torch.zeros(4, 3), "conv.bias": torch.ones(4)}
        torch.save({"state_dict": tensors, "epoch": 3}, file, _use_new_zipfile_serialization=zipped)
        files.append(file.getvalue())
    return files


def cellpose_files() -> list[bytes]:
    """Return masks with what Cellpose saves beside them, pickled."""
    labels = (mask() > 0).astype(np.uint16)
    beside = {
        "outlines": labels * 0,
        "img": grey(),
        "filename": "a.tif",
        "flows": [grey(), [], None],
        "ratio": 1.0,
    }
    kinds = (labels, labels.astype(np.int32), np.asfortranarray(labels), np.stack([labels, labels]))
    return [*(_npy({**beside, "masks": kind}) for kind in kinds), _npy({"masks": labels})]


def roi_lists() -> list[bytes]:
    """Return lists of ImageJ's regions of several kinds, packed and not."""
    angles = np.linspace(0, 2 * np.pi, 20)
    circle = np.column_stack([24 + 15 * np.cos(angles), 24 + 15 * np.sin(angles)]).astype(np.float32)
    ring = np.array([0, 5, 5, 1, 40, 5, 1, 40, 40, 4, 0, 10, 10, 1, 20, 10, 1, 20, 20, 4], np.float32)
    box: dict[str, Any] = {"top": 5, "left": 6, "bottom": 30, "right": 40}
    regions = [
        ImagejRoi.frompoints(circle, name="cell", position=1),
        ImagejRoi.frompoints(circle.astype(np.int32)),
        ImagejRoi(roitype=ROI_TYPE.RECT, **box),
        ImagejRoi(roitype=ROI_TYPE.OVAL, **box),
        ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=len(ring), multi_coordinates=ring, **box),
    ]
    found = []
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", packing) as archive:
            for number, region in enumerate(regions):
                archive.writestr(f"{number}.roi", region.tobytes())
        found.append(file.getvalue())
    return found


def truths() -> list[tuple[str, bytes]]:
    """Segmentations in 3D: NumPy arrays and TIFF stacks, by names that say which."""
    solid = np.zeros((8, 20, 20), np.uint8)
    solid[2:6, 5:15, 5:15] = 255
    arrays = (solid, (solid > 0), solid.astype(np.float32) / 255, np.asfortranarray(solid.astype(">u2")))
    return [
        *(("t.npy", _npy(array)) for array in arrays),
        ("t.tif", as_tiff(solid, imagej=True, metadata={"unit": "um", "spacing": 0.3, "axes": "ZYX"})),
        ("t.tif", as_tiff(solid, ome=True, compression="zlib", metadata={"axes": "ZYX"})),
    ]


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def feature_tables(folder: Path) -> list[tuple[str, bytes]]:
    """Tables of features as ``dispr features`` writes them, and what stands beside the CSV."""
    facts = TableFacts("cells", "um", {"abc": NetworkRecord(frozenset({"a_1"}), reason="its weights")})
    rows = [
        FeatureRow(f"a_{number}", 0, TRUTH, "", MEASURED, 0.2, {"volume": number / 3}) for number in range(3)
    ]
    schema = schema_of(["volume"], facts)
    paths = [folder / "t.csv", folder / "t.parquet"]
    for path in paths:
        write_table(path, schema, iter([as_batch(rows, schema)]))
    # As earlier versions wrote them: with the digest of the CSV every change to it would end there.
    beside = json.loads(facts_file(paths[0]).read_bytes())
    del beside[CSV_DIGEST]
    facts_file(paths[0]).write_text(json.dumps(beside))
    return [(path.name, path.read_bytes()) for path in (*paths, facts_file(paths[0]))]


def class_tables() -> list[bytes]:
    """CSV tables of cells and their classes."""
    return [b"cell,class\na_1,A\na_2.tif,B\n", b"\xef\xbb\xbfname,x,label\nb,1,C\nc,2,\n"]


def store_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Make a finished store in a folder, and yield each of its files by its name there."""
    store = create_or_resume(folder, **STORE)
    for shard in store.pending_shards():
        volumes = np.zeros(store.grid.volume_shape(shard), np.uint8)
        volumes[:, :, 20:40, 20:40, 20:40] = 200
        names = store.cells.names.of_shard(shard)
        box = (1, 2, 3, 4)
        store.write_shard(shard, volumes, [CellRow(n, "a.tif", 3, box, extra={"x": 1.5}) for n in names])
    store.finish()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
