"""Features of the 2D mask: as published, and size, form, Fourier powers of the outline, invariant moments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dispr_cli.shape.convex_hull import convex_hull, longest_width, shortest_width
from dispr_cli.shape.features.feature import (
    FLIP,
    NOTEBOOK,
    PLACED,
    SCALE,
    SHIFT,
    TURN,
    Feature,
)
from dispr_cli.shape.features.slice_features import boundary_pixels, edge_midpoints, hull_excess
from dispr_cli.shape.features.texture import gabor_sum

NUM_ORDERS = 8
"""Orders of the outline's Fourier power."""

NUM_AZIMUTHS = 128

_POSE = frozenset({SHIFT, TURN, FLIP})
_FORM = _POSE | {SCALE}
_GEOMETRY, _FERET, _HU = "elementary geometry", "Feret 1930", "Hu 1962"

PUBLISHED = (
    Feature("mask_mean", "1", "share of the picture inside the mask", NOTEBOOK, _POSE, "mean_msk"),
    Feature("mask_pixels", "voxel²", "pixels inside the mask", NOTEBOOK, _POSE, "surface_msk"),
    Feature(
        "mask_boundary", "voxel²", "inside pixels with an outside one beside", NOTEBOOK, _POSE, "boundary_msk"
    ),
    Feature(
        "mask_roughness",
        "voxel²",
        "pixels changed by a Gaussian blur (sigma 2) thresholded at one half",
        NOTEBOOK,
        _POSE,
        "roughtness_msk",
    ),
    Feature(
        "mask_hull_excess",
        "voxel²",
        "pixels of the convex hull, minus its own",
        NOTEBOOK,
        _POSE,
        "convexity_msk",
    ),
    Feature("mask_moment_x", "voxel", "m01 / m00: centre along x", NOTEBOOK, PLACED, "moment_cr_msk"),
    Feature("mask_moment_y", "voxel", "m10 / m00: centre along y", NOTEBOOK, PLACED, "moment_cc_msk"),
    Feature(
        "mask_gabor_1",
        "voxel²",
        "sum after a Gabor filter of 1 cycle per pixel",
        NOTEBOOK,
        _POSE,
        "gabor1_msk",
    ),
    Feature(
        "mask_gabor_01",
        "voxel²",
        "sum after a Gabor filter of 0.1 cycles per pixel",
        NOTEBOOK,
        _POSE,
        "gabor2_msk",
    ),
)

FEATURES = (
    *PUBLISHED,
    Feature("mask_area", "L²", "A, area of the mask", _GEOMETRY, _POSE),
    Feature("mask_perimeter", "L", "P, length of the outline (marching squares)", _GEOMETRY, _POSE),
    Feature("mask_circularity", "1", "4 pi A / P²", "Cox 1927", _FORM),
    Feature("mask_solidity", "1", "A / area of the convex hull", _GEOMETRY, _FORM),
    Feature("mask_hull_perimeter_ratio", "1", "perimeter of the convex hull / P", _GEOMETRY, _FORM),
    Feature("mask_feret_max", "L", "largest distance of two points", _FERET, _POSE),
    Feature("mask_feret_min", "L", "least width", _FERET, _POSE),
    Feature("mask_feret_ratio", "1", "their ratio", _FERET, _FORM),
    Feature(
        "mask_semi_axis_long", "L", "2 sqrt(l1), l1 >= l2 the variances of the pixels' places", _HU, _POSE
    ),
    Feature("mask_semi_axis_short", "L", "2 sqrt(l2)", _HU, _POSE),
    Feature("mask_elongation", "1", "sqrt(l2 / l1)", _HU, _FORM),
    Feature(
        "mask_inscribed_radius",
        "L",
        "largest distance of an inside pixel to an outside one, less half a pixel",
        "EDT",
        _POSE,
    ),
    Feature("mask_depth_mean", "L", "mean of that distance", "EDT", _POSE),
    *(
        Feature(
            f"mask_outline_power_{order}",
            "1",
            f"power of order {order} of the outermost radius around the centre / power of order 0",
            "Zahn & Roskies 1972",
            _FORM,
        )
        for order in range(1, NUM_ORDERS + 1)
    ),
    *(
        Feature(
            f"mask_hu_{number}", "1", f"invariant moment {number}, sign(h) log10(1 + 1e6 |h|)", _HU, _FORM
        )
        for number in range(1, 5)
    ),
)


def measure_mask_features(mask: NDArray[np.bool_], side: float) -> dict[str, float]:
    """Measure the features listed above.

    Parameters
    ----------
    mask
        (Y, X) bool, not empty.
    side
        Side of a pixel, in micrometres or 1.
    """
    return _published(mask) | _form(mask, side) | _outline_powers(mask) | _invariant_moments(mask)


