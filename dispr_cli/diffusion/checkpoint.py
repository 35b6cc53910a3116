"""Weights on disk: safetensors with the network's configuration inside, and nothing that can run code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.durable import partial_path, remove_partial_files, replacing
from dispr_cli.errors import ConfigError, WeightsError

FORMAT = "dispr-denoiser/1"
DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "dispr.safetensors"
"""The checkpoint that ships with the package."""

MAX_BYTES = 2**31


@dataclass(frozen=True)
class Checkpoint:
    """A denoiser read from a file.

    Attributes
    ----------
    denoiser
        In evaluation mode, float32, on the CPU.
    sha256
        Of the file.
    provenance
        What the weights were trained on, and how.
    path
        The file; None for a denoiser that was never in one.
    """

    denoiser: VolumeDenoiser
    sha256: str
    provenance: dict[str, Any]
    path: Path | None = None


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata, whole or not at all, see :mod:`dispr_cli.durable`.

    Raises
    ------
    WeightsError
        If there is no room, or the folder cannot be made or written to.
    """
    contiguous = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    with _explained(path):
        remove_partial_files(path.parent, path.name)
        with replacing(path) as partial:
            save_file(contiguous, partial, texts)
            # safetensors lets nobody but the owner read what it writes.
            partial.chmod(0o644)


def check_writable(path: Path) -> None:
    """Make the folder of a file to come, and try to write there.

    Raises
    ------
    WeightsError
        If it cannot be written.
    """
    with _explained(path):
        trial = partial_path(path)
        try:
            trial.write_bytes(b"dispr")
        finally:
            trial.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Make the folder of a file that is written in the block, and say what went wrong."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    # safetensors has an error of its own for a full disk.
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(
            f"{path}: cannot be written ({reason}). Make room, or give --out another place."
        ) from error


def read_tensors(path: Path, expected_format: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote.

    Raises
    ------
    WeightsError
        If the file is missing, not safetensors (pickles are refused unread), damaged or of another format.
    """
    head = _head(path)
    # A safetensors file is the length of its header in 8 bytes, then JSON; the length may look like a pickle.
    if head[8:9] != b"{" and (head[:2] == b"PK" or head[:1] == b"\x80"):
        raise WeightsError(
            f"{path}: is a pickled checkpoint, which can run code when it is opened, and was not read. "
            "Give a .safetensors file made by 'dispr train'."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            if metadata.get("format") != expected_format:
                raise WeightsError(
                    f"{path}: is a safetensors file of format {metadata.get('format')!r}, "
                    f"expected {expected_format!r} as written by 'dispr train'."
                )
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise WeightsError(
            f"{path}: is damaged or not a safetensors file ({error}). Copy it again, or give "
            "other weights made by 'dispr train'."
        ) from error


def _head(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(
                f"{path}: has {path.stat().st_size} bytes; weights of dispr have a few million"
            )
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise WeightsError(
            f"{path}: weights cannot be read ({error.strerror}). Give a .safetensors file made by "
            "'dispr train'."
        ) from error


def save_denoiser(
    path: Path, denoiser: VolumeDenoiser, provenance: dict[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Write a denoiser's weights with its configuration and provenance."""
    tensors = {name: tensor.to(dtype) for name, tensor in denoiser.state_dict().items()}
    config = dataclasses.asdict(denoiser.config)
    write_tensors(path, tensors, {"format": FORMAT, "config": config, "provenance": provenance})


def load_denoiser(path: Path | None = None) -> Checkpoint:
    """Read a denoiser.

    Parameters
    ----------
    path
        A file written by ``dispr train``; the shipped weights if None.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, unsafe, or does not fit its own configuration.
    """
    path = DEFAULT_WEIGHTS if path is None else Path(path)
    tensors, metadata = read_tensors(path, FORMAT)
    config = config_from(metadata.get("config"), path)
    # A small file may describe gigabytes: nothing is allocated before its tensors are known to fit.
    with torch.device("meta"):
        expected = VolumeDenoiser(config).state_dict()
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name].shape]
    wrong += [name for name in tensors if name not in expected]
    if wrong:
        raise WeightsError(
            f"{path}: {len(wrong)} tensors do not fit the network it describes (first: {wrong[0]})"
        )
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise WeightsError(f"{path}: holds weights that are not finite numbers; the training diverged")
    denoiser = VolumeDenoiser(config)
    denoiser.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Checkpoint(denoiser.eval().requires_grad_(False), digest, metadata.get("provenance") or {}, path)


def config_from(values: Any, path: Path) -> DenoiserConfig:
    """Rebuild a configuration from JSON, checking names and sizes before anything is allocated."""
    fields = {field.name for field in dataclasses.fields(DenoiserConfig)}
    if not isinstance(values, dict) or not set(values) <= fields:
        raise WeightsError(f"{path}: describes a network this version does not know; update dispr")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        # What older weights do not say was not done yet.
        return DenoiserConfig(**{"spread": 1.0, "sharpening": 0.0, **values})
    except ConfigError as error:
        raise WeightsError(f"{path}: describes a network of impossible size ({error})") from error
