"""What is trained on: cells whose ground truth is read, laid on their grid and theirs indeed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.diffusion.folder import TrainingInput, read_training_cells, read_training_folder
from dispr_cli.errors import DisprError, InputError
from dispr_cli.inputs.cell_truth import TruthSource
from dispr_cli.inputs.settings import InputSettings

Volume = NDArray[np.uint8]


def body(depth: int, shape: tuple[int, int], middle: tuple[float, float], sides: Volume | tuple) -> Volume:
    """A lopsided ellipsoid; its focal plane is the middle of the stack."""
    z, y, x = np.mgrid[:depth, : shape[0], : shape[1]].astype(float)
    z, y, x = (z - (depth - 1) / 2) / sides[0], (y - middle[0]) / sides[1], (x - middle[1]) / sides[2]
    return np.uint8(255) * ((z**2 + y**2 + x**2 < 1) & (x + y < 1.1))


def write(
    folder: Path, name: str, image: NDArray, mask: NDArray, truth: NDArray | None, part: str = "obj"
) -> None:
    for place, pixels in (("image", image), ("mask", mask), (part, truth)):
        if pixels is not None:
            (folder / place).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / place / f"{name}.tif", pixels)


def picture(mask: NDArray) -> Volume:
    soft: NDArray = ndimage.gaussian_filter(mask.astype(float), 2)
    return (20 + soft * 0.8).astype(np.uint8)


class Skipped(dict[str, str]):
    """Keeps why cells are left out."""

    def __call__(self, name: str, error: DisprError) -> None:
        self[name] = str(error)


def changed(folder: Path, out: Path, change: Callable[[Volume], Volume], only: int = 99) -> Path:
    for number, path in enumerate(sorted((folder / "obj").iterdir())):
        image, mask, truth = (tifffile.imread(folder / p / path.name) for p in ("image", "mask", "obj"))
        write(out, path.stem, image, mask, change(truth) if number < only else truth)
    return out


def test_truths_agree_with_their_masks(phantom_folder: Path) -> None:
    skipped = Skipped()
    found = read_training_folder(phantom_folder, skipped=skipped)
    assert (len(found.cells), found.of_test, skipped) == (7, None, {})
    assert found.agreement > 0.95


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda t: 255 - t, "inverted, 0 has to be outside the cell"),
        (lambda t: np.roll(t, 12, 0), "the mask's plane is slice 44 and not 32"),
    ],
)
def test_one_mistake_in_all_truths_is_refused(
    phantom_folder: Path, tmp_path: Path, change: Callable[[Volume], Volume], cause: str
) -> None:
    with pytest.raises(
        InputError, match=r"contradict their masks: .* IoU 0\.\d\d \(median of 7 cells"
    ) as told:
        read_training_cells(changed(phantom_folder, tmp_path / "in", change))
    assert f"The likely cause: {cause}" in str(told.value)


def test_a_few_contradictions_are_left_out(phantom_folder: Path, tmp_path: Path) -> None:
    data = changed(phantom_folder, tmp_path / "in", lambda t: 255 - t, only=2)
    skipped = Skipped()
    cells = read_training_cells(data, skipped=skipped)
    assert len(cells) == 5
    assert len(skipped) == 2
    assert not set(skipped) & set(cells.names)
    assert all(
        "contradicts the mask" in why and "a likely cause: inverted" in why for why in skipped.values()
    )


def test_nothing_that_agrees_is_refused_as_a_whole(phantom_folder: Path, tmp_path: Path) -> None:
    corner = np.zeros((64, 64, 64), np.uint8)
    corner[30:34, :5, :5] = 255
    with pytest.raises(InputError, match="none of its 7 ground truths shows the cell of its mask"):
        read_training_cells(changed(phantom_folder, tmp_path / "in", lambda t: corner))


def test_an_anisotropic_truth_of_a_larger_image_is_laid_on_the_grid_of_its_cell(tmp_path: Path) -> None:
    """A body in a stack of 120 x 100 pixels of 0.1 um, with planes 0.3 um apart, keeps its size."""
    grid_um, pixel_um, plane_um = 0.172, 0.1, 0.3
    sides_um = np.array([2.4, 2.6, 3.4])
    middle = (60.0, 48.0)
    stack = body(41, (120, 100), middle, sides_um / (plane_um, pixel_um, pixel_um))
    mask = stack[20]
    write(tmp_path, "a", picture(mask), mask, stack)
    reading = TrainingInput(
        InputSettings(pixel_size_um=pixel_um), truths=TruthSource(None, (plane_um, pixel_um, pixel_um))
    )
    skipped = Skipped()
    found = read_training_folder(tmp_path, reading, skipped)
    assert skipped == {}
    assert found.agreement > 0.9
    cells = found.cells
    assert cells.voxel_sizes_um == (grid_um,)
    volume_um3 = float((cells.occupancy(0) > 127).sum()) * grid_um**3
    assert volume_um3 == pytest.approx((stack > 127).sum() * plane_um * pixel_um**2, rel=0.03)
    height = np.count_nonzero((cells.occupancy(0) > 127).any((1, 2)))
    assert height * grid_um == pytest.approx(np.count_nonzero(stack.any((1, 2))) * plane_um, abs=0.3)
    skipped = Skipped()
    with pytest.raises(InputError, match="none of its 1 cells"):
        read_training_folder(tmp_path, TrainingInput(InputSettings(pixel_size_um=pixel_um)), skipped)
    assert "give --truth-voxel-size" in skipped["a"]
    with pytest.raises(InputError):
        read_training_folder(tmp_path, TrainingInput(truths=reading.truths), skipped)
    assert "--pixel-size" in skipped["a"]


def test_a_truth_that_the_grid_cuts_is_left_out(phantom_folder: Path, tmp_path: Path) -> None:
    data = changed(phantom_folder, tmp_path / "in", lambda t: t)
    first = sorted((data / "obj").iterdir())[0]
    tall = np.zeros((90, 64, 64), np.uint8)
    tall[:, 20:44, 20:44] = 255
    tifffile.imwrite(first, tall)
    skipped = Skipped()
    reading = TrainingInput(InputSettings(pixel_size_um=0.172), truths=TruthSource(None, (0.172,) * 3))
    assert len(read_training_folder(data, reading, skipped).cells) == 6
    assert "29% of the ground truth lies beyond the grid" in skipped[first.stem]


def test_cells_of_a_label_image_and_arrays_have_truths_by_their_names(tmp_path: Path) -> None:
    labels = np.zeros((90, 140), np.uint8)
    truths = {}
    for label, middle in ((1, (40, 40)), (2, (45, 100))):
        one = body(64, (90, 140), middle, (9, 12, 18))
        labels[one[32] > 0] = label
        rows, columns = (np.flatnonzero((labels == label).any(axis)) for axis in (1, 0))
        y, x = ((int(n[0]) + int(n[-1]) + 1) // 2 - 32 for n in (rows, columns))
        padded = np.pad(one, ((0, 0), (32, 32), (32, 32)))
        truths[label] = padded[:, y + 32 : y + 96, x + 32 : x + 96]
    write(tmp_path / "in", "field", picture((labels > 0) * 255), labels, None)
    reading = TrainingInput(InputSettings(pixel_size_um=0.172))
    with pytest.raises(InputError, match="none of its 2 cells has a ground truth"):
        read_training_folder(tmp_path / "in", reading)

    apart = tmp_path / "volumes"
    apart.mkdir()
    tifffile.imwrite(apart / "field#1.tif", truths[1])
    np.save(apart / "field#2.npy", truths[2])
    skipped = Skipped()
    reading = TrainingInput(InputSettings(pixel_size_um=0.172), truths=TruthSource(apart))
    found = read_training_folder(tmp_path / "in", reading, skipped)
    assert skipped == {}
    assert found.cells.names == ("field#1", "field#2")
    assert found.agreement > 0.95
    apart.rename(tmp_path / "in" / "obj")
    assert len(read_training_cells(tmp_path / "in", InputSettings(pixel_size_um=0.172))) == 2
    (tmp_path / "in" / "obj" / "field#2.npy").unlink()
    skipped = Skipped()
    assert len(read_training_cells(tmp_path / "in", InputSettings(pixel_size_um=0.172), skipped)) == 1
    assert "there is no volume of the name 'field#2' in obj/" in skipped["field#2"]


def test_larger_images_with_truths_of_another_scale_are_told(phantom_folder: Path, tmp_path: Path) -> None:
    """Images of 128 x 128 are resampled; volumes that cover all of them in 64 voxels are not on that grid."""
    for path in sorted((phantom_folder / "image").iterdir()):
        planes = []
        for part in ("image", "mask"):
            pixels = tifffile.imread(phantom_folder / part / path.name)
            planes.append(np.kron(pixels, np.ones((2, 2), np.uint8)))
        small = ndimage.zoom(tifffile.imread(phantom_folder / "obj" / path.name), 0.5, order=1)
        write(tmp_path, path.stem, *planes, np.pad(small, 16))
    with pytest.raises(
        InputError, match=r"likely cause: 0\.\d+ times as large as the mask, give --truth-voxel"
    ):
        read_training_cells(tmp_path, InputSettings(pixel_size_um=0.086))


def test_the_test_folder_is_known(phantom_folder: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted((phantom_folder / "image").iterdir())):
        parts = (tifffile.imread(phantom_folder / p / path.name) for p in ("image", "mask", "obj"))
        write(tmp_path / ("Test" if number % 3 == 0 else "train"), path.stem, *parts)
    found = read_training_folder(tmp_path)
    assert found.of_test is not None
    assert found.of_test.sum() == 3
    assert all(
        name.startswith("Test_") == held for name, held in zip(found.cells.names, found.of_test, strict=True)
    )
    assert read_training_folder(tmp_path / "train").of_test is None
