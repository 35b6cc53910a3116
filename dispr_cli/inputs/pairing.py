"""What the layouts have in common: a pair of files, what was left out, and the rules of matching names.

Files are text here: a folder may hold a hundred thousand, and Paths take twice the memory and the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import IMAGE_SUFFIXES

COMPANION_SUFFIXES = ("_cp_masks", "_masks", "_mask", "_labels", "_label", ".stardist")
"""What Cellpose, StarDist and people append to an image's name for its mask."""

_IMAGE_MARKS = ("_image", "_img")
_File = TypeVar("_File", str, Path)
_NNUNET_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_NO_IMAGE_BUT_ASKED_FOR = {
    ".npy": "a NumPy file is not read; save it as TIFF",
    ".npz": "a NumPy file is not read; save it as TIFF",
    ".pkl": "pickles are not opened",
    ".zip": "an archive; unpack it first",
    **dict.fromkeys(
        (
            ".czi",
            ".nd2",
            ".lif",
            ".oib",
            ".oif",
            ".lsm",
            ".vsi",
            ".ims",
            ".dv",
            ".h5",
            ".zarr",
            ".bmp",
            ".gif",
        ),
        "this format is not read; export it as TIFF",
    ),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with the files that belong to it.

    Attributes
    ----------
    name
        Where it stands below the source, without suffix: ``train/cell7``.
    image
        The image file.
    mask
        Its mask; None if it is to be segmented.
    truth
        Its 3D ground truth, if there is one.
    pixel_size_um
        What the manifest says.
    """

    name: str
    image: str
    mask: str | None
    truth: str | None = None
    pixel_size_um: float | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file, or a part of one, that becomes no cell, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """A file that is read, and what its owner should look at."""

    path: Path
    text: str


@dataclass
class Pairing:
    """Everything a source holds: what belongs together, what was left out, and what to look at."""

    pairs: list[Pair] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether the system put the file there (``.DS_Store``, ``._x.tif``, ``Thumbs.db``)."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def is_image(name: str) -> bool:
    """Whether the name is that of an image we read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def why_no_image(name: str) -> str | None:
    """Why a file that is no image is worth a word; None for texts, tables and the like."""
    if name.lower().endswith("_seg.npy"):
        return "Cellpose's _seg.npy is a pickle and is not opened; save the masks as _cp_masks.tif"
    return _NO_IMAGE_BUT_ASKED_FOR.get(PurePath(name).suffix.lower())


def stem(name: str) -> str:
    """Return a file's name without suffix; ``.ome`` belongs to the suffix."""
    name = re.sub(r"\.(tiff?|btf|png|jpe?g)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"\.ome$", "", name, flags=re.IGNORECASE)


def without_companion_suffix(name: str) -> str | None:
    """Return the image's name inside a mask's name; None if it is no mask's name."""
    for suffix in COMPANION_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def without_image_mark(name: str) -> str | None:
    """Return the name without ``_image`` or ``_img`` at its end; None if there is neither."""
    for mark in _IMAGE_MARKS:
        if name.lower().endswith(mark) and len(name) > len(mark):
            return name[: -len(mark)]
    return None


def nnunet_case(name: str) -> tuple[str, int] | None:
    """Case and channel of an nnU-Net image name, ``CASE_0000``; None for other names."""
    match = _NNUNET_CHANNEL.fullmatch(name)
    return (match["case"], int(match["channel"])) if match else None


def by_name(files: Iterable[tuple[str, _File]], what: str) -> dict[str, _File]:
    """Files by name.

    Raises
    ------
    InputError
        If two files have the same name: which one is meant is not for us to guess.
    """
    found: dict[str, _File] = {}
    for name, path in files:
        if name in found:
            raise InputError(
                f"{path}: a second {what} of the same name as {Path(found[name]).name}; keep one of them."
            )
        found[name] = path
    return found


def split_companions(files: dict[str, str], masks: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Tell images from the masks that lie among them.

    Parameters
    ----------
    files
        What lies in the folder of images, by name.
    masks
        What lies in a folder of masks beside it: a file that has its mask there is an
        image whatever its name.

    Returns
    -------
    images, masks
        By name; `masks` holds those of both folders.
    """
    cases = {case[0] for name in files if (case := nnunet_case(name)) is not None}
    own = {
        name: path
        for name, path in files.items()
        if name not in masks and (without_companion_suffix(name) is not None or name in cases)
    }
    twice = next((name for name in own if name in masks), None)
    if twice is not None:
        raise InputError(f"{own[twice]}: a second mask besides {masks[twice]}; keep one of them.")
    return {name: path for name, path in files.items() if name not in own}, masks | own


@dataclass(frozen=True, slots=True)
class Match:
    """Names of the files of one cell; `others` are further channels of the same cell."""

    name: str
    image: str
    mask: str
    others: tuple[str, ...] = ()


def match(images: dict[str, str], masks: dict[str, str], channel: int | None) -> list[Match]:
    """Match images and masks by name.

    An image ``X`` belongs to the mask ``X``, ``X_mask`` and the like; ``X_img`` to what ``X`` belongs to; and
    where nothing else fits, ``X_0000`` to ``X`` as nnU-Net has it.

    Parameters
    ----------
    images, masks
        Files by name.
    channel
        Which of nnU-Net's ``X_0000``, ``X_0001``, ... to take.

    Raises
    ------
    InputError
        If two masks fit an image or two images a mask, or several channel files and no channel was chosen.
    """
    owners: dict[str, list[str]] = {}
    for key in masks:
        for name in {key, without_companion_suffix(key) or key}:
            owners.setdefault(name, []).append(key)
    matched: dict[str, Match] = {}
    cases: dict[str, dict[int, str]] = {}
    for image in images:
        own = next((n for n in (image, without_image_mark(image)) if n in owners), None)
        case = nnunet_case(image)
        if own is not None:
            if own in matched:
                other = Path(images[matched[own].image]).name
                raise InputError(f"{images[image]}: {other} goes with the same mask; keep one of them.")
            matched[own] = Match(own, image, _only_mask(images[image], owners[own], masks))
        elif case is not None and case[0] in owners:
            cases.setdefault(case[0], {})[case[1]] = image
    for name, files in cases.items():
        if name not in matched:
            image = _channel_file(images, files, channel)
            others = tuple(other for other in files.values() if other != image)
            matched[name] = Match(name, image, _only_mask(images[image], owners[name], masks), others)
    return list(matched.values())


def _only_mask(image: str, keys: list[str], masks: dict[str, str]) -> str:
    if len(keys) > 1:
        found = " and ".join(Path(masks[key]).name for key in sorted(keys))
        raise InputError(f"{image}: has more than one mask ({found}); keep one of them.")
    return keys[0]


def _channel_file(images: dict[str, str], files: dict[int, str], channel: int | None) -> str:
    first = images[files[min(files)]]
    if len(files) == 1 and channel is None:
        return files[min(files)]
    if channel is None:
        known = ", ".join(map(str, sorted(files)))
        raise InputError(
            f"{first}: one of {len(files)} channel files of a cell; say which with --channel ({known})."
        )
    if channel not in files:
        raise InputError(f"{first}: there is no file of channel {channel} beside it.")
    return files[channel]
