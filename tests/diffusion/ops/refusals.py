"""Every operation with every argument spoilt, one at a time: each call has to be refused with an error.

Run by test_refusals.py in a process of its own, since what is looked for are crashes. A line is printed
before each call, so the last one names the call that ended the process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from dispr_cli.diffusion import ops
from dispr_cli.diffusion.ops import kernels_status
from dispr_cli.diffusion.ops.library import convolves_bf16
from dispr_cli.errors import ConfigError

N, C, K, HEADS, GROUPS = 2, 32, 64, 4, 2
Call = tuple[Callable[..., Any], list[Any]]


def volume(channels: int = C, side: int = 4) -> Tensor:
    return torch.randn(N, channels, side, side, side)


def norm() -> list[Any]:
    return [GROUPS, torch.randn(C), torch.randn(C), 1e-5, torch.randn(N, C), torch.randn(N, C)]


def block() -> list[Any]:
    shapes = ((C,), (C,), (3 * C, C), (3 * C,), (C, C), (C,))
    return [volume(), HEADS, GROUPS, *(torch.randn(shape) for shape in shapes)]


def convolution() -> list[Any]:
    return [torch.randn(K, C, 3, 3, 3), torch.randn(K), volume(K)]


def projection() -> list[Any]:
    """x, weight, bias, gather, scatter, repeat, scale, residual."""
    scattered = torch.randn(N, K, 4, 4, 4)
    return [volume(), torch.randn(8 * K, 8 * C), torch.randn(8 * K), 2, 2, False, torch.randn(N), scattered]


def functions() -> dict[str, Call]:
    """The functions of the room with arguments that fit."""

    def patches(x: Tensor, weight: Tensor, bias: Tensor, gather: int, scatter: int, *rest: Any) -> Tensor:
        repeat, scale, residual = rest
        return ops.patch_projection(
            x, weight, bias, gather=gather, scatter=scatter, repeat=repeat, scale=scale, residual=residual
        )

    def in_bf16(*given: Any) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return ops.norm_convolution_3d(*given)

    streams = torch.arange(6).reshape(2, 3)
    return {
        "group_norm_silu": (ops.group_norm_silu, [volume(), *norm(), volume()]),
        "attention_3d": (ops.attention_3d, block()),
        "convolution_3d": (ops.convolution_3d, [volume(), *convolution()]),
        "norm_convolution_3d": (ops.norm_convolution_3d, [volume(), *norm(), *convolution()]),
        "norm_convolution_3d in bfloat16": (in_bf16, [volume(), *norm(), *convolution()]),
        "patch_projection": (patches, projection()),
        "linear_rows": (ops.linear_rows, [torch.randn(N, C), torch.randn(K, C), torch.randn(K)]),
        "normal_noise": (ops.normal_noise, [streams, 64]),
    }


def operators() -> dict[str, Call]:
    """The compiled operators, which can be called past those functions."""
    op = torch.ops.dispr
    backward = [volume(), volume(), torch.randn(N, GROUPS), torch.rand(N, GROUPS), GROUPS]
    weight, bias, _, scale, shift = norm()[1:]
    found: dict[str, Call] = {
        "dispr::group_norm_silu": (op.group_norm_silu, [volume(), *norm(), volume()]),
        "dispr::group_norm_silu_backward": (
            op.group_norm_silu_backward,
            [*backward, weight, bias, scale, shift],
        ),
        "dispr::attention_3d": (op.attention_3d, [*block(), 1e-5]),
        "dispr::convolution_3d": (op.convolution_3d, [volume(), *convolution()]),
        "dispr::convolution_3d_bf16": (op.convolution_3d_bf16, [volume(), *convolution()]),
        "dispr::norm_convolution_3d_bf16": (
            op.norm_convolution_3d_bf16,
            [volume(), *norm(), *convolution()],
        ),
        "dispr::patch_projection": (op.patch_projection, [*projection(), -1.0, False, False]),
        "dispr::linear_rows": (op.linear_rows, [torch.randn(N, C), torch.randn(K, C), torch.randn(K)]),
        "dispr::normal_noise": (op.normal_noise, [torch.arange(6).reshape(2, 3), 64]),
    }
    if convolves_bf16():
        weight, bias, residual = convolution()
        packed = [op.pack_convolution(weight), bias, residual, K]
        x = volume().bfloat16()
        found["dispr::pack_convolution"] = (op.pack_convolution, [weight])
        found["dispr::convolve_packed"] = (op.convolve_packed, [x, *packed])
        found["dispr::norm_convolve_packed"] = (op.norm_convolve_packed, [x, *norm(), *packed])
    return found


def spoilt(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Other tensors in the place of one; none of them can be what is expected there."""
    yield "no axes", torch.zeros((), dtype=tensor.dtype)
    yield "an axis too many", tensor[..., None]
    yield "an axis too few", tensor[0]
    for axis in range(tensor.dim()):
        yield f"axis {axis} shorter", tensor.narrow(axis, 0, tensor.shape[axis] - 1)
        yield f"axis {axis} longer", torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)
        yield f"axis {axis} of length one", tensor.narrow(axis, 0, 1)
    yield "of no length", tensor.narrow(0, 0, 0)
    for dtype in (torch.int32, torch.bool, torch.complex64):
        yield f"of {dtype}", torch.zeros(tensor.shape, dtype=dtype)
    yield "on no device", tensor.to("meta")


FREE_AXES = {"attention_3d": "0234", "linear_rows": "0", "normal_noise": "0", "pack_convolution": "01"}
"""Axes of the first argument that no other argument has to share."""


def fits_still(name: str, position: int, how: str) -> bool:
    """Whether the call with this one change is right, or goes to the fake kernels that hold no data."""
    if how == "on no device":
        return position == 0 or name.startswith("dispr::")
    free = FREE_AXES.get(name.removeprefix("dispr::"), "")
    changed = "0" if how == "of no length" else how.removeprefix("axis ")[0]
    # Panels are filled up to multiples of 32 inputs: fewer channels of x read nothing that is not theirs.
    padded = name == "dispr::convolve_packed" and how in ("axis 1 shorter", "axis 1 of length one")
    return position == 0 and (changed in free or padded)


def spoilt_calls(name: str, given: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    for position, argument in enumerate(given):
        if isinstance(argument, Tensor):
            for how, other in spoilt(argument):
                if not fits_still(name, position, how):
                    yield f"argument {position} {how}", [*given[:position], other, *given[position + 1 :]]
        elif isinstance(argument, int) and not isinstance(argument, bool):
            wrong = (-1, -(2**62)) if "normal_noise" in name else (0, -1, 3, 1 << 21, 2**62)
            for other_int in wrong:
                yield (
                    f"argument {position} {other_int}",
                    [*given[:position], other_int, *given[position + 1 :]],
                )


def main() -> None:
    torch.manual_seed(0)
    calls = functions()
    compiled = operators() if kernels_status()["built"] else {}
    refused = 0
    for name, (call, given) in (calls | compiled).items():
        call(*given)
        for what, arguments in spoilt_calls(name, given):
            print(name, what, flush=True)
            try:
                call(*arguments)
            except ConfigError:
                refused += 1
            except RuntimeError as error:
                if name in calls:
                    sys.exit(f"{name}, {what}: no sentence of ours: {error}")
                refused += 1
            else:
                sys.exit(f"{name}, {what}: was accepted")
    print(f"{refused} calls refused, {len(compiled)} compiled operators")


if __name__ == "__main__":
    main()
