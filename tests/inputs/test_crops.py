import tracemalloc

import numpy as np
import pytest

from dispr_cli.errors import CellError
from dispr_cli.inputs.crops import (
    TRAINING_DIAMETER,
    Placement,
    crop_region,
    digest_of_crop,
    normalise,
    place_region,
)
from dispr_cli.inputs.images import read_plane
from dispr_cli.inputs.labels import Region, read_labels
from dispr_cli.inputs.pixel_size import PixelSize
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.drawn_cells import disc

pytestmark = pytest.mark.usefixtures("nothing_leaks")

AUTO = InputSettings()


def region_of(mask, label=1):
    y, x = np.nonzero(mask)
    box = (int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1)
    cut = box[0] == 0 or box[1] == 0 or box[2] == mask.shape[0] or box[3] == mask.shape[1]
    return Region(label, box, int(mask.sum()), cut)


def size(um, y_um=None):
    return PixelSize(um if y_um is None else y_um, um, "option")


def cut(image, labels, label, pixel_size, settings=AUTO):
    region = region_of(labels == label, label)
    placed = place_region(region, False, image.shape, pixel_size, settings)
    return *crop_region(image, labels, region, placed), placed


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def test_a_pair_on_the_grid_is_taken_as_it_stands(crop):
    mask = (crop[1] > 0).astype(np.uint8)
    placed = place_region(region_of(mask), True, (64, 64), None, AUTO)
    assert placed == Placement((1.0, 1.0), None, "verbatim")
    image, inside = crop_region(crop[0], mask, region_of(mask), placed)
    assert np.array_equal(inside, mask > 0)
    assert np.corrcoef(image.ravel(), crop[0].ravel())[0, 1] > 0.99
    assert placed.voxel_size_px == 1.0
    near = place_region(region_of(mask), True, (64, 64), size(0.173), AUTO)
    assert near == Placement((1.0, 1.0), pytest.approx(0.173), "verbatim")


def test_a_pair_on_the_grid_with_other_pixels_is_resampled(crop):
    """Whether a canvas has 64 or 66 pixels says nothing of the size of its cell."""
    mask = crop[1] > 0
    placed = place_region(region_of(mask), True, (64, 64), size(0.11), AUTO)
    assert placed == place_region(region_of(mask), True, (66, 66), size(0.11), AUTO)
    assert (placed.scaled, placed.voxel_size_um) == ("physical", 0.172)
    assert placed.voxel_size_px == pytest.approx(0.172 / 0.11)
    bound = place_region(region_of(mask), True, (64, 64), size(0.11), AUTO, has_truth=True)
    assert bound == Placement((1.0, 1.0), pytest.approx(0.11), "verbatim")


def test_a_truth_on_the_grid_binds_the_crop(crop):
    mask, fit = crop[1] > 0, InputSettings(scale="fit")
    assert place_region(region_of(mask), True, (64, 64), None, fit).scaled == "fit"
    assert place_region(region_of(mask), True, (64, 64), None, fit, has_truth=True).scaled == "verbatim"


def test_pixels_that_are_not_square_are_no_grid(crop):
    placed = place_region(region_of(crop[1] > 0), True, (64, 64), size(0.1, 0.15), AUTO)
    assert placed.scaled == "physical"
    assert placed.scale == pytest.approx((0.15 / 0.172, 0.1 / 0.172))


def test_real_crops_keep_mask_and_order_of_intensities(rbc):
    for name in sorted(p.name for p in (rbc / "image").iterdir())[::9]:
        image = read_plane(rbc / "image" / name, AUTO)[1]
        mask = read_plane(rbc / "mask" / name, AUTO, "mask")[1]
        found = read_labels(mask, AUTO, rbc / name)
        placed = place_region(found.regions[0], True, image.shape, None, AUTO)
        cell, inside = crop_region(image, found.labels, found.regions[0], placed)
        assert np.array_equal(inside, mask > 127)
        between = (cell > 0) & (cell < 1)
        assert np.corrcoef(cell[between], image[between])[0, 1] > 0.999
        assert cell[inside].mean() > 0.3 > cell[~inside].mean()


@pytest.mark.parametrize("pixel_um", [0.05, 0.1, 0.172, 0.2, 0.344])
def test_physical_crops_have_the_physical_size(pixel_um):
    radius_um, n = 4.0, int(14 / pixel_um)
    labels = disc((n, n + 7), (n / 2 - 3, n / 2 + 2), radius_um / pixel_um).astype(np.uint8)
    _, mask, placed = cut(labels * 100.0, labels, 1, size(pixel_um))
    assert placed.voxel_size_um == 0.172
    assert np.sqrt(mask.sum() / np.pi) * 0.172 == pytest.approx(radius_um, rel=0.015)
    y, x = np.nonzero(mask)
    assert (y.mean(), x.mean()) == pytest.approx((31.5, 31.5), abs=0.6)


