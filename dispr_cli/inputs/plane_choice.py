"""Which plane and channel of a larger file is meant; never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dispr_cli.errors import InputError
from dispr_cli.inputs.image_header import ImageHeader
from dispr_cli.inputs.settings import Plane

Role = Literal["image", "mask"]
_AXIS_WORDS = {"C": "channels", "S": "channels", "Z": "z planes", "T": "time points"}


@dataclass(frozen=True, slots=True)
class PlaneChoice:
    """Indices along the axes other than Y and X; ``sample`` None leaves a colour axis to the values."""

    index: dict[str, int]
    sample: int | None


def choose_plane(header: ImageHeader, channel: int | None, plane: Plane | None, role: Role) -> PlaneChoice:
    """Find the one plane that `channel` and `plane` point to; the middle of one plane is that plane.

    A mask has no channel to choose, and may be flat where the image is a stack.

    Raises
    ------
    InputError
        If the file holds more than one plane or channel and no option says which, or not the one asked for.
    """
    if header.length("C") > 1 and (header.length("S") > 1 or role == "mask"):
        what = "the mask holds several channels" if role == "mask" else "colour and channels at once"
        raise InputError(f"{header.path}: {what} ({header.found()}); save one channel.")
    channel = None if role == "mask" else channel
    stacked = [a for a in header.axes if a not in "YXCS" and header.length(a) > 1]
    if len(stacked) > 1:
        raise InputError(
            f"{header.path}: {len(header.axes)} axes ({header.found()}), expected one 2D plane, a stack of "
            "planes or channels; save the plane of interest as a 2D image."
        )
    index = {axis: 0 for axis in header.axes if axis not in "YXS"}
    has_channels = header.length("C") > 1 or header.length("S") > 1
    if stacked:
        unnamed = not has_channels and stacked[0] in "QI" and plane is None
        index[stacked[0]] = _choose(header, stacked[0], channel if unnamed else plane, "plane")
        if unnamed:
            return PlaneChoice(index, None)
    elif plane and plane != "middle" and role == "image":
        raise InputError(f"{header.path}: holds a single plane, so --plane {plane} is not there.")
    if header.length("C") > 1:
        index["C"] = _choose(header, "C", channel, "channel")
        return PlaneChoice(index, 0)
    return PlaneChoice(index, _choose_sample(header, channel))


def _choose(header: ImageHeader, axis: str, wanted: Plane | None, option: str) -> int:
    count = header.length(axis)
    words = _AXIS_WORDS.get(axis, "planes")
    if wanted is None:
        raise InputError(
            f"{header.path}: holds {count} {words} ({header.found()}); say which with --{option} 0 to "
            f"{count - 1}{' or middle' if axis == 'Z' else ''}."
        )
    if wanted == "middle":
        if axis == "T":
            raise InputError(f"{header.path}: holds {count} time points, of which none is the middle plane.")
        return count // 2
    if wanted >= count:
        raise InputError(f"{header.path}: has {count} {words}, so --{option} {wanted} is not there.")
    return wanted


def _choose_sample(header: ImageHeader, channel: int | None) -> int | None:
    colours = max(header.length("S") - header.has_alpha, 1)
    if channel is not None and channel >= colours:
        raise InputError(f"{header.path}: has {colours} channel(s), so --channel {channel} is not there.")
    return 0 if colours == 1 else channel


def flatten_colour(header: ImageHeader, pixels: NDArray[Any], sample: int | None, role: Role) -> NDArray[Any]:
    """Return a (Y, X, S) array as its chosen sample, or as any of them if all are the same grey.

    Raises
    ------
    InputError
        If the colours differ and none was chosen.
    """
    colours = pixels[..., : pixels.shape[-1] - header.has_alpha]
    if sample is not None:
        return colours[..., sample]
    if all(np.array_equal(colours[..., 0], colours[..., k]) for k in range(1, colours.shape[-1])):
        return colours[..., 0]
    count = colours.shape[-1]
    if role == "mask":
        raise InputError(
            f"{header.path}: the mask is a colour picture ({header.found()}), expected one number per pixel; "
            "save it as a grey or label image."
        )
    raise InputError(
        f"{header.path}: holds {count} channels ({header.found()}); say which with --channel 0 to "
        f"{count - 1}."
    )
