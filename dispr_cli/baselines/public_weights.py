"""Checkpoints of the peers' public code (``.pt``, ``.pth``, ``.ckpt``): tensors only, no code is ever run."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from dispr_cli.errors import WeightsError

MAX_BYTES = 2**31


def read_public_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a public checkpoint, by name.

    A checkpoint that nests them under ``state_dict`` (Lightning) is understood.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, too large, or holds anything but tensors and plain values.
    """
    found = _load(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    tensors = {str(name): value for name, value in _items(found) if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors by name; expected the weights of a network")
    return tensors


def _load(path: Path) -> Any:
    try:
        size = _unpacked_bytes(path)
        if size > MAX_BYTES:
            raise WeightsError(f"{path}: holds {size} bytes; the largest peer has 40 million")
        with warnings.catch_warnings():
            # An unusual pickle protocol is only worth a warning to torch; the error that follows says more.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: is damaged, or holds Python objects that could run code and were not read. Give a file "
            "with tensors alone (torch.save of a state_dict), or weights made by 'dispr train'."
        ) from error
    except OSError as error:
        raise WeightsError(f"{path}: weights cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged pickle makes torch's reader fail in any way
        raise WeightsError(f"{path}: is damaged or not a PyTorch checkpoint. Copy it again.") from error


def _unpacked_bytes(path: Path) -> int:
    """Bytes of the file, or of all that a zip archive says it holds: a small one may unpack to any size."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _items(found: Any) -> list[tuple[Any, Any]]:
    return list(found.items()) if isinstance(found, dict) else []
