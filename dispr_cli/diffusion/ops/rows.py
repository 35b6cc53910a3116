"""``linear_rows``: the linear map of a few rows, whose sums depend neither on threads nor on company."""

from __future__ import annotations

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.arguments import check_axes, check_shapes
from dispr_cli.diffusion.ops.library import LIBRARY
from dispr_cli.diffusion.ops.precision import needs_gradient


def linear_rows(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Map a few rows linearly, in float32 (float64 for float64 rows).

    BLAS splits such small products by thread, and the bytes of what follows from them would change with it.

    Parameters
    ----------
    x
        (N, in).
    weight, bias
        (out, in) and (out,); None leaves the bias out.

    Returns
    -------
    Tensor
        (N, out) in the dtype of ``x``.

    Raises
    ------
    ConfigError
        If a shape, dtype or device does not fit ``x``.
    """
    check_axes("linear_rows", x, 2)
    outputs = weight.shape[0] if weight.dim() else 0
    expected = {"weight": (weight, (outputs, x.shape[1])), "bias": (bias, (outputs,))}
    check_shapes("linear_rows", x, expected)
    dtype = plain.statistics_dtype(x.dtype)
    given = (x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
    run = plain.linear_rows if needs_gradient(*given) else torch.ops.dispr.linear_rows
    return run(*given).to(x.dtype)


@torch.library.register_fake("dispr::linear_rows", lib=LIBRARY)
def _fake(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((x.shape[0], weight.shape[0]))
