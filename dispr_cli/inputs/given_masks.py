"""Images of one place with masks of another that the user names."""

from __future__ import annotations

from pathlib import Path

from dispr_cli.errors import InputError
from dispr_cli.inputs.grouping import Group, pair_group
from dispr_cli.inputs.listing import IMAGE_FOLDERS, listed, named, only_readable, walk
from dispr_cli.inputs.manifest import MANIFEST_SUFFIXES
from dispr_cli.inputs.pairing import (
    LeftOut,
    Pair,
    Pairing,
    by_name,
    is_image,
    is_readable,
    split_companions,
    stem,
)
from dispr_cli.inputs.settings import InputSettings


def pair_with_given(source: Path, masks: Path, settings: InputSettings) -> Pairing:
    """Pair images with the masks that were named for them.

    Where there is one image and one mask, their names do not count. Files of several folders are matched by
    their places below `source` and `masks`, or by their names alone if no place fits.

    Parameters
    ----------
    source
        An image or a folder of them; masks among them are left out.
    masks
        A mask or a folder of them.
    settings
        ``mask_from`` and ``channel`` count here.

    Returns
    -------
    Pairing
        Sorted by name.

    Raises
    ------
    InputError
        If `masks` is missing or no mask, or nothing pairs.
    OSError
        As the operating system gives it.
    """
    if source.suffix.lower() in MANIFEST_SUFFIXES and source.is_file():
        raise InputError(
            f"{source}: the manifest names the masks, so --masks {masks} has no place beside it."
        )
    if not masks.exists():
        raise InputError(f"{masks}: there is no such file or folder of masks.")
    if not masks.is_dir() and not (is_readable(masks.name) or masks.suffix.lower() == ".zip"):
        raise InputError(
            f"{masks}: expected a mask (TIFF, PNG, Cellpose's _seg.npy or ImageJ's RoiSet.zip) or a folder "
            "of masks."
        )
    pairing = Pairing()
    images = _images(source, masks, pairing)
    if not images:
        raise InputError(f"{source}: no image in it for the masks of {masks}.")
    found = listed(masks, "mask", pairing) if masks.is_dir() else {stem(masks.name): str(masks)}
    if not found:
        raise InputError(f"{masks}: no mask in this folder, expected TIFF, PNG or Cellpose's _seg.npy.")
    if len(images) == len(found) == 1:
        ((name, image),), (mask,) = images.items(), found.values()
        pairing.pairs.append(Pair(name, image, mask))
        return pairing
    if not masks.is_dir() and source.is_dir():
        raise InputError(
            f"{masks}: one mask for {len(images)} images of {source}; give a folder of masks or one image."
        )
    before = len(pairing.left_out)
    pair_group("", Group(images, found), pairing, settings)
    if not any(pair.mask for pair in pairing.pairs):
        flat_images, flat_masks = (
            _by_file(files, what) for files, what in ((images, "image"), (found, "mask"))
        )
        del pairing.pairs[:], pairing.left_out[before:]
        pair_group("", Group(flat_images, flat_masks), pairing, settings)
    if not pairing.pairs:
        example = Path(next(iter(found.values()))).name
        raise InputError(
            f"{source}: none of its {len(images)} image(s) goes by its name with one of the {len(found)} "
            f"mask(s) of {masks} (such as {example}); give a manifest of the columns image and mask."
        )
    pairing.pairs.sort(key=lambda pair: pair.name)
    pairing.left_out.sort(key=lambda left: left.path)
    return pairing


def _images(source: Path, masks: Path, pairing: Pairing) -> dict[str, str]:
    """Images of a source by name, without the masks among them."""
    if not source.is_dir():
        if not is_image(source.name):
            raise InputError(f"{source}: expected a TIFF, PNG or JPEG image, or a folder of them.")
        return {stem(source.name): str(source)}
    inside = [p for p in sorted(source.iterdir()) if p.is_dir() and p.name.lower() in IMAGE_FOLDERS]
    root = inside[0] if inside else source
    real = masks.resolve()
    files: list[tuple[str, str]] = []
    for folder, subfolders, names in walk(root, pairing):
        subfolders[:] = [sub for sub in subfolders if sub.resolve() != real]
        readable = only_readable(folder, names, pairing)
        files += (pair for pair in named(root, folder, readable) if Path(pair[1]).resolve() != real)
    split = split_companions(by_name(files, "image", pairing.left_out), {})
    pairing.left_out += [LeftOut(Path(path), f"--masks {masks} is read") for path in split.masks.values()]
    pairing.left_out += [
        LeftOut(Path(path), "a picture of Cellpose's masks") for path in split.by_products.values()
    ]
    return split.images


def _by_file(files: dict[str, str], what: str) -> dict[str, str]:
    return by_name(((name.rpartition("/")[2], path) for name, path in files.items()), what)