def test_image_and_mask_stay_registered():
    """A cell that is its own mask, off centre and off the pixel raster, must stay so at every scale."""
    yy, xx = np.indices((200, 220))
    inside = np.hypot((yy - 101.3) / 1.4, xx - 80.7) < 22
    labels = inside.astype(np.uint16)
    for um in (0.06, 0.1, 0.13, 0.165, 0.172, 0.173):
        image, mask, _ = cut(inside * 1000.0, labels, 1, size(um))
        assert iou(image > 0.5, mask) > 0.97, um


def test_without_scaling_pixels_are_copied(field):
    image, mask, placed = cut(*field, 3, size(0.172))
    assert placed.scale == (1.0, 1.0)
    source = field[0][8:72, 58:122].astype(float)
    inside = field[1][8:72, 58:122] == 3
    assert np.array_equal(mask, inside)
    assert np.array_equal(image, normalise(source, inside))


def test_pixels_that_are_not_square_are_made_square():
    labels = np.zeros((150, 150), np.uint8)
    labels[disc((150, 150), (75, 75), 60)] = 1
    labels = labels[::2]
    _, mask, _ = cut(labels * 9.0, labels, 1, size(0.075, 0.15))
    y, x = np.nonzero(mask)
    assert np.ptp(y) == pytest.approx(np.ptp(x), abs=1)


def test_unknown_pixel_sizes_are_scaled_to_the_training_cells(field):
    for label in (2, 3, 7):
        _, mask, placed = cut(*field, label, None)
        assert placed.voxel_size_um is None
        assert np.sqrt(4 / np.pi * mask.sum()) == pytest.approx(TRAINING_DIAMETER, rel=0.02)


def test_fitted_cells_of_known_pixel_size_know_their_voxel_size(field):
    _, mask, placed = cut(*field, 7, size(0.5), InputSettings(scale="fit"))
    assert mask.sum() * placed.voxel_size_um**2 == pytest.approx((field[1] == 7).sum() * 0.25, rel=0.03)


def test_the_training_diameter_is_that_of_the_real_cells(rbc):
    areas = [(read_plane(p, AUTO, "mask")[1] > 127).sum() for p in sorted((rbc / "mask").iterdir())]
    assert np.mean(np.sqrt(4 / np.pi * np.array(areas))) == pytest.approx(TRAINING_DIAMETER, abs=0.05)


def test_a_long_cell_is_fitted_by_its_length():
    labels = np.zeros((300, 300), np.uint8)
    labels[140:160, 20:280] = 1
    _, mask, _ = cut(labels * 5.0, labels, 1, None)
    assert np.ptp(np.nonzero(mask)[1]) + 1 == pytest.approx(62, abs=1)
    assert not mask[:, [0, -1]].any()


def test_a_cell_larger_than_the_field_says_how_large(field):
    with pytest.raises(CellError) as caught:
        cut(*field, 7, size(0.5), InputSettings(scale="physical"))
    assert "16.5 x 16.5 um (pixel size 0.5 um from option)" in str(caught.value)
    assert "holds 10.7 um" in str(caught.value)
    assert "--scale fit" in str(caught.value)


def test_a_cell_larger_than_the_field_is_fitted_and_keeps_its_size(field):
    _, mask, placed = cut(*field, 7, size(0.5))
    assert placed.scaled == "fit"
    assert placed == cut(*field, 7, size(0.5), InputSettings(scale="fit"))[-1]
    area_um2 = np.count_nonzero(field[1] == 7) * 0.25
    assert mask.sum() * placed.voxel_size_um**2 == pytest.approx(area_um2, rel=0.02)
    assert cut(*field, 7, size(0.2))[-1].scaled == "physical"


@pytest.mark.parametrize("pixel_size", [None, size(0.1), size(0.172), size(0.5), size(0.1, 0.15)])
def test_a_voxel_in_pixels_gives_areas_back(field, pixel_size):
    """Known or not, a cell's area in pixels of its image can be told from its crop."""
    _, mask, placed = cut(*field, 7, pixel_size)
    assert mask.sum() * placed.voxel_size_px**2 == pytest.approx(np.count_nonzero(field[1] == 7), rel=0.03)


def test_a_digest_tells_crops_apart_by_what_they_are_made_of(field):
    image, labels = field
    region = region_of(labels == 3, 3)
    placed = place_region(region, False, image.shape, size(0.2), AUTO)
    (y0, x0, y1, x1), first = region.bounding_box, digest_of_crop(image, labels, region, placed)
    assert first == digest_of_crop(image.astype(">u2").copy(), labels.astype(np.int64), region, placed)

    def changed(array, y, x, value):
        other = array.copy()
        other[y, x] = value
        return other

    y, x = (y0 + y1) // 2, (x0 + x1) // 2
    assert first != digest_of_crop(changed(image, y, x, image[y, x] + 1), labels, region, placed)
    assert first != digest_of_crop(image, changed(labels, y, x, 0), region, placed)
    assert first == digest_of_crop(image, changed(labels, y0 - 2, x, 99), region, placed)
    fitted = place_region(region, False, image.shape, None, AUTO)
    assert first != digest_of_crop(image, labels, region, fitted)
    far = (-1, -1) if y < image.shape[0] / 2 else (0, 0)
    assert first == digest_of_crop(changed(image, *far, 0), labels, region, placed)


