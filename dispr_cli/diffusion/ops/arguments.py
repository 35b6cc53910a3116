"""Whether the arguments of an operation fit each other: checked here for every device, and again in ``csrc``.

Operators can be called past these functions and kernels trust what they are handed, so csrc/tensors.h refuses
the same. Here the error names what was found before PyTorch or a fallback sees it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dispr_cli.errors import ConfigError

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_axes(operation: str, x: Tensor, least: int, most: int | None = None) -> None:
    """Refuse an ``x`` that is no floating tensor of ``least`` to ``most`` axes (``most`` None: as many).

    Raises
    ------
    ConfigError
        If its axes or its dtype are others.
    """
    if not least <= x.dim() <= (least if most is None else most):
        wanted = f"{least}" if most is None else f"{least} to {most}"
        raise ConfigError(f"{operation}: x has shape {tuple(x.shape)}, expected {wanted} axes.")
    _check_floating(operation, "x", x)


def check_shapes(
    operation: str, x: Tensor, expected: Mapping[str, tuple[Tensor | None, tuple[int, ...]]]
) -> None:
    """Refuse tensors that are not of the shape expected of them, floating, and on the device of ``x``.

    Parameters
    ----------
    expected
        By the argument's name: the tensor, None where it is left out, and the shape it must have.

    Raises
    ------
    ConfigError
        If one of them is otherwise.
    """
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        if tuple(tensor.shape) != tuple(shape):
            found = f"has shape {tuple(tensor.shape)}, expected {tuple(shape)}"
            raise ConfigError(f"{operation}: {name} {found}.")
        _check_floating(operation, name, tensor)
        if tensor.device != x.device:
            raise ConfigError(f"{operation}: {name} is on {tensor.device}, expected {x.device}, where x is.")


def check_divides(operation: str, count: int, channels: int, what: str) -> None:
    """Refuse a number of groups or heads that does not divide the channels.

    Raises
    ------
    ConfigError
        If it does not.
    """
    if count < 1 or channels < 1 or channels % count:
        raise ConfigError(f"{operation}: {channels} channels cannot be split into {count} {what}.")


def _check_floating(operation: str, name: str, tensor: Tensor) -> None:
    if tensor.dtype not in FLOATING:
        raise ConfigError(
            f"{operation}: {name} is {tensor.dtype}, expected float32, bfloat16, float16 or float64."
        )
