"""What the geometric peers see of a cell: its filled outline, and the ellipse of equal second moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label

PIXEL_VARIANCE = 1.0 / 12.0
"""Variance of a uniform pixel of side 1 along each axis."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse in the plane of the image, lengths in pixels.

    Attributes
    ----------
    centre
        (y, x).
    semi_axes
        Semi-major and semi-minor axis.
    directions
        (2, 2): unit vectors (y, x) of the two axes, one in each column.
    """

    centre: NDArray[np.float64]
    semi_axes: NDArray[np.float64]
    directions: NDArray[np.float64]

    @property
    def mean_semi_axis(self) -> float:
        """(a + b) / 2, from which the stereological fits take their height."""
        return float(self.semi_axes.mean())


def fill_outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of a mask, as the published fits do: the stain of a cell often leaves some."""
    return cast("NDArray[np.bool_]", binary_fill_holes(mask))


def fit_ellipse(filled: NDArray[np.bool_]) -> Ellipse:
    """Ellipse with the second moments of the largest connected part of a mask.

    A uniform ellipse with semi-axes a and b has the variances a²/4 and b²/4 along them.

    Parameters
    ----------
    filled
        (Y, X), with at least one pixel inside.
    """
    parts, count = label(filled)
    if count > 1:
        filled = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
    pixels = np.argwhere(filled).astype(np.float64)
    centre = pixels.mean(0)
    scatter = (pixels - centre).T @ (pixels - centre) / len(pixels) + PIXEL_VARIANCE * np.eye(2)
    variances, directions = np.linalg.eigh(scatter)
    return Ellipse(centre, 2.0 * np.sqrt(variances[::-1]), directions[:, ::-1])


def edge_distance(filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel's centre to the edge between pixels inside and outside, positive inside.

    Parameters
    ----------
    filled
        (Y, X), with at least one pixel inside; what lies beyond the array counts as outside.
    """
    padded = np.pad(filled, 1)
    depth = distance_transform_edt(padded) - 0.5
    height = 0.5 - distance_transform_edt(~padded)
    return cast("NDArray[np.float64]", np.where(padded, depth, height)[1:-1, 1:-1])
