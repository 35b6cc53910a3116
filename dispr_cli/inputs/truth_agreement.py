"""Does a ground truth show the cell of its mask? In the focal plane both have to be the same.

Files whose axes are in another order, that are mirrored, inverted or of another scale are volumes like
others; only the mask tells. The causes are looked for in all cells together: of a single round cell many fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dispr_cli.config import FOCAL_SLICE, FOREGROUND, GRID

LEAST_IOU = 0.5
"""Of a truth and its mask in the focal plane: 108 real cells have 0.984 and more (median 0.996).

Generous, since masks may come from another segmentation than truths; below it half of the cell is elsewhere.
"""

USUAL_IOU = 0.9
"""Less in the median of many cells is worth a word."""

_CLEAR_GAIN = 0.1
_CLEAR_FIT = 0.8
_FEWEST_PLANES = 3
_OTHER_SCALE = 1.25

_Plane = NDArray[np.bool_]

READINGS: dict[str, Callable[[NDArray[np.bool_]], _Plane]] = {
    "inverted, 0 has to be outside the cell": lambda t: ~t[FOCAL_SLICE],
    "mirrored along x": lambda t: t[FOCAL_SLICE, :, ::-1],
    "mirrored along y": lambda t: t[FOCAL_SLICE, ::-1],
    "turned by 180 degrees in the plane": lambda t: t[FOCAL_SLICE, ::-1, ::-1],
    "turned by 90 degrees in the plane": lambda t: np.rot90(t[FOCAL_SLICE]),
    "turned by 270 degrees in the plane": lambda t: np.rot90(t[FOCAL_SLICE], 3),
    "axes in the order z, x, y instead of z, y, x": lambda t: t[FOCAL_SLICE].T,
    "axes in the order y, z, x instead of z, y, x": lambda t: t[:, FOCAL_SLICE],
    "axes in the order x, z, y instead of z, y, x": lambda t: t[:, FOCAL_SLICE].T,
    "axes in the order y, x, z instead of z, y, x": lambda t: t[:, :, FOCAL_SLICE],
    "axes in the order x, y, z instead of z, y, x": lambda t: t[:, :, FOCAL_SLICE].T,
}
"""What may be wrong with a truth, and what its focal slice would be if that were mended."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a truth and a mask agree in the focal plane.

    Attributes
    ----------
    iou
        Intersection over union as the truth stands.
    read_otherwise
        The same if it is read in other ways, by the words of :data:`READINGS`.
    planes
        (64,) of each plane of the truth with the mask.
    size
        Sides of the mask over those of the slice (square root of the areas).
    scaled
        IoU if the slice is scaled by that about the middle of the grid.
    """

    iou: float
    read_otherwise: dict[str, float] = field(repr=False)
    planes: NDArray[np.floating] = field(repr=False)
    size: float
    scaled: float


def compare_in_focus(occupancy: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Agreement:
    """Compare the focal slice of a truth with the mask.

    Parameters
    ----------
    occupancy
        (64, 64, 64) uint8 on the cell's grid, foreground from 128 upwards.
    mask
        (64, 64).
    """
    inside = occupancy >= FOREGROUND
    shared = (inside & mask).sum((1, 2))
    planes = shared / np.maximum((inside | mask).sum((1, 2)), 1)
    area = int(inside[FOCAL_SLICE].sum())
    size = float(np.sqrt(mask.sum() / area)) if area else 0.0
    scaled = _iou(_scaled(inside[FOCAL_SLICE], size), mask) if area else 0.0
    others = {words: _iou(read(inside), mask) for words, read in READINGS.items()}
    return Agreement(float(planes[FOCAL_SLICE]), others, planes, size, scaled)


def likely_cause(agreements: Sequence[Agreement]) -> str | None:
    """Say in a few words what is wrong with all of these truths; None if nothing explains them.

    Something does if, mended, the median of the overlaps would be larger by 0.1 and at least 0.8.
    """
    if not agreements:
        return None
    found = {words: _median(a.read_otherwise[words] for a in agreements) for words in READINGS}
    planes = np.median([a.planes for a in agreements], axis=0)
    planes[FOCAL_SLICE - _FEWEST_PLANES + 1 : FOCAL_SLICE + _FEWEST_PLANES] = 0.0
    best = int(planes.argmax())
    found[f"the mask's plane is slice {best} and not {FOCAL_SLICE}"] = float(planes[best])
    size = _median(a.size for a in agreements)
    if not 1 / _OTHER_SCALE < size < _OTHER_SCALE:
        times = f"{1 / size:.2g} times" if size else "not"
        words = f"{times} as large as the mask, give --truth-voxel-size"
        found[words] = _median(a.scaled for a in agreements)
    words = max(found, key=lambda words: found[words])
    least = max(_median(a.iou for a in agreements) + _CLEAR_GAIN, _CLEAR_FIT)
    return f"{words} (IoU {found[words]:.2f} if mended)" if found[words] >= least else None


def median_iou(agreements: Sequence[Agreement]) -> float:
    """Median over cells as the truths stand."""
    return _median(a.iou for a in agreements)


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _iou(one: _Plane, other: _Plane) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _scaled(plane: _Plane, size: float) -> _Plane:
    middle = (GRID - 1) / 2
    first = [middle - middle / size] * 2
    return np.asarray(
        ndimage.affine_transform(plane.astype(np.float32), np.eye(2) / size, first, order=1) >= 0.5, np.bool_
    )
