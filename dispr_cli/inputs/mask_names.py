"""How names tell masks from images, and which image a mask belongs to."""

from __future__ import annotations

from collections.abc import Container
from pathlib import PurePath

from dispr_cli.inputs.cellpose_seg import SEG_SUFFIX

COMPANION_SUFFIXES = ("_cp_masks", "_masks", "_mask", "_labels", "_label", ".stardist")
"""What Cellpose, StarDist and people append to an image's name for its mask, and for nothing else."""

OTHER_SUFFIXES = (
    *("-masks", "-mask", "-labels", "-label", "_labelled", "_labeled", "_label_image"),
    *("_segmentation", "-segmentation", "_segmented", "_seg", "-seg", "_stardist", "_cellpose"),
)
"""The same, but images may be named like that too: it counts beside an image of the name without it."""

MASK_PREFIXES = ("masks_", "mask_", "labels_", "label_", "seg_", "mask-", "label-")
"""What stands before an image's name, or before what follows ``img_`` in it.

They are as sure a sign of a mask as :data:`OTHER_SUFFIXES`.
"""

ROI_SUFFIXES = ("_rois.zip", "_roi.zip", "-rois.zip", "_roiset.zip", "-roiset.zip")
"""What stands behind an image's name in that of a list of ImageJ's regions."""

LONE_MASKS = ("label image", "labels", "label", "masks", "mask", "segmentation", "roiset.zip")
"""Names of the mask of the only image of a folder; the first is what StarDist's plugin of Fiji proposes."""

OTHER_IMAGE_FOLDERS = ("raw", "original", "originals", "intensity")
"""Folders of images if a folder of masks lies beside them."""

OTHER_MASK_FOLDERS = ("segmentation", "segmentations")
"""Folders of masks if images lie beside them, as is what ends in ``_masks`` or ``_labels``."""

BY_PRODUCTS = ("_cp_output", "_cp_outlines", "_outlines", "_cp_flows", "_flows", "_cp_cellprob", "_cp_dp")
"""What Cellpose saves beside its masks: pictures of them, not of cells."""

_IMAGE_MARKS = ("_image", "_img")
_IMAGE_PREFIXES = ("image_", "img_")
_OTHER_ENDS = (SEG_SUFFIX, *ROI_SUFFIXES, *OTHER_SUFFIXES)
_FORMATS = {".tif": 0, ".tiff": 0, ".btf": 0, ".png": 1}


def without_companion_suffix(name: str) -> str | None:
    """Return the image's name inside a mask's name; None if the name is not surely that of a mask."""
    return _without_end(name, COMPANION_SUFFIXES)


def without_other_mark(name: str) -> str | None:
    """Return the image's name inside what may be a mask's name; None if it cannot be one."""
    found = _without_end(name, _OTHER_ENDS)
    return found if found is not None else _without_start(name, MASK_PREFIXES)


def image_of_mask(name: str) -> str | None:
    """Return the name that the image of a mask has; None if the mask has no mark of one."""
    found = without_companion_suffix(name)
    return found if found is not None else without_other_mark(name)


def rank_of_mask(name: str) -> int:
    """How sure a mask's name is; of several masks of an image the lowest is taken."""
    if is_roi_list(name):
        return 3  # Outlines in whole pixels lose to the labels they were made from.
    if name.lower().endswith(SEG_SUFFIX):
        return 2  # Cellpose saves the same masks as a picture, if it is told to.
    return int(without_companion_suffix(name) is None and without_other_mark(name) is not None)


def is_roi_list(name: str) -> bool:
    """Whether the name is that of a list of ImageJ's regions."""
    own = PurePath(name).name.lower()
    return own == "roiset.zip" or own.endswith(ROI_SUFFIXES)


def without_image_mark(name: str) -> str | None:
    """Return the name without ``_image`` or ``img_`` and the like; None if there is nothing like that."""
    found = _without_end(name, _IMAGE_MARKS)
    return found if found is not None else _without_start(name, _IMAGE_PREFIXES)


def is_lone_mask(name: str) -> bool:
    """Whether a file called so is the mask of whatever image is alone with it."""
    return PurePath(name).name.lower() in LONE_MASKS


def is_by_product(name: str, images: Container[str]) -> bool:
    """Whether Cellpose wrote the file about one of the images."""
    own = _without_end(name, BY_PRODUCTS)
    return own is not None and own in images


def is_other_mask_folder(name: str) -> bool:
    """Whether a folder called so holds masks if there are images beside it."""
    return name.lower() in OTHER_MASK_FOLDERS or without_companion_suffix(name) is not None


def rank_of_format(name: str) -> int:
    """Which of two masks of the same name to take: labels fit into TIFF, not into JPEG."""
    return _FORMATS.get(PurePath(name).suffix.lower(), 2)


def _without_end(name: str, ends: tuple[str, ...]) -> str | None:
    lower = name.lower()
    for end in ends if lower.endswith(ends) else ():
        if lower.endswith(end) and len(name) > len(end) and not name[: -len(end)].endswith("/"):
            return name[: -len(end)]
    return None


def _without_start(name: str, starts: tuple[str, ...]) -> str | None:
    folder, slash, own = name.rpartition("/")
    for start in starts:
        if own.lower().startswith(start) and len(own) > len(start):
            return folder + slash + own[len(start) :]
    return None
