"""Augmented cells stay cells: image, mask and volume move together, and z keeps its direction."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dispr_cli.config import FOCAL_SLICE, TrainingConfig
from dispr_cli.diffusion.augmentation import Randomness, augment, drop_features, heights, slice_weights
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.denoiser import Condition
from dispr_cli.diffusion.field_area import field_area

STILL = dataclasses.replace(
    TrainingConfig(),
    z_stretch=0.0,
    z_asymmetry=0.0,
    scale=0.0,
    shear=0.0,
    elastic=0.0,
    condition_dropout=0.0,
)


def _augmented(cells: TrainingCells, config: TrainingConfig, seed: int = 0):
    examples = cells.examples(np.arange(len(cells)), torch.device("cpu"))
    return examples, augment(examples, config, Randomness.of_step(seed, 0, torch.device("cpu")))


def test_rotations_keep_the_volume(training_cells: TrainingCells) -> None:
    before, after = _augmented(training_cells, STILL)
    sums = [(field.distance > 0).sum((1, 2, 3, 4)).double() for field in (before, after)]
    assert float((sums[1] / sums[0] - 1).abs().max()) < 0.03


def test_rotations_keep_the_surface_area(training_cells: TrainingCells) -> None:
    before, after = _augmented(training_cells, STILL)
    areas = [field_area(field.distance / 4.0, 4.0) for field in (before, after)]
    # Linear interpolation loses 2 to 3 %.
    assert abs(float((areas[1] / areas[0]).mean()) - 1.0) < 0.01


def test_slices_are_interpolated_as_by_grid_sample() -> None:
    z = torch.linspace(-1.2, 1.2, 64).expand(2, 64) + torch.tensor([[0.0], [0.01]])
    column = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    places = torch.stack([torch.zeros_like(z), z.clamp(-63 / 64, 63 / 64)], -1)[:, :, None]
    expected = F.grid_sample(
        column[:, None, :, None], places, mode="bicubic", padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(
        torch.einsum("nij,nj->ni", slice_weights(z), column), expected[:, 0, :, 0], rtol=1e-4, atol=1e-5
    )


def test_mask_follows_the_focal_slice_of_the_volume(training_cells: TrainingCells) -> None:
    for seed in range(3):
        _, after = _augmented(training_cells, TrainingConfig(), seed)
        focal, mask = after.distance[:, 0, FOCAL_SLICE] > 0, after.outline > 0
        overlap = (focal & mask).sum((1, 2)) / (focal | mask).sum((1, 2))
        assert float(overlap.min()) > 0.95


def test_up_stays_up(training_cells: TrainingCells) -> None:
    before, after = _augmented(training_cells, STILL)
    z = torch.arange(64.0).view(1, 1, 64, 1, 1)
    heights = [
        ((e.distance > 0) * z).sum((1, 2, 3, 4)) / (e.distance > 0).sum((1, 2, 3, 4)) for e in (before, after)
    ]
    assert float((heights[1] - heights[0]).abs().max()) < 0.5


def test_the_same_generator_gives_the_same_variants_and_another_gives_others(
    training_cells: TrainingCells,
) -> None:
    _, first = _augmented(training_cells, TrainingConfig(), 1)
    _, again = _augmented(training_cells, TrainingConfig(), 1)
    _, other = _augmented(training_cells, TrainingConfig(), 2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.image, other.image)


def test_scaling_scales_distances_with_the_cell(training_cells: TrainingCells) -> None:
    larger = dataclasses.replace(STILL, scale=0.2)
    before, after = _augmented(training_cells, larger, 3)
    area = (after.outline > 0).sum((1, 2)) / (before.outline > 0).sum((1, 2))
    depth = after.outline.amax((1, 2)) / before.outline.amax((1, 2))
    unclipped = before.outline.amax((1, 2)) < 9
    assert torch.allclose(area.sqrt()[unclipped], depth[unclipped], rtol=0.12)


def test_the_two_sides_of_the_focal_plane_stretch_on_their_own(training_cells: TrainingCells) -> None:
    lopsided = dataclasses.replace(STILL, z_asymmetry=0.3)
    before, after = _augmented(training_cells, lopsided, 1)
    sides = [(e.distance > 0).sum((1, 3, 4)).double() for e in (before, after)]
    above = [side[:, FOCAL_SLICE + 1 :].sum(1) for side in sides]
    below = [side[:, :FOCAL_SLICE].sum(1) for side in sides]
    assert ((above[1] / above[0] - 1) * (below[1] / below[0] - 1) < 0).float().mean() > 0.6


def test_slices_are_found_about_the_focal_one() -> None:
    config = dataclasses.replace(STILL, z_stretch=0.2, z_asymmetry=0.2)
    found = heights(50, config, Randomness.of_step(0, 0, torch.device("cpu")), 64)
    focal = (2 * FOCAL_SLICE + 1) / 64 - 1.0
    assert torch.allclose(found[:, FOCAL_SLICE], torch.full((50,), focal))
    assert bool((found.diff(dim=1) > 0).all())
    spread = (found - focal)[:, [0, -1]].abs().log()
    assert abs(float(spread.std(0).mean()) - 0.2 * 2**0.5) < 0.08


def test_the_relative_error_of_one_random_height_against_another_is_0_on_average() -> None:
    config = dataclasses.replace(STILL, z_stretch=0.15, z_asymmetry=0.1)
    found = heights(40_000, config, Randomness.of_step(0, 0, torch.device("cpu")), 64)
    focal = (2 * FOCAL_SLICE + 1) / 64 - 1.0
    # A slice found farther out belongs to a lower cell. True heights are log-normal about 1.
    learned = (-63 / 64 - focal) / (found[:, 0] - focal)
    spread = (0.15**2 + 0.1**2) ** 0.5
    true = (spread * torch.randn(len(learned), generator=torch.Generator().manual_seed(0))).exp()
    assert abs(float((learned / true).mean()) - 1.0) < 0.01


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_silenced_features_are_whole_channels_and_keep_their_mean(share: float) -> None:
    condition = Condition(
        torch.ones(64, 32, 2, 2, 2), torch.ones(64, 128, 1, 1, 1), torch.ones(64, 256), torch.ones(64, 4, 4)
    )
    random = Randomness.of_step(0, 0, torch.device("cpu"))
    dropped = drop_features(condition, share, random)
    assert torch.equal(dropped.outline, condition.outline)
    for part in dropped[:3]:
        channels = part.flatten(2) if part.dim() > 2 else part[:, :, None]
        assert torch.equal(channels.amin(2), channels.amax(2))
        assert abs(float((part == 0).float().mean()) - share) < 0.05
        assert abs(float(part.mean()) - 1.0) < 0.05
    assert not torch.equal(dropped.fine[0], dropped.fine[1])


def test_nothing_is_silenced_unless_asked_for() -> None:
    condition = Condition(*(torch.ones(2, 3, 1, 1, 1),) * 2, torch.ones(2, 3), torch.ones(2, 4, 4))
    random = Randomness.of_step(0, 0, torch.device("cpu"))
    assert drop_features(condition, 0.0, random) is condition


def test_bending_moves_mask_and_volume_alike(training_cells: TrainingCells) -> None:
    bent = dataclasses.replace(STILL, elastic=2.0)
    _, after = _augmented(training_cells, bent, 2)
    straight = _augmented(training_cells, STILL, 2)[1]
    assert float((after.outline - straight.outline).abs().max()) > 0.5
    focal, mask = after.distance[:, 0, FOCAL_SLICE] > 0, after.outline > 0
    assert float(((focal & mask).sum((1, 2)) / (focal | mask).sum((1, 2))).min()) > 0.95


def test_hidden_images_are_black_and_as_many_as_asked_for(training_cells: TrainingCells) -> None:
    hide = dataclasses.replace(STILL, condition_dropout=1.0)
    _, after = _augmented(training_cells, hide)
    assert float(after.image.abs().max()) == 0.0
