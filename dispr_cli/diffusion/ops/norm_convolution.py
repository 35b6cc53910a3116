"""``norm_convolution_3d``: group norm, FiLM and SiLU, and the convolution after them, as one operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops.convolution import check_convolution, convolution_3d
from dispr_cli.diffusion.ops.group_norm import check_group_norm, group_norm_silu
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.precision import computes_in_bf16, needs_gradient


def norm_convolution_3d(
    x: Tensor,
    num_groups: int,
    norm_weight: Tensor,
    norm_bias: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """Compute ``convolution_3d(group_norm_silu(x, ...), weight, bias, residual)``.

    In bfloat16 on the CPU, without gradients, what is normalised goes straight to where the convolution reads
    it; else this is the two operations one after the other, whose parameters and errors are described there.
    """
    given = (norm_weight, norm_bias, scale, shift, weight, bias, residual)
    if not computes_in_bf16(x) or needs_gradient(x, *given):
        h = group_norm_silu(x, num_groups, norm_weight, norm_bias, eps, scale, shift)
        return convolution_3d(h, weight, bias, residual)
    check_group_norm("norm_convolution_3d", x, num_groups, norm_weight, norm_bias, scale, shift)
    check_convolution("norm_convolution_3d", x, weight, bias, residual)
    norm_weight, norm_bias = norm_weight.float(), norm_bias.float()
    scale, shift = (None if t is None else t.float() for t in (scale, shift))
    y: Tensor = torch.ops.dispr.norm_convolution_3d_bf16(
        x, num_groups, norm_weight, norm_bias, eps, scale, shift, weight, bias, residual
    )
    return y


@torch.library.register_fake("dispr::norm_convolution_3d_bf16", lib=LIBRARY)
def _fake(x: Tensor, *given: Any) -> Tensor:
    *_norm, weight, bias, residual = given
    y: Tensor = torch.ops.dispr.convolution_3d_bf16(x, weight, bias, residual)
    return y
