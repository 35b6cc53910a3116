"""Samples of packed cells and their scores by counting voxels, on the device that trains."""

from __future__ import annotations

import numpy as np
import torch

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.augmentation import Examples
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.diffusion.drawing import draw_fields

MOST_VOLUMES = 160


def draw(
    denoiser: VolumeDenoiser,
    cells: TrainingCells,
    sampler: SamplerConfig,
    num_samples: int,
    device: torch.device,
    seed: int = 0,
) -> torch.Tensor:
    """Shapes of all cells, (N, S, 64, 64, 64) bool."""
    examples = cells.resident(device).examples(torch.arange(len(cells)), device)
    generator = torch.Generator(device).manual_seed(seed)
    drawn = []
    share = max(1, MOST_VOLUMES // num_samples)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        for start in range(0, len(cells), share):
            part = Examples(*(tensor[start : start + share] for tensor in examples))
            drawn.append(_draw(denoiser, part, sampler, num_samples, generator))
    return torch.cat(drawn)


def _draw(
    denoiser: VolumeDenoiser,
    part: Examples,
    sampler: SamplerConfig,
    num_samples: int,
    generator: torch.Generator,
) -> torch.Tensor:
    n, device = len(part.image), part.image.device
    rows = torch.arange(n, device=device).repeat_interleave(num_samples)
    condition = denoiser.encode(part.image, part.outline).select(rows)

    def noise() -> torch.Tensor:
        return torch.randn((n * num_samples, 1, 64, 64, 64), generator=generator, device=device)

    return (draw_fields(denoiser, condition, noise, sampler) > 0).view(n, num_samples, 64, 64, 64)


def mean_scores(volumes: torch.Tensor, cells: TrainingCells) -> dict[str, float]:
    """Means over cells of :func:`cell_scores`."""
    found = cell_scores(volumes, cells)
    return {name: round(float(values.mean()), 4) for name, values in found.items()}


def cell_scores(volumes: torch.Tensor, cells: TrainingCells) -> dict[str, np.ndarray]:
    """Overlap, and volume with its spread, of (N, S, 64, 64, 64) samples; one number a cell."""
    truth = (torch.from_numpy(cells.distance).to(volumes.device) > 0)[:, None]
    count = volumes.sum((2, 3, 4)).double()
    true = truth.sum((2, 3, 4)).double()
    ratio = count / true
    m = count.shape[1]
    vote = (volumes.double().mean(1, keepdim=True) > 0.5) if m > 1 else volumes[:, :1]
    pairs = [(i, j) for i in range(m) for j in range(i)]
    between = torch.stack([(ratio[:, i] - ratio[:, j]).abs() for i, j in pairs]).mean(0)
    overlap = torch.stack([_iou(volumes[:, i], volumes[:, j]) for i, j in pairs]).mean(0)
    error = (ratio - 1.0).abs().mean(1)
    scores = {
        "iou_one": _iou(volumes, truth.expand_as(volumes)).mean(1),
        "iou_vote": _iou(vote[:, 0], truth[:, 0]),
        "iou_between": overlap,
        "volume_one": error,
        "volume_median": (ratio.median(1).values - 1.0).abs(),
        "volume_bias": ratio.mean(1) - 1.0,
        "crps": error - 0.5 * between,
        "covered": ((ratio.amin(1) <= 1.0) & (ratio.amax(1) >= 1.0)).double(),
    }
    return {name: values.cpu().numpy() for name, values in scores.items()}


def _iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a & b).sum((-3, -2, -1)).double() / (a | b).sum((-3, -2, -1)).double().clamp_min(1.0)
