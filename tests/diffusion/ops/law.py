"""The law an operation's error is held to, and the inputs it is tried on."""

from __future__ import annotations

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def as_float64(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if tensor is None else tensor.double() for tensor in tensors]


def laid_out(x: Tensor, channels_last: bool) -> Tensor:
    return x.contiguous(memory_format=plain.CHANNELS_LAST[x.dim()]) if channels_last else x


def assert_law(ours: Tensor, plains: Tensor, truth: Tensor, what: object, terms: float = 0) -> None:
    """The error against float64 is at most twice that of plain PyTorch, give or take a few roundings.

    Roundings are measured by the largest element, or by `terms` where larger ones cancel. In float64 there
    is no better truth, and both may differ by the roundings of long sums.
    """
    assert ours.dtype == plains.dtype, what
    assert ours.shape == truth.shape, what
    if truth.numel() == 0:
        return
    rounding = torch.finfo(ours.dtype).eps * max(terms, truth.abs().max().item())
    error, plain_error = ((tensor.double() - truth).abs().max().item() for tensor in (ours, plains))
    roundings = 256 if ours.dtype == torch.float64 else 4
    assert error <= 2 * plain_error + roundings * rounding, (what, error, plain_error, rounding)
