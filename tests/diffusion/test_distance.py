"""Distance fields and occupancies: what a round trip keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dispr_cli.config import FOCAL_SLICE
from dispr_cli.diffusion.conditioning import condition_planes, keep_known_slice_
from dispr_cli.diffusion.distance import STORED_RANGE, outline_distance, signed_distance
from dispr_cli.diffusion.representation import to_field, to_occupancy


def radius_field(centre: float = 31.7) -> np.ndarray:
    z, y, x = np.mgrid[:64, :64, :64].astype(np.float64)
    return np.sqrt((z - centre) ** 2 + (y - 30.2) ** 2 + (x - 33.1) ** 2)


def ball(radius: float = 15.3) -> np.ndarray:
    return np.round(np.clip(radius - radius_field() + 0.5, 0, 1) * 255).astype(np.uint8)


def test_distance_of_a_ball_is_the_radius_minus_the_distance_to_its_centre() -> None:
    expected = np.clip(15.3 - radius_field(), -STORED_RANGE, STORED_RANGE)
    found = signed_distance(ball())
    near = np.abs(expected) < 8
    assert np.abs(found - expected)[near].max() < 0.75
    assert np.abs(found - expected)[near].mean() < 0.25


def test_round_trip_keeps_the_volume_and_the_sign() -> None:
    occupancy = ball()
    field = to_field(torch.from_numpy(signed_distance(occupancy)), 4.0)
    back = to_occupancy(field, 4.0).numpy()
    assert ((back > 127) == (occupancy > 127)).mean() > 0.9999
    assert float(field.min()) == -1.0
    assert float(field.max()) == 1.0


def test_occupancy_is_half_where_the_field_is_zero() -> None:
    field = torch.tensor([-1.0, -0.125, 0.0, 0.125, 1.0])
    assert to_occupancy(field, 4.0).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("value", "expected"), [(0, -STORED_RANGE), (255, STORED_RANGE)])
def test_empty_and_full_volumes_have_a_constant_field(value: int, expected: float) -> None:
    assert (signed_distance(np.full((8, 8, 8), value, np.uint8)) == expected).all()


def test_known_slice_takes_the_masks_sign_and_leaves_the_rest_alone() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:40, 10:50] = True
    outline = torch.from_numpy(outline_distance(mask))[None]
    generator = torch.Generator().manual_seed(0)
    field = torch.rand(1, 1, 64, 64, 64, generator=generator) * 2 - 1
    kept = keep_known_slice_(field.clone(), outline, 4.0)
    assert ((to_occupancy(kept, 4.0)[0, 0, FOCAL_SLICE] > 127).numpy() == mask).all()
    others = torch.arange(64) != FOCAL_SLICE
    assert torch.equal(kept[:, :, others], field[:, :, others])
    agrees = (field[0, 0, FOCAL_SLICE] > 0.2) & torch.from_numpy(mask)
    assert torch.equal(kept[0, 0, FOCAL_SLICE][agrees], field[0, 0, FOCAL_SLICE][agrees])


def test_condition_planes_hide_the_surroundings_in_the_second_plane_only() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:40, 10:50] = True
    image = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    planes = condition_planes(image, torch.from_numpy(outline_distance(mask))[None])
    assert planes.shape == (1, 3, 64, 64)
    assert (planes[0, 1][~torch.from_numpy(mask)] == 0).all()
    assert torch.equal(planes[0, 1][torch.from_numpy(mask)], image[0][torch.from_numpy(mask)])
    assert torch.equal(planes[0, 2], image[0])
