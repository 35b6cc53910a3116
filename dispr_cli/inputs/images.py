"""One 2D plane from an image file: TIFF of any kind, PNG or JPEG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.cellpose_seg import SEG_SUFFIX, check_file_size, read_cellpose_masks
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.plain_tiff import read_plain_tiff
from dispr_cli.inputs.plane_choice import PlaneChoice, Role, choose_plane, flatten_colour
from dispr_cli.inputs.raster import JPEG_MAGIC, PNG_MAGIC, decode_raster, header_goes_on, raster_header
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.tiff import TiffPlanes, open_tiff

IMAGE_SUFFIXES = (".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg")
Sides = tuple[float, float, float]
_AT_ONCE = 65_536
"""Bytes read at first: all of a small file."""
_LONGEST_HEADER = 64 * 2**20
"""Bytes in which a PNG or JPEG file has to come to its pixels; colour profiles fill 16 MiB at most."""

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_header(path: Path, settings: InputSettings, role: Role = "image") -> ImageHeader:
    """Read what a file says about itself; nothing is decoded.

    Parameters
    ----------
    path
        A TIFF, PNG or JPEG file.
    settings
        ``max_pixels``, ``plane`` and ``channel`` count here.
    role
        A mask has no channel to choose, and may be flat where the image is a stack.

    Returns
    -------
    ImageHeader
        Axes, shape, kind of number and pixel size.

    Raises
    ------
    InputError
        If the file cannot be read, is no image, is too large, or needs a choice that was not made.
    """
    with file_errors(path):
        start = _first_bytes(path, _AT_ONCE)
        if start.startswith(_TIFF_MAGICS):
            plain = _plain_tiff(path, start)
            if plain is not None:
                _choose(plain[0], settings, role, False)
                return plain[0]
            with open_tiff(path, _series_of(settings)) as tiff:
                _choose(tiff.header, settings, role, tiff.plane_is_series)
                return tiff.header
        header = raster_header(path, _whole_header(path, start), indexed=role == "mask")
        _choose(header, settings, role, False)
        return header


def read_plane(path: Path, settings: InputSettings, role: Role = "image") -> tuple[ImageHeader, NDArray[Any]]:
    """Decode the one plane of a file that the settings point to.

    Parameters
    ----------
    path
        A TIFF, PNG or JPEG file; a mask may be Cellpose's ``_seg.npy`` too.
    settings
        ``max_pixels``, ``plane`` and ``channel`` count here.
    role
        A mask has no channel to choose, and may be flat where the image is a stack.

    Returns
    -------
    ImageHeader
        What the file says about itself.
    ndarray
        (Y, X), in the file's own kind of number.

    Raises
    ------
    InputError
        If the file cannot be read, is no image, is too large, is damaged, or needs a choice not made.
    """
    with file_errors(path):
        if role == "mask" and path.name.lower().endswith(SEG_SUFFIX):
            return _read_cellpose(path, settings)
        start = _first_bytes(path, _AT_ONCE)
        plain = _plain_tiff(path, start)
        if plain is not None:
            header, pixels = plain
            choice = _choose(header, settings, role, False)
        elif start.startswith(_TIFF_MAGICS):
            with open_tiff(path, _series_of(settings)) as tiff:
                header = tiff.header
                choice = _choose(header, settings, role, tiff.plane_is_series)
                pixels = tiff.read(choice.index)
        else:
            data = start if len(start) < _AT_ONCE else path.read_bytes()
            raster_header(path, data).check(settings.max_pixels)
            header, pixels = decode_raster(path, data, indexed=role == "mask")
            choice = _choose(header, settings, role, False)
    return header, flatten_colour(header, pixels, choice.sample, role) if pixels.ndim == 3 else pixels


def read_volume(path: Path, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Decode a TIFF file of three axes.

    Parameters
    ----------
    path
        The file.
    shape
        The lengths it must have; anything else is refused before it is decoded.

    Raises
    ------
    InputError
        If the file cannot be read, is no TIFF, has another shape or is damaged.
    """
    with _open_volume(path, shape) as tiff:
        return tiff.read_volume()


def read_voxel_sides(path: Path, shape: tuple[int, int, int]) -> Sides | None:
    """Read what a file of :func:`read_volume` says of its voxels; nothing is decoded.

    Returns
    -------
    tuple
        Sides of a voxel (z, y, x) in micrometres; None unless the file gives all three.

    Raises
    ------
    InputError
        As :func:`read_volume`, but for damage of the voxels.
    """
    with _open_volume(path, shape) as tiff:
        return _sides(tiff)


