"""Where compiled operations without a version for GPUs, or without a gradient, take over from PyTorch's."""

from __future__ import annotations

import torch
from torch import Tensor


def computes_in_full(x: Tensor) -> bool:
    """Tell whether ``x`` is on the CPU and to be computed in its own float32 or float64."""
    full = x.dtype in (torch.float32, torch.float64)
    return x.device.type == "cpu" and full and not torch.is_autocast_enabled("cpu")


def computes_in_bf16(x: Tensor) -> bool:
    """Tell whether ``x`` is on the CPU, where autocast has products take factors of bfloat16."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return False
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def needs_gradient(*tensors: Tensor | None) -> bool:
    """Tell whether what is computed from these tensors must remember how."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
