"""Fused 3D operations of the denoiser: compiled where a compiler was at hand, plain PyTorch elsewhere.

The same operator names exist either way (``torch.ops.dispr.*``), so nothing above this room needs to know
which version runs; :func:`kernels_status` tells, for ``dispr doctor`` and for a command's one warning.
"""

from dispr_cli.diffusion.ops import flops as _flops  # noqa: F401 - tells PyTorch's counter what they compute
from dispr_cli.diffusion.ops.attention import attention_3d
from dispr_cli.diffusion.ops.convolution import convolution_3d
from dispr_cli.diffusion.ops.group_norm import group_norm_silu
from dispr_cli.diffusion.ops.library import KernelsStatus, kernels_status
from dispr_cli.diffusion.ops.noise import noise_blocks, normal_noise
from dispr_cli.diffusion.ops.norm_convolution import norm_convolution_3d
from dispr_cli.diffusion.ops.patches import patch_projection
from dispr_cli.diffusion.ops.rows import linear_rows

__all__ = [
    "KernelsStatus",
    "attention_3d",
    "convolution_3d",
    "group_norm_silu",
    "kernels_status",
    "linear_rows",
    "noise_blocks",
    "norm_convolution_3d",
    "normal_noise",
    "patch_projection",
]
