"""Which kernels run on CUDA devices: ours, once they have agreed with plain PyTorch on the device at hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain

PREFIX = "compiled_"
"""What the compiled operators are called; the public ones choose between them and plain PyTorch."""

LEFT_TO_PYTORCH = (
    plain.attention_3d,
    plain.attention_3d_backward,
    plain.convolution_3d,
    plain.convolution_3d_bf16,
    plain.linear_rows,
    plain.normal_noise,
    plain.norm_convolution_3d_bf16,
    plain.patch_projection,
)
"""What cuDNN and cuBLAS do as well or better, csrc/README.md says by how much; noise is the CPU's."""

_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def register(library: torch.library.Library, schemas: dict[Callable[..., Any], str]) -> None:
    """Put the choice between compiled and plain kernels under the public operators' names."""
    for implementation, schema in schemas.items():
        name = implementation.__name__
        if implementation in LEFT_TO_PYTORCH:
            continue
        library.define(PREFIX + name + schema)
        library.impl(name, _choosing(implementation, getattr(torch.ops.dispr, PREFIX + name)), "CUDA")


def _choosing(by_torch: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return (compiled if disagreement() is None else by_torch)(*args)

    return run


def disagreement() -> str | None:
    """Run every compiled kernel once beside plain PyTorch; return what differs, None when nothing does.

    A kernel that fails on a device it was never tried on must cost speed, never a wrong shape. Tried once on
    each device of a process, when it is the current one.
    """
    return _disagreement_on(torch.cuda.current_device())


@functools.cache
def _disagreement_on(device: int) -> str | None:
    try:
        for dtype, tolerance in _TOLERANCES.items():
            for what, ours, theirs in _pairs(dtype):
                scale = theirs.float().abs().max().item()
                error = (ours.float() - theirs.float()).abs().max().item()
                if not error <= tolerance * scale:
                    return f"{what} in {dtype} is off by {error:.1e} of {scale:.1e}"
    except RuntimeError as error:
        return f"a kernel failed: {error}"
    return None


def _pairs(dtype: torch.dtype) -> list[tuple[str, Tensor, Tensor]]:
    generator = torch.Generator("cuda").manual_seed(0)

    def draw(*shape: int, of: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=generator, device="cuda").to(of)

    pairs: list[tuple[str, Tensor, Tensor]] = []
    for size in (6, 24):  # groups that fit on chip, and groups that do not
        x = draw(2, 64, size, size, size, of=dtype).contiguous(memory_format=torch.channels_last_3d)
        for given in (x, x.contiguous()):
            forward = (given, 4, draw(64), draw(64), 1e-5, draw(2, 64), draw(2, 64), given)
            ours, theirs = (run(*forward) for run in _both("group_norm_silu"))
            back = (given, given, *theirs[1:], 4, forward[2], forward[3], forward[5], forward[6])
            ours_back, theirs_back = (run(*back) for run in _both("group_norm_silu_backward"))
            pairs += [("group_norm_silu", *pair) for pair in zip(ours, theirs, strict=True)]
            pairs += [("its gradient", *pair) for pair in zip(ours_back, theirs_back, strict=True)]
    return pairs


def _both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return getattr(torch.ops.dispr, PREFIX + name), getattr(plain, name)
