"""The denoiser: the network with its preconditioning, as the samplers and the training see it.

The network sees its input scaled to unit variance (EDM, Karras et al., arXiv 2206.00364, table 1) and
predicts the clean volume at every noise level. EDM's skip connection would have it predict the noise of
each voxel at low levels, which the few channels of a space-to-depth token cannot carry: what they lose
stays in the sample as speckle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.conditioning import condition_planes, keep_known_slice_
from dispr_cli.diffusion.unet import DenoisingUNet, Scales


class Condition(NamedTuple):
    """Everything a denoiser knows of N cells (or of N samples of cells).

    Attributes
    ----------
    fine, coarse, summary
        Encoded image and mask, see :class:`dispr_cli.diffusion.unet.ConditionEncoder`.
    outline
        (N, 64, 64) signed distance to the masks' outlines in pixels.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    summary: torch.Tensor
    outline: torch.Tensor

    def select(self, index: torch.Tensor) -> Condition:
        """Rows ``index``, in order; repeats are allowed (samples of one cell share its condition)."""
        return Condition(*(part.index_select(0, index) for part in self))


class VolumeDenoiser(nn.Module):
    """Estimate the clean field of a cell from a noisy one and the cell's condition."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.network = DenoisingUNet(config)

    def place(self, device: torch.device) -> VolumeDenoiser:
        """Move to a device, convolutions laid out channels last: the layout their libraries are fast in."""
        self.to(device)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last_3d)
            elif isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        return self

    def encode(self, image: torch.Tensor, outline: torch.Tensor) -> Condition:
        """Encode cells once for all steps; samples of one orientation of a cell may share it.

        Parameters
        ----------
        image
            (N, 64, 64) in [0, 1].
        outline
            (N, 64, 64) signed distance to the mask's outline in pixels.
        """
        fine, coarse, summary = self.network.encode(condition_planes(image, outline))
        return Condition(fine, coarse, summary, outline)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Estimate the clean field of x = x0 + sigma n, before the known slice is imposed.

        Parameters
        ----------
        x
            (N, 1, 64, 64, 64) float32.
        sigma
            (N,) noise levels.
        """
        data = self.config.sigma_data
        total = (sigma**2 + data**2).sqrt().view(-1, 1, 1, 1, 1)
        prediction: torch.Tensor = self.network(x / total, sigma.log(), condition[:3])
        return data * prediction.float()

    def denoise(self, x: torch.Tensor, sigma: float, condition: Condition) -> torch.Tensor:
        """As :meth:`forward` for one noise level, with what is known of the field imposed.

        The field is clipped to [-1, 1] and its focal slice made to agree with the mask.
        """
        levels = torch.full((x.shape[0],), sigma, dtype=torch.float32, device=x.device)
        data = self.config.sigma_data
        scales = Scales((levels**2 + data**2).rsqrt(), data, 1.0)
        field: torch.Tensor = self.network(x, levels.log(), condition[:3], scales)
        return keep_known_slice_(field.float(), condition.outline, self.config.clip_distance)
