"""A truth on another grid comes to lie where the cell was reconstructed, with its size."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import CellError
from dispr_cli.inputs import crop_window
from dispr_cli.inputs.crops import crop_region, place_region
from dispr_cli.inputs.labels import Region
from dispr_cli.inputs.pixel_size import PixelSize
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.inputs.truth import TruthVolume
from dispr_cli.inputs.truth_grid import CropSource, is_on_grid, onto_grid, place_truth


def ball(shape, centre, radius, sides=(1.0, 1.0, 1.0)):
    zyx = (np.stack(np.indices(shape), axis=-1) - np.asarray(centre)) * np.asarray(sides)
    distance = np.linalg.norm(zyx, axis=-1)
    return np.clip(127.5 + 63.75 * (radius - distance) / min(sides), 0, 255).round().astype(np.uint8)


def centre_of(occupancy):
    return np.argwhere(occupancy > 127).mean(axis=0)


def test_what_lies_on_the_grid_stays_as_it_is():
    volume = ball((64, 64, 64), (31, 30, 33), 12)
    assert is_on_grid(TruthVolume(volume), None)
    assert is_on_grid(TruthVolume(volume), 0.2)
    assert is_on_grid(TruthVolume(volume, (0.2, 0.2, 0.2005)), 0.2)
    assert not is_on_grid(TruthVolume(volume, (0.2, 0.2, 0.25)), 0.2)
    assert not is_on_grid(TruthVolume(volume[:63]), None)


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((128, 128, 128), (0.1,) * 3), ((32, 32, 32), (0.4,) * 3), ((30, 80, 100), (0.5, 0.15, 0.12))],
)
def test_volume_and_place_are_kept(shape, sides):
    radius = 3.0
    middle, offset = (np.array(shape) - 1) / 2, np.array((1.5, -2, 3))
    truth = TruthVolume(ball(shape, middle + offset, radius, sides), sides)
    grid, beyond = onto_grid(truth, place_truth(truth, 0.2))
    volume = np.count_nonzero(grid > 127) * 0.2**3
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)
    expected = 31.5 + offset * sides / 0.2
    assert np.allclose(centre_of(grid), expected, atol=0.15)
    assert beyond == 0


def test_a_cube_of_unknown_voxels_covers_the_field():
    truth = TruthVolume(ball((100, 100, 100), (49.5,) * 3, 25))
    grid, _ = onto_grid(truth, place_truth(truth, None))
    assert np.count_nonzero(grid > 127) == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.02)


@pytest.mark.parametrize("sides", [None, (0.2, 0.1, 0.1)])
def test_what_cannot_be_placed_says_what_is_missing(sides):
    truth = TruthVolume(ball((40, 80, 80), (20, 40, 40), 10), sides)
    option = "--truth-voxel-size" if sides is None else "--voxel-size"
    with pytest.raises(CellError, match=f"40 x 80 x 80 voxels and not 64 x 64 x 64.*give {option}"):
        place_truth(truth, None)


def test_what_lies_beyond_the_grid_is_counted():
    truth = TruthVolume(ball((200, 64, 64), (100, 31.5, 31.5), 20), (0.2, 0.2, 0.2))
    truth.occupancy[150:] = 255
    total = np.count_nonzero(truth.occupancy > 127)
    _, beyond = onto_grid(truth, place_truth(truth, 0.2))
    assert beyond == pytest.approx(50 * 64 * 64 / total)


def test_nothing_left_on_the_grid():
    volume = np.zeros((200, 64, 64), np.uint8)
    volume[180:] = 255
    truth = TruthVolume(volume, (0.2, 0.2, 0.2))
    with pytest.raises(CellError, match="nothing of the ground truth lies on the grid"):
        onto_grid(truth, place_truth(truth, 0.2))


@pytest.mark.parametrize("pixel_um", [0.172, 0.1, 0.3])
def test_a_truth_of_the_whole_image_lies_under_the_crop(pixel_um):
    """The truth's central plane must agree with the mask that the crop makes of the same image."""
    shape = (90, 121)
    radius = 3.0
    volume = ball((65, *shape), (32, 31.0, 80.0), radius, (pixel_um,) * 3)
    labels = (volume[32] > 127).astype(np.uint8)
    y, x = np.nonzero(labels)
    box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
    region = Region(1, box, len(y), False)
    size = PixelSize(pixel_um, pixel_um, "test")
    placement = place_region(region, True, shape, size, InputSettings(scale="physical"))
    _, mask = crop_region(volume[32].astype(float), labels, region, placement)
    truth = TruthVolume(volume, (pixel_um,) * 3)
    placed = place_truth(truth, placement.voxel_size_um, CropSource(shape, box))
    grid, _ = onto_grid(truth, placed)
    plane = grid[31] > 127
    assert np.count_nonzero(plane & mask) / np.count_nonzero(plane | mask) > 0.93
    assert np.allclose(centre_of(grid[31]), np.argwhere(mask).mean(axis=0), atol=0.2)
    elsewhere, _ = onto_grid(truth, place_truth(truth, placement.voxel_size_um))
    other = elsewhere[31] > 127
    assert np.count_nonzero(other & mask) / np.count_nonzero(other | mask) < 0.5


def test_a_whole_image_of_unknown_voxels_cannot_be_placed():
    truth = TruthVolume(ball((100, 100, 100), (50,) * 3, 20))
    with pytest.raises(CellError, match="planes of the whole image"):
        place_truth(truth, None, CropSource((100, 100), (30, 30, 70, 70)))


def test_a_64_pixel_image_taken_as_it_stands_keeps_its_frame():
    truth = TruthVolume(ball((32, 64, 64), (15.5, 20, 40), 8, (2, 1, 1)), (0.4, 0.2, 0.2))
    placed = place_truth(truth, 0.2, CropSource((64, 64), (12, 32, 29, 49)))
    assert placed.centre == (15.5, 31.5, 31.5)


@pytest.mark.parametrize("equal", [0.01, 0.1])
def test_sides_that_are_equal_for_crops_are_equal_for_truths(monkeypatch, equal):
    monkeypatch.setattr(crop_window, "EQUAL_SCALE", equal)
    size, settings = PixelSize(0.19, 0.19, "option"), InputSettings(grid_voxel_size_um=0.2)
    region = Region(1, (40, 41, 60, 64), 300, False)
    crop = place_region(region, False, (100, 100), size, settings).scale
    truth = TruthVolume(np.zeros((30, 100, 100), np.uint8), (0.19,) * 3)
    placed = place_truth(truth, 0.2, CropSource((100, 100), region.bounding_box))
    assert placed.scale[1:] == crop == ((1.0, 1.0) if equal > 0.05 else (0.95, 0.95))