@contextmanager
def _open_volume(path: Path, shape: tuple[int, int, int]) -> Iterator[TiffPlanes]:
    expected = " x ".join(map(str, shape))
    with file_errors(path):
        if not _first_bytes(path, 8).startswith(_TIFF_MAGICS):
            raise InputError(f"{path}: a flat picture, expected a TIFF of {expected} voxels.")
        with open_tiff(path) as tiff:
            if tiff.header.shape != shape:
                raise InputError(f"{path}: {tiff.header.found()}, expected {expected} voxels (z, y, x).")
            yield tiff


def read_stack(path: Path, most_voxels: int) -> tuple[NDArray[Any], Sides | None]:
    """Decode a TIFF file of three axes (z, y, x) of any length.

    Parameters
    ----------
    path
        The file.
    most_voxels
        A stack of more is refused before it is decoded.

    Returns
    -------
    ndarray
        (Z, Y, X), in the file's own kind of number.
    tuple
        Sides of a voxel (z, y, x) in micrometres; None unless the file gives all three.

    Raises
    ------
    InputError
        If the file cannot be read, is no TIFF, has other axes, is too large or is damaged.
    """
    with file_errors(path):
        if not _first_bytes(path, 8).startswith(_TIFF_MAGICS):
            raise InputError(f"{path}: a flat picture, expected a TIFF stack of three axes (z, y, x).")
        with open_tiff(path) as tiff:
            header = tiff.header
            if len(header.shape) != 3 or header.axes[1:] != "YX" or header.axes[0] in "CS":
                raise InputError(f"{path}: {header.found()}, expected a stack of three axes (z, y, x).")
            if math.prod(header.shape) > most_voxels:
                raise InputError(f"{path}: {header.found()} is more than {most_voxels:,} voxels; crop it.")
            return tiff.read_volume(), _sides(tiff)


def _sides(tiff: TiffPlanes) -> Sides | None:
    pixel, spacing = tiff.header.pixel_size, tiff.plane_spacing_um
    return None if pixel is None or spacing is None else (spacing, pixel.y_um, pixel.x_um)


def _series_of(settings: InputSettings) -> int | None:
    """Which of several images of different kinds; none of those is the middle one."""
    return None if settings.plane == "middle" else settings.plane


def _choose(header: ImageHeader, settings: InputSettings, role: Role, plane_is_series: bool) -> PlaneChoice:
    header.check(settings.max_pixels)
    return choose_plane(header, settings.channel, None if plane_is_series else settings.plane, role)


def _read_cellpose(path: Path, settings: InputSettings) -> tuple[ImageHeader, NDArray[Any]]:
    check_file_size(path, settings.max_pixels)
    header, labels = read_cellpose_masks(path, path.read_bytes(), settings.max_pixels)
    choice = choose_plane(header, settings.channel, settings.plane, "mask")
    return header, labels[choice.index["Z"]] if "Z" in header.axes else labels


def _plain_tiff(path: Path, start: bytes) -> tuple[ImageHeader, NDArray[Any]] | None:
    return read_plain_tiff(path, start) if len(start) < _AT_ONCE else None


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        start = file.read(count)
    if not start:
        raise InputError(f"{path}: the file is empty (0 bytes); copy it again.")
    if not start.startswith((*_TIFF_MAGICS, PNG_MAGIC, JPEG_MAGIC)):
        raise InputError(f"{path}: not a TIFF, PNG or JPEG image (it begins with {start[:8]!r}).")
    return start


def _whole_header(path: Path, start: bytes) -> bytes:
    """Read on while the header of a PNG or JPEG file does: profiles, previews and texts come before it."""
    while header_goes_on(start) and len(start) >= _AT_ONCE:
        if len(start) >= _LONGEST_HEADER:
            raise InputError(
                f"{path}: its first {_LONGEST_HEADER >> 20} MiB hold no pixels; save it again without what "
                "stands before them (colour profile, preview, texts)."
            )
        longer = _first_bytes(path, 4 * len(start))
        if len(longer) == len(start):
            break
        start = longer
    return start


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Say what the operating system says about a file in a sentence of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read this file.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: a folder, expected an image file.") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for this machine's memory; cut it into tiles.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
