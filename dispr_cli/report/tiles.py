"""The building blocks of the pictures: slices through a volume, outlines, scale bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from dispr_cli.report.page import FAINT, KNOWN, Page
from dispr_cli.report.shading import CLAY, shade

TILE = 0.72
"""Side of one slice, in inches."""

GAP = 0.03
BLOCK = 2 * TILE + GAP
"""Side of a block of three slices and a rendering."""

OCCUPANCY: dict[str, Any] = {"cmap": "gray", "vmin": 0.0, "vmax": 255.0}
PLANE: dict[str, Any] = {"color": KNOWN, "linewidth": 0.5, "linestyle": (0, (1.5, 2.5)), "alpha": 0.9}
"""How the plane of the input image is drawn where a slice crosses it."""

_RENDERED_PIXELS = 176


def draw_block(
    page: Page,
    x: float,
    y: float,
    volume: NDArray[Any],
    surface: NDArray[np.uint8],
    *,
    named: bool,
    tint: NDArray[np.floating[Any]] | None = None,
    **options: Any,
) -> None:
    """Draw the central slices so that neighbours share an axis, and the surface in the free corner.

    ::

        xy  yz      y downwards in xy and yz, z to the right in yz and upwards in xz,
        xz  3D      as the rendering stands

    Parameters
    ----------
    volume
        (Z, Y, X) values to slice; `options` say how they are coloured.
    surface
        (Z, Y, X) uint8 whose surface is rendered.
    named
        Write the planes' names onto the slices.
    tint
        Colours for the surface, see :func:`dispr_cli.report.shading.shade`.
    """
    middle = volume.shape[0] // 2
    far = TILE + GAP
    slices = {
        "xy": (0.0, 0.0, volume[middle]),
        "yz": (far, 0.0, volume[:, :, middle].T),
        "xz": (0.0, far, volume[::-1, middle]),
    }
    for name, (right, down, pixels) in slices.items():
        page.image(x + right, y + down, TILE, TILE, pixels, **options)
        if named:
            page.text_on_picture(x + right + 0.05, y + down + 0.085, name, 5.5, ha="left")
    _draw_input_plane(page, x, y, (middle + 0.5) / volume.shape[0])
    picture = shade(surface, pixels=_RENDERED_PIXELS, tint=tint, colour=CLAY)
    page.image(x + far, y + far, TILE, TILE, picture)


def draw_outline(page: Page, x: float, y: float, size: float, mask: NDArray[np.bool_]) -> None:
    """Draw the border of a mask, (Y, X), onto its picture."""
    padded = np.pad(mask, 1).astype(np.float32)
    for contour in find_contours(padded, 0.5):
        down, right = (contour.T - 0.5) / mask.shape[0] * size
        page.line(x + np.clip(right, 0, size), y + np.clip(down, 0, size), color=KNOWN, linewidth=0.9)


def draw_scale_bar(
    page: Page, x: float, y: float, size: float, voxels: int, voxel_size_um: float | None
) -> None:
    """Draw a bar of a round length for pictures of `voxels` on `size` inches, and that length beside it."""
    side, unit = (1.0, "voxels") if voxel_size_um is None else (voxel_size_um, "µm")
    length = round_length(voxels * side / 2)
    end = x + length / (voxels * side) * size
    page.line([x, end], [y, y], linewidth=1.6)
    page.text(end + 0.04, y, f"{length:g} {unit}", 5.5, ha="left")


def round_length(most: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... that is at most `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def draw_colour_bar(page: Page, x: float, y: float, width: float, title: str, top: float, cmap: str) -> None:
    """Draw a horizontal colour bar from 0 to `top` with its title to the left."""
    ramp = np.linspace(0, 1, 256)[np.newaxis]
    page.image(x, y, width, 0.07, ramp, cmap=cmap, vmin=0, vmax=1)
    for share in (0.0, 0.5, 1.0):
        page.line([x + share * width] * 2, [y + 0.07, y + 0.10], linewidth=0.5)
        page.text(x + share * width, y + 0.155, f"{share * top:g}", 5.5)
    page.text(x - 0.08, y + 0.035, title, 6, ha="right", color=FAINT)


def _draw_input_plane(page: Page, x: float, y: float, share: float) -> None:
    """Mark in yz and xz where the plane of the input image runs."""
    far = TILE + GAP
    across = x + far + share * TILE
    page.line([across, across], [y, y + TILE], **PLANE)
    down = y + far + (1 - share) * TILE
    page.line([x, x + TILE], [down, down], **PLANE)
