from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from dispr_cli.errors import ConfigError
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, Phantom, generate_phantom, generate_phantoms
from dispr_cli.inputs.phantoms.generate import cut_at_glass, fill_cavities, keep_cell, sane_mask, shifted

PREFIXES = {"cell_cluster": "A_", "keratocyte": "B_", "knizocyte": "C_", "multilobate": "D_"}


def same(a: Phantom, b: Phantom) -> bool:
    return all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("volume", "mask", "image"))


def test_every_phantom_is_a_cell_in_the_middle_of_its_grid(one_class):
    for phantom in one_class:
        assert (phantom.volume.shape, phantom.mask.shape, phantom.image.shape) == (
            (64,) * 3,
            (64,) * 2,
            (64,) * 2,
        )
        assert {phantom.volume.dtype, phantom.mask.dtype, phantom.image.dtype} == {np.dtype(np.uint8)}
        inside = phantom.volume > 127
        assert not any(inside.take([0, 63], axis).any() for axis in range(3))
        assert 5_000 < inside.sum() < 110_000
        z = np.flatnonzero(inside.any(axis=(1, 2)))
        assert abs((z[0] + z[-1]) / 2 - 31.77) <= 1.0


def test_mask_is_the_central_slice_and_one_part_dominates(one_class):
    for phantom in one_class:
        assert np.array_equal(phantom.mask, phantom.volume[32])
        sizes = np.bincount(ndimage.label(phantom.mask > 127)[0].ravel())[1:]
        assert 200 <= sizes.sum() <= 2800
        assert sizes.max() >= 0.5 * sizes.sum()


def test_image_shows_the_cell_of_the_mask(one_class):
    for phantom in one_class:
        inside = phantom.mask > 127
        away = ~ndimage.binary_dilation(inside, iterations=6)
        assert phantom.image[inside].mean() > 75
        assert phantom.image[away].mean() < 25


def test_mask_is_the_image_above_a_level_as_in_the_real_cells(one_class):
    overlaps = []
    for phantom in one_class:
        bright = ndimage.binary_fill_holes(phantom.image > phantom.traits["threshold"])
        filled = ndimage.binary_fill_holes(phantom.mask > 127)
        overlaps.append((bright & filled).sum() / (bright | filled).sum())
    assert np.median(overlaps) > 0.96


def test_values_in_between_lie_along_the_surface(one_class):
    for phantom in one_class[:8]:
        inside = phantom.volume > 127
        core, beyond = (
            ndimage.binary_erosion(inside, iterations=3),
            ndimage.binary_dilation(inside, iterations=3),
        )
        grey = (phantom.volume > 0) & (phantom.volume < 255)
        assert 0.005 < grey.mean() < 0.12
        assert (grey & (core | ~beyond)).sum() < 0.2 * grey.sum()


def test_phantoms_of_a_class_differ(one_class):
    masks = [phantom.mask > 127 for phantom in one_class[:10]]
    overlaps = [(a & b).sum() / (a | b).sum() for i, a in enumerate(masks) for b in masks[:i]]
    assert np.mean(overlaps) < 0.9
    assert len({phantom.body_volume_um3 for phantom in one_class}) == len(one_class)


def test_classes_have_the_sizes_of_their_cells(all_classes):
    means = {name: np.mean([p.body_volume_um3 for p in group]) for name, group in all_classes.items()}
    assert 80 < means["discocyte"] < 105
    assert 80 < means["stomatocyte"] < 110
    assert means["keratocyte"] < means["discocyte"] < means["cell_cluster"]


def test_mass_lies_above_the_central_slice_as_often_as_in_real_cells(all_classes):
    centres = np.array(
        [
            ndimage.center_of_mass(phantom.volume > 127)[0] - 32
            for name in PREFIXES
            for phantom in all_classes[name]
        ]
    )
    assert 0.65 < (centres > 0).mean() < 0.9
    assert 0.3 < centres.mean() < 2.0


