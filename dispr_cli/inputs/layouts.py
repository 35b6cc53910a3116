"""How people keep images and masks: folders side by side, companions in one folder, or a single file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.manifest import MANIFEST_SUFFIXES, read_manifest
from dispr_cli.inputs.pairing import (
    COMPANION_SUFFIXES,
    LeftOut,
    Pair,
    Pairing,
    by_name,
    is_hidden,
    is_image,
    match,
    split_companions,
    stem,
    why_no_image,
)
from dispr_cli.inputs.settings import InputSettings

IMAGE_FOLDERS = ("image", "images", "img", "imgs", "imagestr", "imagests")
MASK_FOLDERS = ("mask", "masks", "label", "labels", "labelstr", "labelsts")
TRUTH_FOLDERS = ("obj", "objs")

_NO_MASK = "no mask belongs to this image"
_NO_IMAGE = "no image belongs to this mask"


@dataclass(frozen=True, slots=True)
class _Group:
    """Files that may belong together, by name."""

    images: dict[str, str]
    masks: dict[str, str]
    truths: dict[str, str]


def find_pairs(source: Path, settings: InputSettings) -> Pairing:
    """Pair the images, masks and ground truths of a folder, a CSV manifest or a single file.

    Parameters
    ----------
    source
        What the user gave.
    settings
        ``mask_from`` and ``channel`` count here.

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
        if source.is_dir():
            return _find_in_folder(source, settings)
        if not source.exists():
            raise InputError(f"{source}: there is no such file or folder.")
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
    for folder, subfolders, files in _walk(source, pairing):
        prefix = _prefix(source, folder)
        beside = by_name(_named(folder, folder, _only_images(folder, files, pairing)), "image")
        images, masks, truths = _special_folders(subfolders, pairing)
        mask_files, truth_files = _listed(masks, "mask", pairing), _listed(truths, "ground truth", pairing)
        if images is None:
            _pair_group(prefix, _Group(beside, mask_files, truth_files), pairing, settings)
        else:
            group = _Group(_listed(images, "image", pairing), mask_files, truth_files)
            _pair_group(prefix, group, pairing, settings)
            _pair_group(prefix, _Group(beside, {}, {}), pairing, settings)
    if not pairing.pairs:
        raise _nothing_paired(source, pairing, settings)
    pairing.pairs.sort(key=lambda pair: pair.name)
    pairing.left_out.sort(key=lambda left: left.path)
    return pairing


def _walk(source: Path, pairing: Pairing) -> Iterator[tuple[Path, list[Path], list[str]]]:
    """Folders, their subfolders and the names of their files; links are followed, no folder entered twice."""

    def cannot_list(error: OSError) -> None:
        if Path(error.filename) == source:
            raise error
        pairing.left_out.append(LeftOut(Path(error.filename), f"cannot be listed ({error.strerror})"))

    been: set[str] = set()
    for root, names, files in os.walk(source, followlinks=True, onerror=cannot_list):
        real = os.path.realpath(root)
        names[:] = [] if real in been else sorted(n for n in names if not n.startswith("."))
        if real in been:
            continue
        been.add(real)
        folder = Path(root)
        yield folder, [folder / n for n in names], sorted(files)
        if any(n.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS) for n in names):
            names[:] = [n for n in names if n.lower() not in (*IMAGE_FOLDERS, *MASK_FOLDERS, *TRUTH_FOLDERS)]


def _special_folders(
    subfolders: list[Path], pairing: Pairing
) -> tuple[Path | None, Path | None, Path | None]:
    named = {sub.name.lower(): sub for sub in subfolders}
    chosen: list[Path | None] = []
    for names in (IMAGE_FOLDERS, MASK_FOLDERS, TRUTH_FOLDERS):
        found = [named[name] for name in names if name in named]
        chosen.append(found[0] if found else None)
        pairing.left_out += [LeftOut(p, f"not read, {found[0].name}/ beside it is") for p in found[1:]]
    images, masks, truths = chosen
    return images, masks, truths if images or masks else None


def _listed(folder: Path | None, what: str, pairing: Pairing) -> dict[str, str]:
    if folder is None:
        return {}
    found = (
        _named(folder, inner, _only_images(inner, files, pairing))
        for inner, _, files in _walk(folder, pairing)
    )
    return by_name(itertools.chain.from_iterable(found), what)