def test_physical_scale_needs_a_pixel_size(field):
    with pytest.raises(CellError, match="give --pixel-size"):
        cut(*field, 7, None, InputSettings(scale="physical"))


def test_neighbours_stay_in_the_image_and_out_of_the_mask():
    labels = np.zeros((64, 100), np.uint8)
    labels[disc(labels.shape, (32, 35), 12)] = 1
    labels[disc(labels.shape, (32, 60), 10)] = 2
    image, mask, _ = cut((labels > 0) * 80.0, labels, 1, size(0.172))
    assert iou(mask, labels[:, 3:67] == 1) == 1
    assert image[labels[:, 3:67] == 2].min() == 1


@pytest.mark.parametrize("um", [0.1, 0.172, 0.3])
def test_beyond_the_border_there_is_background_not_black(um):
    labels = np.zeros((80, 80), np.uint8)
    labels[disc(labels.shape, (40, 4), 10)] = 1
    ground = 1000 + np.random.default_rng(0).normal(0, 20, labels.shape)
    image, mask, _ = cut(ground + 3000.0 * labels, labels, 1, size(um))
    ring = ~mask
    ring[:, 10:] = False  # the image does not reach these columns
    assert abs(image[ring].mean() - np.median(image[~mask])) < 0.03
    assert mask.any()


def test_shrinking_does_not_alias():
    stripes = np.indices((400, 400))[1] % 2 * 1000.0
    labels = disc(stripes.shape, (200, 200), 120).astype(np.uint8)
    image, mask, _ = cut(stripes + 500.0 * labels, labels, 1, size(0.04))
    assert image[mask].std() < 0.1


def test_enlarging_leaves_no_stairs():
    """The outline's length must be a circle's: that of a staircase is 4/pi times as long."""
    from skimage.measure import perimeter

    labels = disc((40, 40), (20, 20), 6.3).astype(np.uint8)
    _, mask, _ = cut(labels * 1.0, labels, 1, None)
    assert perimeter(mask) == pytest.approx(np.pi * TRAINING_DIAMETER, rel=0.05)
    smooth = disc((64, 64), (31.5, 31.5), TRAINING_DIAMETER / 2)
    assert iou(mask, smooth) > 0.94


def test_intensities_do_not_depend_on_gain_and_offset(field):
    for um in (None, size(0.1)):
        first = cut(*field, 3, um)[0]
        second = cut(field[0] * 3.0 + 777, field[1], 3, um)[0]
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_neither_hot_pixels_nor_bright_neighbours_dim_a_cell(crop):
    mask = crop[1] > 0
    plain = normalise(crop[0].astype(float), mask)
    spoiled = crop[0].astype(float)
    spoiled[32, 32] = 60_000
    spoiled[:4] = 60_000
    np.testing.assert_allclose(normalise(spoiled, mask)[6:][mask[6:]], plain[6:][mask[6:]], atol=0.1)


def test_crops_are_float32_between_0_and_1(field):
    image, mask, _ = cut(*field, 40, size(0.12))
    assert image.dtype == np.float32
    assert mask.dtype == np.bool_
    assert (image.shape, mask.shape) == ((64, 64), (64, 64))
    assert (image.min(), image.max()) == (0, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_damage_near_a_cell_fails_it_and_damage_elsewhere_does_not(field, bad):
    image = field[0].astype(np.float32)
    image[40, 105] = bad
    with pytest.raises(CellError, match="holds 1 NaN or infinite pixel"):
        cut(image, field[1], 3, size(0.172))
    cut(image, field[1], 7, size(0.172))


def test_a_flat_image_fails(field):
    with pytest.raises(CellError, match="one intensity"):
        cut(np.full(field[1].shape, 7.0), field[1], 3, None)


def test_a_cell_too_thin_for_the_grid_fails():
    labels = np.zeros((400, 400), np.uint8)
    labels[200, 50:350] = 1
    image = np.random.default_rng(0).random(labels.shape)
    with pytest.raises(CellError, match="too thin or too small"):
        cut(image, labels, 1, size(0.03))


def test_a_cell_costs_the_same_in_a_large_image():
    """Nothing of a crop or of its digest may touch the whole image, which may hold thousands of cells."""
    labels = np.zeros((4000, 4000), np.uint16)
    labels[2000:2040, 2000:2040] = 1
    image = labels * np.uint16(90)
    region = region_of(labels[1990:2050, 1990:2050])
    region = Region(1, tuple(corner + 1990 for corner in region.bounding_box), region.area, False)
    placed = place_region(region, False, image.shape, None, AUTO)
    tracemalloc.start()
    try:
        crop_region(image, labels, region, placed)
        digest_of_crop(image, labels, region, placed)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
