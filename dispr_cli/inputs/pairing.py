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
from dispr_cli.inputs.cellpose_seg import SEG_SUFFIX
from dispr_cli.inputs.images import IMAGE_SUFFIXES
from dispr_cli.inputs.mask_names import (
    image_of_mask,
    is_by_product,
    is_lone_mask,
    is_roi_list,
    rank_of_format,
    rank_of_mask,
    without_companion_suffix,
    without_image_mark,
    without_other_mark,
)
from dispr_cli.inputs.settings import Plane

_File = TypeVar("_File", str, Path)
_NNUNET_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_NO_IMAGE_BUT_ASKED_FOR = {
    ".npy": "a NumPy file is not read; save it as TIFF",
    ".npz": "a NumPy file is not read; save it as TIFF",
    ".pkl": "pickles are not opened",
    ".zip": "an archive; unpack it first (ImageJ's regions are read from X_rois.zip or RoiSet.zip)",
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
    pixel_size_um, plane, channel
        What the manifest says.
    problem
        Why the cell cannot be read, known from the manifest alone.
    """

    name: str
    image: str
    mask: str | None
    truth: str | None = None
    pixel_size_um: float | None = None
    plane: Plane | None = None
    channel: int | None = None
    problem: str | None = None


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


def is_readable(name: str) -> bool:
    """Whether the name is that of an image or a mask we read."""
    return is_image(name) or is_only_mask(name)


def is_only_mask(name: str) -> bool:
    """Whether the name is that of a file which cannot be but a mask."""
    return name.lower().endswith(SEG_SUFFIX) or is_roi_list(name)


def why_no_image(name: str) -> str | None:
    """Why a file that is no image is worth a word; None for texts, tables and the like."""
    if is_only_mask(name):
        return "the masks of an image; give the image or the folder"
    return _NO_IMAGE_BUT_ASKED_FOR.get(PurePath(name).suffix.lower())


def stem(name: str) -> str:
    """Return a file's name without suffix; ``.ome`` belongs to the suffix."""
    name = re.sub(r"\.(tiff?|btf|png|jpe?g)$", "", name, flags=re.IGNORECASE)
    return re.sub(r"\.ome$", "", name, flags=re.IGNORECASE)


def nnunet_case(name: str) -> tuple[str, int] | None:
    """Case and channel of an nnU-Net image name, ``CASE_0000``; None for other names."""
    match = _NNUNET_CHANNEL.fullmatch(name)
    return (match["case"], int(match["channel"])) if match else None


def by_name(
    files: Iterable[tuple[str, _File]], what: str, left_out: list[LeftOut] | None = None
) -> dict[str, _File]:
    """Files by name.

    Parameters
    ----------
    files
        Names without suffix, and the files.
    what
        What the files are, for messages; of two masks of a name in several formats the best is taken.
    left_out
        Gets the others.

    Raises
    ------
    InputError
        If two files have the same name otherwise: which one is meant is not for us to guess.
    """
    found: dict[str, _File] = {}
    for name, path in files:
        kept = found.setdefault(name, path)
        if kept is path:
            continue
        better, worse = sorted((kept, path), key=lambda file: rank_of_format(str(file)))
        mask = what == "mask" or image_of_mask(name) is not None
        if left_out is None or not mask or rank_of_format(str(better)) == rank_of_format(str(worse)):
            raise InputError(
                f"{path}: a second {what} of the same name as {Path(kept).name}; keep one of them."
            )
        found[name] = better
        left_out.append(LeftOut(Path(worse), f"{Path(better).name} beside it is read"))
    return found


@dataclass(frozen=True, slots=True)
class Split:
    """What lies in a folder of images, by name; `masks` holds those of a folder of masks too."""

    images: dict[str, str]
    masks: dict[str, str]
    by_products: dict[str, str]


def split_companions(files: dict[str, str], masks: dict[str, str]) -> Split:
    """Tell images from the masks that lie among them.

    Parameters
    ----------
    files
        What lies in the folder of images, by name.
    masks
        What lies in a folder of masks beside it: a file that has its mask there is an
        image whatever its name.
    """
    cases = {case[0] for name in files if (case := nnunet_case(name)) is not None}
    sure = {
        name
        for name in files
        if name not in masks
        and (without_companion_suffix(name) is not None or name in cases or is_only_mask(name))
    }
    owners = {without_companion_suffix(name) for name in sure}
    bases = {base for name in files if name not in sure for base in (name, without_image_mark(name)) if base}
    own = sure | {
        name
        for name in files
        if name not in masks and name not in owners and without_other_mark(name) in bases
    }
    images = {name: path for name, path in files.items() if name not in own}
    by_products = {name: path for name, path in images.items() if is_by_product(name, images)}
    images = {name: path for name, path in images.items() if name not in by_products}
    lone = [name for name in images if is_lone_mask(name)]
    if len(lone) == 1 and len(images) == 2 and all(map(is_lone_mask, own)) and not masks:
        own |= {*lone}
        del images[lone[0]]
    return Split(images, masks | {name: files[name] for name in files if name in own}, by_products)


@dataclass(frozen=True, slots=True)
class Match:
    """Names of the files of one cell; `others` are further channels of it, `spare` further masks."""

    name: str
    image: str
    mask: str
    others: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()


def match(images: dict[str, str], masks: dict[str, str], channel: int | None) -> list[Match]:
    """Match images and masks by name.

    An image ``X`` belongs to the mask ``X``, ``X_mask``, ``mask_X`` and the like; ``X_img`` and ``img_X`` to
    what ``X`` belongs to; where nothing else fits, ``X_0000`` to ``X`` as nnU-Net has it, and the only image
    to the only mask if that is called ``Label Image``.

    Parameters
    ----------
    images, masks
        Files by name.
    channel
        Which of nnU-Net's ``X_0000``, ``X_0001``, ... to take.

    Raises
    ------
    InputError
        If two masks fit an image equally or two images a mask, or several channel files and no channel was
        chosen.
    """
    owners: dict[str, list[str]] = {}
    for key in masks:
        for name in {key, image_of_mask(key) or key}:
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
            mask, spare = _best_mask(own, images[image], owners[own], masks)
            matched[own] = Match(own, image, mask, (), spare)
        elif case is not None and case[0] in owners:
            cases.setdefault(case[0], {})[case[1]] = image
    for name, files in cases.items():
        if name not in matched:
            image = _channel_file(images, files, channel)
            others = tuple(other for other in files.values() if other != image)
            mask, spare = _best_mask(name, images[image], owners[name], masks)
            matched[name] = Match(name, image, mask, others, spare)
    if not matched and len(images) == 1 and masks and all(map(is_lone_mask, masks)):
        ((image, path),) = images.items()
        mask, spare = _best_mask(image, path, list(masks), masks)
        return [Match(image, image, mask, (), spare)]
    return list(matched.values())


def _best_mask(name: str, image: str, keys: list[str], masks: dict[str, str]) -> tuple[str, tuple[str, ...]]:
    ranks = {key: 0 if key == name else rank_of_mask(key) for key in keys}
    best = [key for key in keys if ranks[key] == min(ranks.values())]
    if len(best) > 1:
        found = " and ".join(Path(masks[key]).name for key in sorted(best))
        raise InputError(
            f"{image}: has more than one mask ({found}); keep one of them, or name it in a manifest."
        )
    return best[0], tuple(key for key in keys if key != best[0])


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
