"""Which convolution in bfloat16 runs on the CPU: ours where there are tiles to multiply, else PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dispr_cli.diffusion.ops import plain
from dispr_cli.diffusion.ops.prepared import prepared


def register(library: torch.library.Library, convolves: Callable[[], bool]) -> None:
    """Put the choice under the public operator's name; ``convolves`` tells whether ours is there now."""
    library.define("pack_convolution(Tensor weight) -> Tensor")
    library.define(
        "convolve_packed(Tensor x, Tensor panels, Tensor? bias, Tensor? residual, int outputs) -> Tensor"
    )

    def convolution_3d_brief(
        x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None
    ) -> Tensor:
        if not convolves():
            return plain.convolution_3d_brief(x, weight, bias, residual)
        panels = prepared(weight, _packed)
        y: Tensor = torch.ops.dispr.convolve_packed(x.bfloat16(), panels, bias, residual, weight.shape[0])
        return y

    library.impl("convolution_3d_brief", convolution_3d_brief, "CPU")


def _packed(weight: Tensor) -> Tensor:
    panels: Tensor = torch.ops.dispr.pack_convolution(weight.float())
    return panels
