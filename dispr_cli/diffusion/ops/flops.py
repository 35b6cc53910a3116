"""How much arithmetic the operations stand for, told to PyTorch's own counter of it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from dispr_cli.diffusion.ops import library

library.kernels_status()  # the operators must be there before their arithmetic is told


@register_flop_formula(torch.ops.dispr.attention_3d)
def _attention(x: Any, *_: Any, **__: Any) -> int:
    N, C, *space = x
    tokens = space[0] * space[1] * space[2]
    return int(N * tokens * (8 * C * C + 4 * tokens * C))


@register_flop_formula(torch.ops.dispr.patch_projection)
def _projection(x: Any, weight: Any, _bias: Any, gather: int, *_: Any, **__: Any) -> int:
    N, _C, *space = x
    tokens = N * space[0] * space[1] * space[2] // gather**3
    return int(2 * tokens * weight[0] * weight[1])


@register_flop_formula([torch.ops.dispr.convolution_3d, torch.ops.dispr.convolution_3d_bf16])
def _convolution(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    """Count the definition's products, whichever way they are computed."""
    N, C, *space = x
    return int(2 * 27 * N * C * weight[0] * space[0] * space[1] * space[2])


@register_flop_formula(torch.ops.dispr.norm_convolution_3d_bf16)
def _norm_convolution(x: Any, *given: Any, **_: Any) -> int:
    """Count the convolution alone; PyTorch's counter knows products only."""
    return _convolution(x, given[-3])
