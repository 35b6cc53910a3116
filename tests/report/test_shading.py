"""The rendering shows what the volume holds, the way round it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dispr_cli.report import shading
from dispr_cli.report.shading import View, shade

TOP = View(azimuth=0, elevation=90, extent=1.0)
FRONT = View(azimuth=0, elevation=0, extent=1.0)


def _ball(centre: tuple[float, float, float], radius: float, side: int = 32) -> NDArray[np.uint8]:
    zyx = np.stack(np.indices((side, side, side)), axis=-1)
    distance = np.linalg.norm(zyx - np.asarray(centre), axis=-1)
    return np.clip(127.5 + 127.5 * (radius - distance), 0, 255).astype(np.uint8)


def _centre(picture: NDArray[np.float32]) -> tuple[float, float]:
    """Where the opaque part lies, as shares of the picture from the top and from the left."""
    rows, columns = np.nonzero(picture[..., 3] > 0.5)
    return rows.mean() / picture.shape[0], columns.mean() / picture.shape[1]


@pytest.mark.parametrize("view", [TOP, FRONT, View(extent=1.0)])
def test_a_ball_has_the_same_round_outline_from_everywhere(view: View) -> None:
    picture = shade(_ball((15.5, 15.5, 15.5), 10), pixels=64, view=view)
    assert picture.shape == (64, 64, 4)
    assert picture[..., 3].sum() == pytest.approx(np.pi * 20**2, rel=0.05)
    assert _centre(picture) == pytest.approx((0.5, 0.5), abs=0.02)


def test_from_above_it_stands_as_in_the_image() -> None:
    assert _centre(shade(_ball((15, 24, 8), 4), pixels=64, view=TOP)) == pytest.approx(
        (0.766, 0.266), abs=0.02
    )


def test_from_the_front_z_points_up_and_x_to_the_right() -> None:
    assert _centre(shade(_ball((24, 15, 8), 4), pixels=64, view=FRONT)) == pytest.approx(
        (0.234, 0.266), abs=0.02
    )


def test_the_front_is_the_side_of_large_y() -> None:
    """What is nearer hides what is farther: seen from the front, the lower end of the image is near."""
    near, far = _ball((15, 25, 15), 3), _ball((15, 6, 15), 3)
    tint = np.zeros((32, 32, 32, 3))
    tint[:, :16] = (0, 0, 1)
    tint[:, 16:] = (1, 0, 0)
    middle = shade(np.maximum(near, far), pixels=64, view=FRONT, tint=tint)[32, 32]
    assert middle[0] > 2 * middle[2]


def test_light_comes_from_the_upper_left() -> None:
    picture = shade(_ball((15.5, 15.5, 15.5), 12), pixels=64, view=View())[..., :3].mean(axis=-1)
    assert picture[24, 24] > 1.3 * picture[40, 40]


def test_rays_meet_the_surface_between_two_steps() -> None:
    """The points found on a ball lie at its radius to a small part of a voxel: no bands, no stairs."""
    field = np.pad(_ball((15.5, 15.5, 15.5), 12), 3).astype(np.float32)
    rays = shading._rays(field, View(), 64, 32)
    depth, opacity = shading._trace(rays, field)
    points = rays.points(depth) - rays.centre[:, np.newaxis, np.newaxis]
    radius = np.linalg.norm(points, axis=0)[opacity == 1]
    assert np.abs(radius - 12).max() < 0.35
    assert radius.mean() == pytest.approx(12, abs=0.05)


def test_a_cell_at_the_border_of_the_grid_is_closed() -> None:
    picture = shade(np.full((16, 16, 16), 255, np.uint8), pixels=64, view=View(0, 90, extent=2.0))
    assert (picture[18:46, 18:46, 3] == 1).all()
    assert picture[..., 3].sum() == pytest.approx(32**2, rel=0.05)


@pytest.mark.parametrize("value", [0, 127])
def test_an_empty_volume_is_an_empty_picture(value: int) -> None:
    assert not shade(np.full((16, 16, 16), value, np.uint8), pixels=32).any()


def test_noise_fills_the_cube_and_one_voxel_is_too_little() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 16), np.uint8)
    assert shade(noise, pixels=48)[..., 3].mean() > 0.3
    single = np.zeros((16, 16, 16), np.uint8)
    single[8, 8, 8] = 255
    assert np.isfinite(shade(single, pixels=48)).all()
