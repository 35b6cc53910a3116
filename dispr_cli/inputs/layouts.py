"""How people keep images and masks: folders side by side, companions in one folder, or a single file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.given_masks import pair_with_given
from dispr_cli.inputs.grouping import NO_IMAGE, NO_MASK, Group, pair_group
from dispr_cli.inputs.listing import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    TRUTH_FOLDERS,
    is_source_itself,
    listed,
    named,
    only_readable,
    prefix_of,
    walk,
)
from dispr_cli.inputs.manifest import MANIFEST_SUFFIXES, read_manifest
from dispr_cli.inputs.mask_names import (
    COMPANION_SUFFIXES,
    OTHER_IMAGE_FOLDERS,
    is_lone_mask,
    is_other_mask_folder,
    without_image_mark,
)
from dispr_cli.inputs.pairing import (
    LeftOut,
    Pairing,
    by_name,
    is_image,
    is_readable,
    nnunet_case,
    stem,
    why_no_image,
)
from dispr_cli.inputs.settings import InputSettings


def find_pairs(source: Path, settings: InputSettings, masks: Path | None = None) -> Pairing:
    """Pair the images, masks and ground truths of a folder, a CSV manifest or a single file.

    Parameters
    ----------
    source
        What the user gave.
    settings
        ``mask_from`` and ``channel`` count here.
    masks
        A file or a folder of masks; None if they are to be found beside the images.

    Returns
    -------
    Pairing
        Sorted by name; no image was opened.

    Raises
    ------
    InputError
        If the source is missing, cannot be listed or is ambiguous, or nothing in it pairs.
    """
    try:
        if not source.exists():
            raise InputError(f"{source}: there is no such file or folder.")
        if masks is not None:
            return pair_with_given(source, masks, settings)
        if source.is_dir():
            return _find_in_folder(source, settings)
        if source.suffix.lower() in MANIFEST_SUFFIXES:
            return read_manifest(source, settings.mask_from is not None)
        if is_image(source.name):
            return _pair_single(source, settings)
    except OSError as error:
        raise InputError(f"{error.filename or source}: cannot be read ({error.strerror}).") from error
    reason = why_no_image(source.name) or "expected a TIFF, PNG or JPEG image, a CSV manifest or a folder"
    raise InputError(f"{source}: {reason}.")


def _find_in_folder(source: Path, settings: InputSettings) -> Pairing:
    pairing = Pairing()
    for folder, subfolders, files in walk(source, pairing):
        prefix = prefix_of(source, folder)
        names = named(folder, folder, only_readable(folder, files, pairing))
        beside = by_name(names, "image", pairing.left_out)
        chosen = _choose_folders(subfolders, bool(beside), pairing)
        images = beside if chosen.images is None else listed(chosen.images, "image", pairing)
        masks, others = (listed(place, "mask", pairing) for place in (chosen.masks, chosen.other_masks))
        truths = listed(chosen.truths, "ground truth", pairing)
        pair_group(prefix, Group(images, masks, truths, others), pairing, settings)
        if chosen.images is not None:
            pair_group(prefix, Group(beside), pairing, settings)
    if not pairing.pairs:
        raise _nothing_paired(source, pairing, settings)
    pairing.pairs.sort(key=lambda pair: pair.name)
    pairing.left_out.sort(key=lambda left: left.path)
    return pairing


@dataclass(frozen=True, slots=True)
class _Folders:
    """Which subfolders hold what."""

    images: Path | None
    masks: Path | None
    other_masks: Path | None
    truths: Path | None


def _choose_folders(subfolders: list[Path], beside: bool, pairing: Pairing) -> _Folders:
    """Find the folders of images, masks and truths by their names, and take less sure ones off the list.

    Names that may mean other things count only beside images (`beside`, or a folder of them) and masks.
    """

    def first(found: list[Path]) -> Path | None:
        pairing.left_out.extend(LeftOut(p, f"not read, {found[0].name}/ beside it is") for p in found[1:])
        return found[0] if found else None

    by_lower = {sub.name.lower(): sub for sub in subfolders}
    images, masks, truths = (
        first([by_lower[name] for name in names if name in by_lower])
        for names in (IMAGE_FOLDERS, MASK_FOLDERS, TRUTH_FOLDERS)
    )
    may_be = [sub for sub in subfolders if masks is None and is_other_mask_folder(sub.name)]
    others = [sub for sub in may_be if not is_source_itself(sub)]
    if images is None and not beside and (masks or others):
        images = first([by_lower[name] for name in OTHER_IMAGE_FOLDERS if name in by_lower])
    other_masks = first(others) if images or beside else None
    taken = {images, *(others if other_masks else ())}
    subfolders[:] = [sub for sub in subfolders if sub not in taken]
    return _Folders(images, masks, other_masks, truths if images or masks else None)


def _pair_single(source: Path, settings: InputSettings) -> Pairing:
    """Look for companions beside the image, and in folders of masks there or beside its folder of images."""
    scrap = Pairing()
    own = stem(source.name)
    core = own if (case := nnunet_case(own)) is None else case[0]
    core = without_image_mark(core) or core
    entries = sorted(source.parent.iterdir())
    files = [p.name for p in entries if is_readable(p.name)]
    near = [n for n in files if core in n or (len(files) == 2 and is_lone_mask(stem(n)))]
    alone = [name for name in near if name == source.name or stem(name) != own]
    subfolders = [p for p in entries if p.is_dir()]
    chosen = _choose_folders(subfolders, True, scrap)
    folder = source.absolute().parent  # a bare name says nothing of the folder it is in
    if folder.name.lower() in (*IMAGE_FOLDERS, *OTHER_IMAGE_FOLDERS):
        above = sorted(p for p in folder.parent.iterdir() if p.is_dir())
        chosen = _choose_folders(above, False, scrap)
    masks, others = (listed(place, "mask", scrap) for place in (chosen.masks, chosen.other_masks))
    truths = listed(chosen.truths, "ground truth", scrap)
    found = Pairing()
    images = by_name(named(source.parent, source.parent, alone), "image", scrap.left_out)
    pair_group("", Group(images, masks, truths, others), found, settings)
    pairs = [pair for pair in found.pairs if Path(pair.image) == source]
    if not pairs:
        raise _nothing_paired(source, Pairing([], [LeftOut(source, NO_MASK)]), settings)
    return Pairing(pairs)


def _nothing_paired(source: Path, pairing: Pairing, settings: InputSettings) -> InputError:
    images = sum(left.reason == NO_MASK for left in pairing.left_out)
    masks = sum(left.reason == NO_IMAGE for left in pairing.left_out)
    expected = (
        "image/ and mask/ with equal names, or companions such as X.tif and "
        f"X{COMPANION_SUFFIXES[2]}.tif ({', '.join(COMPANION_SUFFIXES)}, _seg, mask_X and the like)"
    )
    if not images and not masks:
        other = (
            f" ({pairing.left_out[0].path.name}: {pairing.left_out[0].reason})" if pairing.left_out else ""
        )
        return InputError(f"{source}: no TIFF, PNG or JPEG image in this folder{other}; expected {expected}.")
    if source.absolute().name.lower() in IMAGE_FOLDERS and source.is_dir():
        return InputError(
            f"{source}: {images} image(s) without masks; give the folder above, with masks beside, or say "
            "where masks are with --masks."
        )
    if not images:
        return InputError(f"{source}: {masks} mask(s) and no image; expected {expected}.")
    found = NO_MASK if source.is_file() else f"{images} image(s), {masks} mask(s), no pair"
    return InputError(
        f"{source}: {found}; expected {expected}. Say where masks are with --masks or a manifest of the "
        "columns image and mask; images alone can be segmented with --mask-from otsu."
    )
