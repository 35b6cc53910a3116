"""Masks from Cellpose's ``_seg.npy``, a pickled dictionary of which nothing is ever run.

The file is a NumPy array of one Python object. Its pickle is walked by that reader of Python's library which
is written in Python, without the codes that reserve memory or look classes up, and with every name replaced
by a mark that remembers what it was called with: no function, no class and no array of the file comes into
being. Of all that, the bytes of ``masks`` are then taken, whose length has to fit their shape. Memory stays
within a small multiple of the file's size.
"""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.image_header import ImageHeader

SEG_SUFFIX = "_seg.npy"
"""How Cellpose names what its window saves."""

NUMPY_MAGIC = b"\x93NUMPY"

_OBJECT_HEADER = re.compile(rb"\{'descr': '\|O', 'fortran_order': False, 'shape': \(\), \} *\n")
_NUMPY_CORE = ("numpy.core.multiarray", "numpy._core.multiarray")
_ARRAY, _DTYPE = "_reconstruct", "dtype"
_KNOWN = {
    *((module, name) for module in _NUMPY_CORE for name in (_ARRAY, "scalar")),
    *(("numpy", name) for name in ("ndarray", _DTYPE)),
    # Where the name of the image is a path.
    *((module, f"{kind}Path") for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
}
_OPCODES = {
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG4),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8),
    *(pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
}
"""What NumPy has written dictionaries of arrays with since protocol 3 (2018)."""

_NUMBER = re.compile(r"b1|[ui][1248]|f[48]")
_BYTES_AT_ONCE = 4096
_BYTES_PER_PIXEL = 256
"""Image, flows, outlines and masks together take some 40."""


def read_cellpose_masks(
    path: Path, data: bytes, max_pixels: int
) -> tuple[ImageHeader, NDArray[np.integer[Any]]]:
    """Take the masks out of a ``_seg.npy`` file.

    Parameters
    ----------
    path
        Named in messages.
    data
        The whole file.
    max_pixels
        Masks of more pixels in a plane are refused.

    Returns
    -------
    ImageHeader
        Axes YX, or ZYX for a stack.
    ndarray
        Labels of these axes, 0 outside the cells.

    Raises
    ------
    InputError
        If the file is damaged, holds anything but arrays, numbers and text, or no masks.
    """
    content = _dictionary(path, data)
    if "masks" not in content:
        found = ", ".join(sorted(key[:40] for key in content)[:12]) or "nothing"
        raise InputError(f"{path}: holds no masks (found: {found}); save it again in Cellpose.")
    masks = content["masks"]
    if not (isinstance(masks, _Made) and masks.name == _ARRAY):
        raise InputError(f"{path}: its masks are no single array (found {_kind(masks)}); save them as TIFF.")
    labels = _array(path, masks)
    shape = labels.shape
    axes = {2: "YX", 3: "ZYX"}.get(len(shape))
    if axes is None:
        raise InputError(f"{path}: its masks have {len(shape)} axes, expected 2 (y, x) or 3 (z, y, x).")
    dtype = labels.dtype.newbyteorder("=")
    header = ImageHeader(path, axes, shape, str(dtype))
    header.check(max_pixels)
    return header, labels.astype(dtype)  # a copy, which does not hold the file


def check_file_size(path: Path, max_pixels: int) -> None:
    """Refuse a file that is far larger than a picture of `max_pixels` makes it.

    Raises
    ------
    InputError
        If it is.
    OSError
        As the operating system gives it.
    """
    size = path.stat().st_size
    if size > _BYTES_PER_PIXEL * max_pixels:
        raise InputError(f"{path}: {size:,} bytes are more than --max-pixels {max_pixels:,} allows for.")


