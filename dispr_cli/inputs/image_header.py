"""What a file says about itself before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.pixel_size import PixelSize


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Axes, shape and pixel size of an image file.

    Attributes
    ----------
    path
        The file.
    axes
        One letter per axis: Y, X, C (channel), S (sample of a colour), Z, T, others for unnamed planes.
    shape
        Length of every axis.
    dtype
        Kind of number, such as ``uint8``.
    pixel_size
        From the file's metadata; None if it does not say or says something implausible.
    has_alpha
        Whether the last sample is an opacity.
    lossy
        Whether the encoding changes values, as JPEG does.
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    dtype: str
    pixel_size: PixelSize | None = None
    has_alpha: bool = False
    lossy: bool = False

    @property
    def height(self) -> int:
        """Pixels along y."""
        return self.shape[self.axes.index("Y")]

    @property
    def width(self) -> int:
        """Pixels along x."""
        return self.shape[self.axes.index("X")]

    def length(self, axis: str) -> int:
        """Length of an axis; 1 if there is none of this letter."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def found(self) -> str:
        """Put the axes in words, such as ``Z=5, Y=64, X=64, uint8``."""
        return ", ".join(f"{a}={n}" for a, n in zip(self.axes, self.shape, strict=True)) + f", {self.dtype}"

    def check(self, max_pixels: int) -> None:
        """Refuse what is no picture or larger than `max_pixels` per plane.

        Raises
        ------
        InputError
            If there is no plane of at least one pixel, the numbers are not real, or the plane is too large.
        """
        if "Y" not in self.axes or "X" not in self.axes or 0 in self.shape:
            raise InputError(f"{self.path}: holds no image plane (found {self.found()}).")
        if self.dtype[0] not in "biuf":
            raise InputError(f"{self.path}: holds {self.dtype} numbers, expected whole or real ones.")
        if self.height * self.width > max_pixels:
            raise InputError(
                f"{self.path}: {self.width} x {self.height} pixels are more than the limit of "
                f"{max_pixels:,}; cut it into tiles or raise --max-pixels."
            )
        if self.height * self.width * self.length("S") > 4 * max_pixels:
            raise InputError(f"{self.path}: too many values per pixel ({self.found()}), expected at most 4.")
