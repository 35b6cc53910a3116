"""What a user can choose about reading, pairing and cropping; every default stands here once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from dispr_cli.errors import ConfigError

MaskFrom = Literal["otsu"]
LabelReading = Literal["auto", "single", "components", "values"]
BorderCells = Literal["keep", "drop"]
Plane = int | Literal["middle"]
Scaling = Literal["auto", "physical", "fit"]

GRID_VOXEL_SIZE_UM = 0.172
"""Voxel size of the training cells, 0.11 um * 100 / 64 (Simionato et al. 2021, as scaled by SHAPR)."""

SMALLEST_PIXEL_UM, LARGEST_PIXEL_UM = 0.001, 100.0


@dataclass(frozen=True, slots=True)
class InputSettings:
    """How files become cells.

    Attributes
    ----------
    channel
        Which channel of a multi-channel or colour image holds the cells, from 0; None if there is one only.
    plane
        Which plane of a stack, series or multi-page file to read, from 0; ``"middle"`` for that of a stack in
        z; None if there is one only.
    pixel_size_um
        Side of a pixel in micrometres; wins over the manifest and over what the files say.
    mask_from
        ``"otsu"``: images without a mask are segmented by Otsu's threshold. None: they are left out.
    labels
        How a mask is read. ``"values"``: every value is a cell; ``"single"``: all foreground is one cell;
        ``"components"``: every connected piece is a cell; ``"auto"``: see :mod:`dispr_cli.inputs.labels`.
    border
        Whether cells that the border of the image cuts are kept (and flagged) or dropped.
    scale
        ``"physical"``: resample to `grid_voxel_size_um`; ``"fit"``: scale each cell to the mean size of the
        training cells; ``"auto"``: a 64 x 64 pair with one cell is taken as it stands unless its pixel size
        is known not to be the grid's; others are physical where the pixel size is known and they are not
        larger than the field, else fitted.
    grid_voxel_size_um
        Voxel size of the network's grid in micrometres.
    min_cell_pixels
        Regions of fewer pixels are specks, not cells.
    max_pixels
        Images of more pixels per plane are refused before anything is decoded.
    invert
        Whether cells are darker than the ground: images are turned round before anything is made of them.

    Raises
    ------
    ConfigError
        If a value makes no sense.
    """

    channel: int | None = None
    plane: Plane | None = None
    pixel_size_um: float | None = None
    mask_from: MaskFrom | None = None
    labels: LabelReading = "auto"
    border: BorderCells = "keep"
    scale: Scaling = "auto"
    grid_voxel_size_um: float = GRID_VOXEL_SIZE_UM
    min_cell_pixels: int = 20
    max_pixels: int = 100_000_000
    invert: bool = False

    def __post_init__(self) -> None:
        _check_index("channel", self.channel)
        if self.plane != "middle":
            _check_index("plane", self.plane)
        if self.pixel_size_um is not None:
            _check_length("pixel_size_um", self.pixel_size_um)
        if self.mask_from is not None:
            _check_choice("mask_from", self.mask_from, get_args(MaskFrom))
        _check_choice("labels", self.labels, get_args(LabelReading))
        _check_choice("border", self.border, get_args(BorderCells))
        _check_choice("scale", self.scale, get_args(Scaling))
        _check_length("grid_voxel_size_um", self.grid_voxel_size_um)
        _check_count("min_cell_pixels", self.min_cell_pixels)
        _check_count("max_pixels", self.max_pixels)
        if not isinstance(self.invert, bool):
            raise ConfigError(f"invert is {self.invert!r}, expected True or False.")

    @classmethod
    def of_store(cls, configuration: Mapping[str, Any]) -> InputSettings:
        """Return the settings that the configuration of a store holds.

        Raises
        ------
        ConfigError
            If they are not understood, as those of another version may be.
        """
        try:
            return cls(**configuration.get("inputs", {}))
        except TypeError as error:
            raise ConfigError(
                f"how the images of the store were read is not understood ({error}); another version made it."
            ) from error


def with_choice(settings: InputSettings, plane: Plane | None, channel: int | None) -> InputSettings:
    """Return the settings with another plane and channel where those are given."""
    if plane is None and channel is None:
        return settings
    return replace(
        settings,
        plane=settings.plane if plane is None else plane,
        channel=settings.channel if channel is None else channel,
    )


def plane_of(text: str) -> Plane:
    """Read which plane is meant.

    Raises
    ------
    ConfigError
        If it is neither a number from 0 nor ``middle``; a projection is no plane.
    """
    word = text.strip().lower()
    if word == "middle":
        return "middle"
    if word.isascii() and word.isdecimal() and len(word) < 10:
        return int(word)
    why = (
        "; a projection shows all planes at once, the network knows cells in one focal plane"
        if word in ("max", "mean", "sum", "mip")
        else ""
    )
    raise ConfigError(f"plane is {text[:40]!r}, expected a whole number from 0 upwards, or middle{why}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_index(name: str, value: object) -> None:
    if value is not None and not (_is_whole(value) and value >= 0):  # type: ignore[operator]
        raise ConfigError(f"{name} is {value!r}, expected a whole number from 0 upwards, or nothing.")


def _check_count(name: str, value: object) -> None:
    if not (_is_whole(value) and value >= 1):  # type: ignore[operator]
        raise ConfigError(f"{name} is {value!r}, expected a whole number of at least 1.")


def _check_length(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name} is {value!r}, expected a length in micrometres, such as 0.1.")
    if not SMALLEST_PIXEL_UM <= value <= LARGEST_PIXEL_UM:
        raise ConfigError(
            f"{name} is {value:g} um, expected {SMALLEST_PIXEL_UM:g} to {LARGEST_PIXEL_UM:g}: "
            "give the side of one pixel in micrometres."
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}, expected one of {', '.join(choices)}.")
