"""Which convolution in bfloat16 runs on the CPU: ours where there are tiles to multiply, else PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.prepared import prepared

_NORM = "int num_groups, Tensor norm_weight, Tensor norm_bias, float eps, Tensor? scale, Tensor? shift"
_PACKED = "Tensor panels, Tensor? bias, Tensor? residual, int outputs"


def register(library: torch.library.Library, convolves: Callable[[], bool]) -> None:
    """Put the choice under the public operators' names; ``convolves`` tells whether ours is there now."""
    library.define("pack_convolution(Tensor weight) -> Tensor")
    library.define(f"convolve_packed(Tensor x, {_PACKED}) -> Tensor")
    library.define(f"norm_convolve_packed(Tensor x, {_NORM}, {_PACKED}) -> Tensor")

    def convolution_3d_bf16(
        x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        if not convolves():
            return plain.convolution_3d_bf16(x, prepared(weight, _rounded), bias, residual)
        _check_rounded(x, weight)
        panels = prepared(weight, _packed)
        y: Tensor = torch.ops.dispr.convolve_packed(x.bfloat16(), panels, bias, residual, weight.shape[0])
        return y

    def norm_convolution_3d_bf16(x: Tensor, *given: Any) -> Tensor:
        *norm, weight, bias, residual = given
        if not convolves():
            h, _, _ = torch.ops.dispr.group_norm_silu(x.bfloat16(), *norm)
            return plain.convolution_3d_bf16(h, prepared(weight, _rounded), bias, residual)
        _check_rounded(x, weight)
        packed = (prepared(weight, _packed), bias, residual, weight.shape[0])
        y: Tensor = torch.ops.dispr.norm_convolve_packed(x.bfloat16(), *norm, *packed)
        return y

    library.impl("convolution_3d_bf16", convolution_3d_bf16, "CPU")
    library.impl("norm_convolution_3d_bf16", norm_convolution_3d_bf16, "CPU")


def _check_rounded(x: Tensor, weight: Tensor) -> None:
    """Refuse what rounding and packing would hide: other dtypes, and inputs that are filled up with zeros."""
    if not (x.is_floating_point() and weight.is_floating_point()):
        raise RuntimeError(f"x is {x.dtype} and weight is {weight.dtype}, expected floating numbers")
    if x.shape[1:2] != weight.shape[1:2]:
        raise RuntimeError(f"weight has shape {tuple(weight.shape)}, which does not fit x {tuple(x.shape)}")


def _packed(weight: Tensor) -> Tensor:
    panels: Tensor = torch.ops.dispr.pack_convolution(weight.float())
    return panels


def _rounded(weight: Tensor) -> Tensor:
    return weight.bfloat16()
