"""Where the network runs and in which number format."""

from __future__ import annotations

import torch

from dispr_cli.config import DEVICES, PRECISIONS
from dispr_cli.errors import ConfigError
from dispr_cli.setting_ranges import OneOf


def choose_device(name: str) -> torch.device:
    """Device for ``--device``; ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    ConfigError
        If there is no device of that name, or it is not on this machine.
    """
    OneOf(DEVICES).check("device", name)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        there = ", ".join(device for device, there in available.items() if there)
        raise ConfigError(f"--device {name}: this machine or this torch has none; available: {there}")
    return torch.device(name)


def choose_autocast(device: torch.device, precision: str) -> torch.dtype | None:
    """Choose the number format of convolutions and products: bfloat16, or None for float32.

    ``auto`` takes bfloat16 where the hardware computes in it and float32 elsewhere, where it would be slower.

    Raises
    ------
    ConfigError
        If there is no number format of that name.
    """
    OneOf(PRECISIONS).check("precision", precision)
    if precision == "fp32":
        return None
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() and _bf16_is_fast() else None
    return None


def _bf16_is_fast() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    return "AVX512" in capability and bool(torch.cpu._is_avx512_bf16_supported())


def describe(device: torch.device, autocast: torch.dtype | None, threads: int | None = None) -> str:
    """One line that says what computes, on the CPU with ``threads``; None: those that torch uses now."""
    precision = "bf16" if autocast is torch.bfloat16 else "fp32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({precision})"
    if device.type == "mps":
        return f"Apple GPU ({precision})"
    return f"CPU, {threads or torch.get_num_threads()} threads ({precision})"
