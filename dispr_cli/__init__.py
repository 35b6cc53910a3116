"""What a cell looks like in 3D, from one 2D microscope image.

>>> import dispr_cli as dispr
>>> cells = dispr.read_cells("cells/")
>>> volumes = dispr.reconstruct(cells, dispr.load_denoiser(), num_samples=5)
>>> volumes.shape
(9, 5, 64, 64, 64)

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dispr_cli.config import SamplerConfig
    from dispr_cli.errors import DisprError
    from dispr_cli.evaluation import evaluate
    from dispr_cli.inputs.settings import InputSettings
    from dispr_cli.methods import load_denoiser
    from dispr_cli.pipeline import read_cells, reconstruct
    from dispr_cli.volumes.store import open_store

_HOMES = {
    "DisprError": "dispr_cli.errors",
    "SamplerConfig": "dispr_cli.config",
    "InputSettings": "dispr_cli.inputs.settings",
    "evaluate": "dispr_cli.evaluation",
    "read_cells": "dispr_cli.pipeline",
    "load_denoiser": "dispr_cli.methods",
    "reconstruct": "dispr_cli.pipeline",
    "open_store": "dispr_cli.volumes.store",
}

__all__ = [
    "DisprError",
    "InputSettings",
    "SamplerConfig",
    "__version__",
    "evaluate",
    "load_denoiser",
    "open_store",
    "read_cells",
    "reconstruct",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
