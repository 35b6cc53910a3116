"""Weights of the published network: ours as safetensors, public checkpoints as tensors without code."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dispr_cli.baselines.dispr2022.settings import NetworkConfig
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork
from dispr_cli.baselines.public_weights import read_public_tensors
from dispr_cli.diffusion.checkpoint import read_tensors, write_tensors
from dispr_cli.errors import ConfigError, WeightsError

FORMAT = "dispr-dispr2022/1"

MOST_CHANNELS = 4096


@dataclass(frozen=True)
class Dispr2022Weights:
    """The published network read from a file.

    Attributes
    ----------
    network
        In evaluation mode, float32, on the CPU.
    sha256
        Of the file.
    provenance
        What it was trained on; empty for public checkpoints.
    """

    network: PublishedNetwork
    sha256: str
    provenance: dict[str, Any]


def save_dispr2022(path: Path, network: PublishedNetwork, provenance: dict[str, Any]) -> None:
    """Write a network with its shape and provenance."""
    metadata = {
        "format": FORMAT,
        "network": dataclasses.asdict(network.config),
        "provenance": provenance,
    }
    write_tensors(path, dict(network.state_dict()), metadata)


def load_dispr2022(path: Path) -> Dispr2022Weights:
    """Read weights written by ``dispr train --method dispr2022``, or a public PyTorch checkpoint.

    Parameters
    ----------
    path
        ``.safetensors``, or any other ending for a checkpoint of the public code (``savedmodel*.pt``, or
        ``emasavedmodel*.pt`` for the running average, which is the better one).

    Raises
    ------
    WeightsError
        If the file is missing, damaged, unsafe or holds another network.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        tensors, metadata = read_tensors(path, FORMAT)
        config, provenance = _network_config(metadata.get("network"), path), metadata.get("provenance") or {}
    else:
        # A network trained on several GPUs is wrapped once: its names begin with "module.".
        tensors = {name.removeprefix("module."): value for name, value in read_public_tensors(path).items()}
        config, provenance = NetworkConfig(), {}
    network = PublishedNetwork(config)
    _fill(network, tensors, path)
    return Dispr2022Weights(network.eval(), hashlib.sha256(path.read_bytes()).hexdigest(), provenance)


def _fill(network: PublishedNetwork, tensors: dict[str, torch.Tensor], path: Path) -> None:
    expected = network.state_dict()
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name].shape]
    wrong += [name for name in tensors if name not in expected]
    if wrong:
        raise WeightsError(
            f"{path}: does not hold the network of DISPR (2022): {len(wrong)} tensors are missing, unknown "
            f"or of another shape (first: {wrong[0]}). Expected the {len(expected)} of the public flags: "
            "32 channels, 1 residual block, 1 head, attention at 16, learned sigma."
        )
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise WeightsError(f"{path}: holds weights that are not finite numbers; the training diverged")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})


def _network_config(values: Any, path: Path) -> NetworkConfig:
    """Rebuild the network's shape from JSON, checked before anything is allocated."""
    fields = {field.name for field in dataclasses.fields(NetworkConfig)}
    if not isinstance(values, dict) or set(values) != fields:
        raise WeightsError(f"{path}: describes a network this version does not know; update dispr")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    sizes = [size for value in values.values() for size in (value if isinstance(value, tuple) else (value,))]
    if not all(type(size) is int and 0 <= size <= MOST_CHANNELS for size in sizes) or len(sizes) > 32:
        raise WeightsError(f"{path}: describes a network of impossible size: {values}")
    try:
        return NetworkConfig(**values)
    except (ConfigError, TypeError, ZeroDivisionError) as error:
        raise WeightsError(f"{path}: describes a network of impossible size ({error})") from error
