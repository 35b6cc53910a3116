"""What this installation has to work with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dispr_cli import __version__
from dispr_cli.errors import WeightsError
from dispr_cli.threads import available_cores, available_threads

PACKAGES = ("torch", "numpy", "numba", "zarr", "tifffile", "imagecodecs", "scikit-image", "safetensors")


def examine(weights: Path | None = None) -> dict[str, Any]:
    """Collect versions, devices, kernels and weights; nothing that is missing raises."""
    import torch

    from dispr_cli.diffusion.device import choose_autocast, choose_device, describe
    from dispr_cli.diffusion.ops import kernels_status

    device = choose_device("auto")
    kernels = kernels_status()
    return {
        "dispr": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: _version(name) for name in PACKAGES},
        "device": describe(device, choose_autocast(device, "auto"), available_threads()),
        "cores": available_cores(),
        "threads": available_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "kernels": f"compiled, {kernels['instruction_set']}"
        if kernels["built"]
        else f"plain torch: {kernels['reason']}",
        "kernels_cuda": kernels["cuda"],
        **_weights(weights),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _weights(path: Path | None) -> dict[str, Any]:
    from dispr_cli.diffusion.checkpoint import DEFAULT_WEIGHTS, load_denoiser

    try:
        checkpoint = load_denoiser(path)
    except WeightsError as error:
        return {"weights": f"not usable: {error}", "weights_sha256": None}
    count = sum(parameter.numel() for parameter in checkpoint.denoiser.parameters())
    where = "shipped" if path is None else str(path)
    size = (path or DEFAULT_WEIGHTS).stat().st_size
    return {
        "weights": f"{where}, {count / 1e6:.1f} M parameters, {size / 1e6:.1f} MB",
        "weights_sha256": checkpoint.sha256,
    }