@pytest.mark.parametrize(("name", "prefix"), PREFIXES.items())
def test_sizes_are_those_of_the_real_cells(name, prefix, all_classes, real_volumes):
    real = np.array([_sizes(tifffile.imread(path)) for path in sorted(real_volumes.glob(f"{prefix}*.tif"))])
    ours = np.array([_sizes(phantom.volume) for phantom in all_classes[name]])
    assert (abs(ours.mean(axis=0) - real.mean(axis=0)) < real.std(axis=0)).all()


def _sizes(volume: np.ndarray) -> tuple[float, ...]:
    inside = volume > 127
    points = np.argwhere(inside)
    deviations = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
    return inside.sum(), inside[32].sum(), np.ptp(points[:, 0]), points[:, 0].mean(), *deviations[:2]


def test_seed_decides_everything():
    first, again, other = (generate_phantom("knizocyte", seed) for seed in (4, 4, 5))
    assert same(first, again)
    assert first.traits == again.traits
    assert not same(first, other)
    assert same(generate_phantom("knizocyte", np.random.SeedSequence(4)), first)


def test_phantom_depends_on_seed_number_and_class_alone():
    mixed = list(generate_phantoms(6, ["discocyte", "cell_cluster", "keratocyte"], seed=7))
    fewer = list(generate_phantoms(5, ["cell_cluster", "cell_cluster"], seed=7))
    assert mixed[4].name == fewer[4].name == "cell_cluster_000004"
    assert same(mixed[4], fewer[4])
    assert not same(mixed[1], mixed[4])
    assert not same(mixed[1], next(generate_phantoms(2, ["cell_cluster"], seed=8)))


def test_classes_take_turns():
    names = [phantom.phantom_class for phantom in generate_phantoms(len(PHANTOM_CLASSES))]
    assert names == list(PHANTOM_CLASSES)


def test_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'discocite'.*spherocyte, stomatocyte, discocyte"):
        generate_phantom("discocite", 0)
    with pytest.raises(ConfigError, match=r"'ball', 'cube'.*multilobate"):
        generate_phantoms(3, ["ball", "discocyte", "cube"])


@pytest.mark.parametrize(
    ("count", "classes", "seed", "words"),
    [(0, ["discocyte"], 0, "at least 1"), (3, [], 0, "none"), (3, ["discocyte"], -1, "seed.*-1")],
)
def test_impossible_sets_are_refused(count, classes, seed, words):
    with pytest.raises(ConfigError, match=words):
        generate_phantoms(count, classes, seed)


def test_crumbs_go_and_large_parts_stay():
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[20:40, 20:40, 20:40] = 255
    volume[20:40, 20:30, 45:55] = 255
    volume[50:52, 50:52, 50:52] = 255
    kept = keep_cell(volume, filled=False)
    assert kept is not None
    assert kept[51, 51, 51] == 0
    assert (kept > 127).sum() == 20**3 + 20 * 100
    assert keep_cell(np.zeros_like(volume), filled=True) is None


def test_cavities_are_filled_and_open_hollows_are_not():
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[10:50, 10:50, 10:50] = 255
    volume[20:30, 20:30, 20:30] = 0
    volume[35:40, 35:40, 35:64] = 0
    filled = fill_cavities(volume)
    assert (filled[20:30, 20:30, 20:30] == 255).all()
    assert filled[37, 37, 40] == 0


def test_cut_at_the_glass_takes_the_last_slices():
    volume = np.zeros((64, 64, 64), np.uint8)
    volume[10:50] = 255
    cut_at_glass(volume, 2)
    assert np.flatnonzero(volume.any(axis=(1, 2)))[[0, -1]].tolist() == [10, 47]


def test_shift_moves_and_repeats_the_border():
    array = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    moved = shifted(array, (3, -2))
    assert moved[10, 10] == array[7, 12]
    assert moved[0, 63] == array[0, 63]


def test_masks_of_crumbs_and_of_everything_are_not_sane():
    mask = np.zeros((64, 64), np.uint8)
    assert not sane_mask(mask)
    mask[:10, :10] = 255
    assert not sane_mask(mask)
    mask[20:40, 20:40] = 255
    assert sane_mask(mask)
    assert not sane_mask(np.full_like(mask, 255))