def _dictionary(path: Path, data: bytes) -> dict[str, Any]:
    length_bytes = {1: 2, 2: 4, 3: 4}.get(data[6] if len(data) > 6 else 0)
    if not data.startswith(NUMPY_MAGIC) or length_bytes is None:
        raise InputError(f"{path}: not a NumPy file (it begins with {data[:8]!r}).")
    start = 8 + length_bytes
    end = start + int.from_bytes(data[8:start], "little")
    if not _OBJECT_HEADER.fullmatch(data[start : min(end, start + 1000)]):
        raise InputError(f"{path}: a NumPy array, not what Cellpose saves as _seg.npy; save it as TIFF.")
    try:
        root = _Reader(_Bytes(memoryview(data)[end:])).load()  # type: ignore[arg-type]
    except _UnknownNameError as error:
        raise InputError(
            f"{path}: names {error}, which is neither an array nor a number, so it was not read further; "
            "save the masks as _cp_masks.tif."
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: damaged or truncated ({words}); save or copy it again.") from error
    state = root.state if isinstance(root, _Made) and root.name == _ARRAY else None
    held = state[-1] if isinstance(state, tuple) and state else None
    content = held[0] if isinstance(held, list) and held else root
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {_kind(content)}, expected the dictionary that Cellpose saves.")
    return content


def _array(path: Path, array: _Made) -> NDArray[np.integer[Any]]:
    """Look at the bytes that were saved of an array as that array; nothing of what they say is believed."""
    match array.state:
        case (_, tuple(shape), _Made(name="dtype") as kind, in_columns, (bytes() | memoryview()) as stored):
            pass
        case _:
            raise InputError(f"{path}: its masks are no array of numbers; save them as TIFF.")
    code = kind.args[0] if kind.args else None
    order = kind.state[1] if isinstance(kind.state, tuple) and len(kind.state) > 1 else None
    if not isinstance(code, str) or not _NUMBER.fullmatch(code) or order not in ("<", ">", "|", "="):
        named = code[:20] if isinstance(code, str) else "no numbers"
        raise InputError(f"{path}: its masks hold {named}, expected whole numbers; save them as TIFF.")
    dtype = np.dtype(f"{order}{code}")
    whole = all(type(length) is int and 0 <= length < 2**31 for length in shape)
    if not whole or len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(stored):
        raise InputError(
            f"{path}: damaged or truncated ({len(stored):,} bytes do not fit the shape of its masks); save "
            "or copy it again."
        )
    return np.frombuffer(stored, dtype).reshape(shape, order="F" if in_columns is True else "C")


def _kind(thing: object) -> str:
    return f"numpy.{thing.name}" if isinstance(thing, _Made) else type(thing).__name__


class _UnknownNameError(Exception):
    """A name that is none of those that arrays are saved with."""


class _Made:
    """What a name of the file was called with, instead of what it would have made."""

    __match_args__ = ("name",)
    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[object, ...]) -> None:
        self.name, self.args, self.state = name, args, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Mark:
    """Stands for a name of the file."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: object) -> _Made:
        return _Made(self.name, args)


class _Bytes:
    """A file in memory of which large pieces are not copied."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def read(self, count: int) -> bytes | memoryview:
        """Return the next bytes, fewer at the end."""
        piece = self._view[self._at : self._at + max(count, 0)]
        self._at += len(piece)
        return bytes(piece) if len(piece) <= _BYTES_AT_ONCE else piece

    def readline(self) -> bytes:
        """Return the next line; no name or number is longer than what is looked at."""
        near = bytes(self._view[self._at : self._at + _BYTES_AT_ONCE])
        line = near[: near.find(b"\n") + 1] or near
        self._at += len(line)
        return line


class _Reader(pickle._Unpickler):
    """The reader in Python, which reserves no memory for what only a number in the file claims."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = {
        code: run for code, run in pickle._Unpickler.dispatch.items() if bytes([code]) in _OPCODES
    }

    def find_class(self, module: str, name: str) -> _Mark:
        """Return a mark for a name that arrays are saved with.

        Raises
        ------
        _UnknownNameError
            For any other.
        """
        if (module, name) not in _KNOWN:
            raise _UnknownNameError(f"{module}.{name}"[:120])
        return _Mark(name)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._keep(self.stack[-1], [key, value])

    def _set_items(self) -> None:
        items = self.pop_mark()  # type: ignore[attr-defined]
        self._keep(self.stack[-1], items)

    def _keep(self, target: object, items: list[object]) -> None:
        """Put what has a text for its key into a dictionary; hashing others may go deeper than the stack."""
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update((key, value) for key, value in pairs if isinstance(key, str))

    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
