from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import marching_cubes

from dispr_cli.inputs.phantoms import microscope
from dispr_cli.inputs.phantoms.microscope import Optics

OPTICS = Optics(
    blur_lateral=1.6,
    blur_axial=3.0,
    haze=0.0,
    haze_lateral=6.0,
    haze_axial=9.0,
    cytosol=0.2,
    uneven=0.0,
    uneven_waves=np.zeros((0, 4)),
    brightest=210.0,
    background=2.0,
    threshold=70.0,
    grain=0.0,
    noise=0.0,
)


def ball(radius: float) -> np.ndarray:
    z, y, x = np.indices((64, 64, 64)) - 31.5
    return np.clip(0.5 + radius - np.sqrt(x * x + y * y + z * z), 0, 1).astype(np.float32)


def test_blur_keeps_the_light_and_spreads_it_as_told():
    point = np.zeros((64, 64, 64), np.float32)
    point[30, 33, 31] = 1.0
    blurred = microscope.blur(point, 3.0, 1.5)
    assert blurred.sum() == pytest.approx(1.0, rel=1e-4)
    at = np.arange(64)
    for axis, deviation, centre in ((0, 3.0, 30), (1, 1.5, 33), (2, 1.5, 31)):
        profile = blurred.sum(axis=tuple(a for a in range(3) if a != axis))
        assert (profile * at).sum() == pytest.approx(centre, abs=1e-3)
        assert np.sqrt((profile * (at - centre) ** 2).sum()) == pytest.approx(deviation, rel=0.03)


def test_blur_lets_light_leave_the_grid():
    edge = np.zeros((64, 64, 64), np.float32)
    edge[0] = 1.0
    assert microscope.blur(edge, 3.0, 0.5).sum() < 0.6 * edge.sum()


def test_stained_membrane_is_brighter_than_the_inside():
    stack = microscope.photograph(ball(20), replace(OPTICS, cytosol=0.1))
    line = stack[31, 31]
    assert stack.max() == pytest.approx(210.0, abs=0.01)
    assert stack.min() >= 2.0
    assert line[10:13].max() > 1.5 * line[28:36].max()
    solid = microscope.photograph(ball(20), replace(OPTICS, cytosol=3.0))[31, 31]
    assert solid[28:36].min() > 0.9 * solid.max()


def test_light_spreads_farther_along_the_optical_axis():
    stack = microscope.photograph(ball(18), OPTICS)
    assert stack[6, 31, 31] > 2 * stack[31, 31, 6]


def test_haze_lights_up_the_surroundings():
    clear, hazy = (microscope.photograph(ball(15), replace(OPTICS, haze=haze)) for haze in (0.0, 0.4))
    assert hazy[31, 31, 8] > clear[31, 31, 8] + 2


def test_surface_lies_where_the_stack_crosses_the_threshold():
    stack = np.broadcast_to(np.linspace(0, 200, 64, dtype=np.float32), (64, 64, 64)).copy()
    volume = microscope.segment(stack, replace(OPTICS, threshold=83.0), 0)
    vertices, *_ = marching_cubes(volume[1:-1, 1:-1, 1:-1].astype(np.float32), 127.5)
    # Occupancies end at 0 and 255, which costs the interpolation a few hundredths of a voxel.
    assert vertices[:, 2] + 1 == pytest.approx(83.0 / 200 * 63, abs=0.06)


def test_segmentation_has_a_border_about_a_voxel_wide():
    volume = microscope.segment(microscope.photograph(ball(18), OPTICS), OPTICS, 0)
    vertices, *_ = marching_cubes(volume.astype(np.float32), 127.5)
    radius = np.linalg.norm(vertices - 31.5, axis=1).mean()
    grey = ((volume > 12) & (volume < 243)).sum()
    assert 0.5 < grey / (4 * np.pi * radius**2) < 1.3


def test_grain_is_decided_by_the_seed_and_of_the_size_asked_for():
    grey = np.full((64, 64, 64), 70.0, np.float32)
    grainy = replace(OPTICS, grain=1.0)
    first, again, other = (microscope.segment(grey, grainy, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # On a plateau the slope counts as 4, so the occupancy varies by grain / 4.16 in units of 255.
    assert (first[1:-1, 1:-1, 1:-1] / 255).std() == pytest.approx(1 / 4.16, rel=0.05)


def test_camera_noise_grows_with_the_square_root_of_the_light():
    plane = np.repeat(np.array([[25.0], [100.0]], np.float32), 40_000, axis=1)
    shown = microscope.expose(plane, replace(OPTICS, noise=8.0), np.random.default_rng(0)).astype(float)
    assert shown.std(axis=1) == pytest.approx([4.0, 8.0], rel=0.03)
    assert shown.mean(axis=1) == pytest.approx([25.0, 100.0], abs=0.2)