def _only_images(folder: Path, files: list[str], pairing: Pairing) -> list[str]:
    seen = [name for name in files if not is_hidden(name)]
    reasons = [(name, why_no_image(name)) for name in seen if not is_image(name)]
    pairing.left_out += [LeftOut(folder / name, reason) for name, reason in reasons if reason is not None]
    return [name for name in seen if is_image(name)]


def _named(root: Path, folder: Path, files: list[str]) -> Iterator[tuple[str, str]]:
    """Files of a folder below a root: what they are called there, without suffix, and where they are."""
    prefix, inside = _prefix(root, folder), str(folder / "_")[:-1]  # empty or ends in a separator
    for name in files:
        yield prefix + stem(name), inside + name


def _prefix(root: Path, folder: Path) -> str:
    return "" if folder == root else folder.relative_to(root).as_posix() + "/"


def _pair_group(prefix: str, group: _Group, pairing: Pairing, settings: InputSettings) -> None:
    images, masks = split_companions(group.images, group.masks)
    matches = match(images, masks, settings.channel)
    pairs = [
        Pair(
            prefix + m.name,
            images[m.image],
            masks[m.mask],
            group.truths.get(m.name, group.truths.get(m.image)),
        )
        for m in matches
    ]
    others = {other: m.name for m in matches for other in m.others}
    used = {m.image for m in matches}
    lonely = [name for name in images if name not in used and name not in others]
    if settings.mask_from is not None:
        pairs += [Pair(prefix + name, images[name], None, group.truths.get(name)) for name in lonely]
        lonely = []
    used_masks = {m.mask for m in matches}
    truths = {pair.truth for pair in pairs}
    pairing.pairs += pairs
    pairing.left_out += [
        *(LeftOut(Path(images[name]), f"another channel of {cell}") for name, cell in others.items()),
        *(LeftOut(Path(images[name]), _NO_MASK) for name in lonely),
        *(LeftOut(Path(path), _NO_IMAGE) for name, path in masks.items() if name not in used_masks),
        *(
            LeftOut(Path(path), "no image belongs to this ground truth")
            for path in group.truths.values()
            if path not in truths
        ),
    ]


def _pair_single(source: Path, settings: InputSettings) -> Pairing:
    """Look for companions beside the image, or in a folder of masks beside its folder of images."""
    scrap = Pairing()
    own = stem(source.name)
    start = own.rsplit("_", 1)[0]
    beside = sorted(p.name for p in source.parent.iterdir() if is_image(p.name) and p.name.startswith(start))
    alone = [name for name in beside if name == source.name or stem(name) != own]
    files = dict(_named(source.parent, source.parent, alone))
    masks = truths = None
    if source.parent.name.lower() in IMAGE_FOLDERS:
        subfolders = sorted(p for p in source.absolute().parent.parent.iterdir() if p.is_dir())
        _, masks, truths = _special_folders(subfolders, scrap)
    found = Pairing()
    group = _Group(files, _listed(masks, "mask", scrap), _listed(truths, "ground truth", scrap))
    _pair_group("", group, found, settings)
    pairs = [pair for pair in found.pairs if Path(pair.image) == source]
    if not pairs:
        raise _nothing_paired(source, Pairing([], [LeftOut(source, _NO_MASK)]), settings)
    return Pairing(pairs)


def _nothing_paired(source: Path, pairing: Pairing, settings: InputSettings) -> InputError:
    images = sum(left.reason == _NO_MASK for left in pairing.left_out)
    masks = sum(left.reason == _NO_IMAGE for left in pairing.left_out)
    expected = (
        f"image/ and mask/ with equal names, or companions such as X.tif and X{COMPANION_SUFFIXES[2]}.tif"
    )
    if not images and not masks:
        other = (
            f" ({pairing.left_out[0].path.name}: {pairing.left_out[0].reason})" if pairing.left_out else ""
        )
        return InputError(f"{source}: no TIFF, PNG or JPEG image in this folder{other}; expected {expected}.")
    if source.name.lower() in IMAGE_FOLDERS and source.is_dir():
        return InputError(
            f"{source}: {images} image(s) without masks; give the folder above, with masks beside."
        )
    if not images:
        return InputError(f"{source}: {masks} mask(s) and no image; expected {expected}.")
    found = (
        "no mask belongs to this image"
        if source.is_file()
        else f"{images} image(s), {masks} mask(s), no pair"
    )
    return InputError(
        f"{source}: {found}; expected {expected}. Images alone can be segmented with --mask-from otsu."
    )
