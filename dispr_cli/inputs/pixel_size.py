"""The side of a pixel in micrometres, from what a file says about itself.

Which source wins is decided here too: option > manifest > OME-XML > ImageJ > TIFF or PNG resolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.etree import ElementTree

from dispr_cli.inputs.settings import LARGEST_PIXEL_UM, SMALLEST_PIXEL_UM

LARGEST_PIXEL_FROM_DPI_UM = 5.0
"""A resolution tag counts only below this: 72, 96, 300, even 4800 dpi belong to screens and printers."""

_UM_PER_UNIT = {
    "pm": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "inch": 25_400.0,
    "in": 25_400.0,
}

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Side of a pixel along y and x in micrometres, and who says so."""

    y_um: float
    x_um: float
    source: str

    @property
    def mean_um(self) -> float:
        """Geometric mean of both sides, in micrometres."""
        return math.sqrt(self.y_um * self.x_um)


def choose_pixel_size(
    option_um: float | None, manifest_um: float | None, from_file: PixelSize | None
) -> PixelSize | None:
    """Choose the pixel size that counts: option before manifest before file; None if nobody knows."""
    if option_um is not None:
        return PixelSize(option_um, option_um, "option")
    if manifest_um is not None:
        return PixelSize(manifest_um, manifest_um, "manifest")
    return from_file


def unit_in_um(unit: str | None) -> float | None:
    r"""Micrometres in one `unit`; None for pixels and for words that are no length.

    Understands the ways ImageJ and others write the micro sign: U+00B5, U+03BC, ``\u00B5``, ``u`` and its
    UTF-8 read as Latin-1.
    """
    if unit is None:
        return None
    word = unit.strip().strip('"').lower()
    word = re.sub(r"\\u00b5|\\u03bc|â?µ|μ|î¼", "u", word).replace("âu", "u").replace("å", "å")
    return _UM_PER_UNIT.get(word) or _UM_PER_UNIT.get(word.removesuffix("s"))


def pixel_size_from_ome(xml: str, image: int = 0, num_images: int = 1) -> PixelSize | None:
    """``PhysicalSizeX`` and ``PhysicalSizeY`` of an image of an OME-XML text, if they are lengths.

    Parameters
    ----------
    xml
        The text.
    image
        Which of the file's images.
    num_images
        How many the file holds. Where the text describes another number of them, as in one of several files
        that share a text, nobody knows which is which, and a size counts only if it is that of all.
    """
    return _of_image([_ome_size(pixels) for pixels in _ome_pixels(xml)], image, num_images)


def plane_spacing_from_ome(xml: str, image: int = 0, num_images: int = 1) -> float | None:
    """``PhysicalSizeZ`` in micrometres, if it is a plausible length; see :func:`pixel_size_from_ome`."""
    sides = [_plausible_side(_ome_side(pixels, "Z")) for pixels in _ome_pixels(xml)]
    return _of_image(sides, image, num_images)


def _ome_pixels(xml: str) -> list[ElementTree.Element]:
    """Find what an OME-XML text says of the pixels of each image, in the order of the images."""
    try:
        return [e for e in ElementTree.fromstring(xml).iter() if e.tag.rpartition("}")[2] == "Pixels"]
    except (ElementTree.ParseError, ValueError):
        return []


def _of_image(found: Sequence[_Found | None], image: int, num_images: int) -> _Found | None:
    if len(found) == num_images:
        return found[image]
    return found[0] if found and all(one == found[0] for one in found) else None


def _ome_size(pixels: ElementTree.Element) -> PixelSize | None:
    sides = [_ome_side(pixels, axis) for axis in "YX"]
    known = [side for side in sides if side is not None]
    if not known:
        return None
    return _plausible(sides[0] or known[0], sides[1] or known[0], LARGEST_PIXEL_UM, "OME-XML")


def plane_spacing_from_imagej(unit: str | None, spacing: object) -> float | None:
    """Micrometres between the planes of an ImageJ stack, from the `unit` and `spacing` of its description."""
    um = unit_in_um(unit)
    if um is None or not isinstance(spacing, int | float):
        return None
    return _plausible_side(float(spacing) * um)


def _plausible_side(side_um: float | None) -> float | None:
    return side_um if side_um is not None and SMALLEST_PIXEL_UM <= side_um <= LARGEST_PIXEL_UM else None


def _ome_side(pixels: ElementTree.Element, axis: str) -> float | None:
    um = unit_in_um(pixels.get(f"PhysicalSize{axis}Unit", "um"))
    try:
        side = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return side * um if um is not None and math.isfinite(side) and side > 0 else None


def pixel_size_from_imagej(unit: str | None, pixels_per_unit: tuple[float, float] | None) -> PixelSize | None:
    """Pixel size of an ImageJ TIFF: `unit` of its description, (y, x) pixels per unit of its tags."""
    um = unit_in_um(unit)
    if um is None or pixels_per_unit is None or min(pixels_per_unit) <= 0:
        return None
    # ImageJ writes inches only where it took them over from a screen resolution.
    largest = LARGEST_PIXEL_FROM_DPI_UM if um >= _UM_PER_UNIT["cm"] else LARGEST_PIXEL_UM
    return _plausible(um / pixels_per_unit[0], um / pixels_per_unit[1], largest, "ImageJ")


def pixel_size_from_resolution(
    pixels_per_unit: tuple[float, float] | None, unit_um: float | None, source: str
) -> PixelSize | None:
    """Pixel size from (y, x) pixels per unit (of `unit_um`), unless that is for a screen or printer."""
    if pixels_per_unit is None or unit_um is None or min(pixels_per_unit) <= 0:
        return None
    y_um, x_um = unit_um / pixels_per_unit[0], unit_um / pixels_per_unit[1]
    return _plausible(y_um, x_um, LARGEST_PIXEL_FROM_DPI_UM, source)


def _plausible(y_um: float, x_um: float, largest_um: float, source: str) -> PixelSize | None:
    if not all(math.isfinite(s) and SMALLEST_PIXEL_UM <= s <= largest_um for s in (y_um, x_um)):
        return None
    return PixelSize(y_um, x_um, source)