def _published(mask: NDArray[np.bool_]) -> dict[str, float]:
    places = np.argwhere(mask)
    return {
        "mask_mean": float(mask.mean()),
        "mask_pixels": float(len(places)),
        "mask_boundary": boundary_pixels(mask),
        "mask_roughness": _roughness(mask),
        "mask_hull_excess": hull_excess(mask),
        "mask_moment_x": float(places[:, 1].mean()),
        "mask_moment_y": float(places[:, 0].mean()),
        "mask_gabor_1": gabor_sum(mask, 1.0),
        "mask_gabor_01": gabor_sum(mask, 0.1),
    }


def _roughness(mask: NDArray[np.bool_]) -> float:
    from scipy.ndimage import gaussian_filter

    return float(np.count_nonzero((gaussian_filter(mask.astype(np.float64), 2.0) > 0.5) != mask))


def _form(mask: NDArray[np.bool_], side: float) -> dict[str, float]:
    from scipy.ndimage import distance_transform_edt

    hull = convex_hull(edge_midpoints(mask))
    area, perimeter = float(np.count_nonzero(mask)), outline_length(mask)
    longest, shortest = longest_width(hull), shortest_width(hull)
    variances = np.linalg.eigvalsh(np.cov(np.argwhere(mask), rowvar=False, bias=True) + np.eye(2) / 12)
    inner = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask] - 0.5
    short, long = 2 * np.sqrt(variances)
    return {
        "mask_area": area * side**2,
        "mask_perimeter": perimeter * side,
        "mask_circularity": 4 * np.pi * area / perimeter**2,
        "mask_solidity": area / hull.content,
        "mask_hull_perimeter_ratio": hull.boundary / perimeter,
        "mask_feret_max": longest * side,
        "mask_feret_min": shortest * side,
        "mask_feret_ratio": shortest / longest,
        "mask_semi_axis_long": float(long) * side,
        "mask_semi_axis_short": float(short) * side,
        "mask_elongation": float(short / long),
        "mask_inscribed_radius": float(inner.max()) * side,
        "mask_depth_mean": float(inner.mean()) * side,
    }


def outline_length(mask: NDArray[np.bool_]) -> float:
    """Measure the outline (marching squares at one half) of a mask (Y, X), in pixels."""
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float64), 0.5)
    return float(sum(np.linalg.norm(np.diff(contour, axis=0), axis=1).sum() for contour in contours))


def _outline_powers(mask: NDArray[np.bool_]) -> dict[str, float]:
    places = np.argwhere(mask)
    centre = places.mean(axis=0)
    azimuths = 2 * np.pi * np.arange(NUM_AZIMUTHS) / NUM_AZIMUTHS
    radii = np.arange(0.0, np.linalg.norm(places - centre, axis=1).max() + 1.5, 0.25)
    radius = np.where(_hits(mask, centre, radii, azimuths), radii[:, None], 0.0).max(axis=0)
    amplitudes = np.abs(np.fft.rfft(radius)) ** 2
    return {
        f"mask_outline_power_{order}": float(2 * amplitudes[order] / amplitudes[0])
        for order in range(1, NUM_ORDERS + 1)
    }


def _hits(
    mask: NDArray[np.bool_],
    centre: NDArray[np.float64],
    radii: NDArray[np.float64],
    azimuths: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which points of a polar grid (R, A) lie in the mask, by interpolation."""
    from scipy.ndimage import map_coordinates

    rays = np.stack([np.sin(azimuths), np.cos(azimuths)])
    places = centre[:, None, None] + rays[:, None] * radii[None, :, None]
    inside: NDArray[np.bool_] = map_coordinates(mask.astype(np.float64), places, order=1) > 0.5
    return inside


def _invariant_moments(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Return the first four of Hu's invariant moments, on a logarithmic scale."""
    places = np.argwhere(mask) - np.argwhere(mask).mean(axis=0)
    count = len(places)

    def eta(p: int, q: int) -> float:
        central = (places[:, 1] ** p * places[:, 0] ** q).sum()
        return float(central / count ** (1 + (p + q) / 2))

    second = (eta(2, 0) + eta(0, 2), eta(2, 0) - eta(0, 2))
    moments = (
        second[0],
        second[1] ** 2 + 4 * eta(1, 1) ** 2,
        (eta(3, 0) - 3 * eta(1, 2)) ** 2 + (3 * eta(2, 1) - eta(0, 3)) ** 2,
        (eta(3, 0) + eta(1, 2)) ** 2 + (eta(2, 1) + eta(0, 3)) ** 2,
    )
    return {f"mask_hu_{n}": float(np.log10(1 + 1e6 * abs(h))) for n, h in enumerate(moments, 1)}
