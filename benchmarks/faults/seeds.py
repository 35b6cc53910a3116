"""Sound files of every kind the program reads, from which the fuzzer makes unsound ones."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.rows import CellRow
from tests.diffusion.tiny import make_denoiser

STORE = {
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
    return [_tiff(pixels, options) for pixels, options in kinds]


def _tiff(pixels: NDArray, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def pngs() -> list[bytes]:
    """PNG files of many kinds, and JPEG files."""
    plain = grey()
    found = [
        plain,
        plain.astype(np.uint16) * 257,
        np.stack([plain] * 3, -1),
        np.stack([plain] * 4, -1),
        np.stack([plain] * 2, -1),
        mask(),
    ]
    return [imagecodecs.png_encode(pixels) for pixels in found] + [imagecodecs.jpeg8_encode(plain)]


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
