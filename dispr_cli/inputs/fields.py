"""A decoded image with its labels, kept while its cells are being cut out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.imagej_rois import read_rois
from dispr_cli.inputs.images import file_errors, read_header, read_plane
from dispr_cli.inputs.labels import Labelling, read_labels
from dispr_cli.inputs.segment import segment_otsu
from dispr_cli.inputs.settings import InputSettings

_MAX_FIELDS = 8


@dataclass(frozen=True)
class Field:
    """One image file, decoded, (Y, X), with what its mask says, (Y, X)."""

    image: NDArray[Any]
    labelling: Labelling


def read_labelling(image: Path, mask: Path | None, settings: InputSettings) -> Labelling:
    """Find the cells of a mask file, or of a segmentation of the image where there is none.

    Raises
    ------
    InputError
        If a file is damaged or what it holds is no mask.
    """
    if mask is not None and mask.name.lower().endswith(".zip"):
        header = read_header(image, settings)
        with file_errors(mask):
            values, dropped = read_rois(mask, (header.height, header.width), settings)
        found = read_labels(values, settings, mask)
        return replace(found, dropped=dropped + found.dropped)
    if mask is not None:
        header, values = read_plane(mask, settings, "mask")
        return read_labels(values, settings, mask, header.lossy)
    pixels = _read_image(image, settings)
    segmented, debris = segment_otsu(pixels, settings.min_cell_pixels, image)
    found = read_labels(segmented, settings, image)
    return replace(found, dropped=debris + found.dropped)


def read_field(image: Path, mask: Path | None, settings: InputSettings) -> Field:
    """Decode an image and its mask.

    Raises
    ------
    InputError
        If a file is damaged, what it holds is no mask, or the sizes differ.
    """
    pixels = _read_image(image, settings)
    labelling = read_labelling(image, mask, settings)
    check_equal_sizes(image, pixels.shape, mask, labelling.labels.shape)
    return Field(pixels, labelling)


def _read_image(path: Path, settings: InputSettings) -> NDArray[Any]:
    """Decode an image, turned round if its cells are dark."""
    _, pixels = read_plane(path, settings)
    if not settings.invert:
        return pixels
    # What is not a real number has no sign to lose: ~x is the largest number less x, or -1 less x.
    return -pixels if pixels.dtype.kind == "f" else ~pixels


def check_equal_sizes(
    image: Path, shape: tuple[int, ...], mask: Path | None, labels: tuple[int, ...]
) -> None:
    """Raise an InputError if image and mask differ in (Y, X)."""
    if mask is not None and shape != labels:
        raise InputError(
            f"{image}: {shape[1]} x {shape[0]} pixels, but its mask {mask} has "
            f"{labels[1]} x {labels[0]}; they must be equal."
        )


class FieldCache:
    """The last fields, so that an image with many cells is decoded once; threads may share it.

    Parameters
    ----------
    settings
        How files are read.
    max_bytes
        Fields are let go, oldest first, beyond this many bytes; the newest always stays.
    """

    def __init__(self, settings: InputSettings, max_bytes: int = 128 * 2**20) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._fields: OrderedDict[tuple[Path, Path | None, InputSettings], Future[Field]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, image: Path, mask: Path | None, settings: InputSettings | None = None) -> Field:
        """Return the field of these files, decoded by the first thread that asks; the others wait for it.

        Parameters
        ----------
        image, mask
            The files.
        settings
            How to read these; the cache's own if None.

        Raises
        ------
        InputError
            As :func:`read_field`; the same for everyone who asks.
        """
        settings = settings or self._settings
        key = (image, mask, settings)
        with self._lock:
            future = self._fields.get(key)
            if future is not None:
                self._fields.move_to_end(key)
            else:
                mine = self._fields[key] = Future()
        if future is not None:
            return future.result()
        try:
            mine.set_result(read_field(image, mask, settings))
        except BaseException as error:
            mine.set_exception(error)
        with self._lock:
            self._let_go()
        return mine.result()

    def _let_go(self) -> None:
        sizes = {key: _nbytes(future) for key, future in self._fields.items()}
        for key in list(self._fields)[:-1]:
            if sum(sizes.values()) <= self._max_bytes and len(sizes) <= _MAX_FIELDS:
                break
            if self._fields[key].done():
                del self._fields[key], sizes[key]


def _nbytes(future: Future[Field]) -> int:
    if not future.done() or future.exception() is not None:
        return 0
    found = future.result()
    return found.image.nbytes + found.labelling.labels.nbytes
