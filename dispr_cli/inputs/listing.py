"""What lies in a folder and below it: images and masks by name, and what is neither."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from dispr_cli.inputs.pairing import LeftOut, Pairing, by_name, is_hidden, is_readable, stem, why_no_image

IMAGE_FOLDERS = ("image", "images", "img", "imgs", "imagestr", "imagests")
MASK_FOLDERS = ("mask", "masks", "label", "labels", "labelstr", "labelsts")
TRUTH_FOLDERS = ("obj", "objs")


def walk(source: Path, pairing: Pairing) -> Iterator[tuple[Path, list[Path], list[str]]]:
    """Yield folders, their subfolders and the names of their files.

    Links are followed, no folder is entered twice, and those that a consumer takes out of the list of
    subfolders are not entered; folders of images, masks and truths never are.
    """

    def cannot_list(error: OSError) -> None:
        if Path(error.filename) == source:
            raise error
        pairing.left_out.append(LeftOut(Path(error.filename), f"cannot be listed ({error.strerror})"))

    for root, names, files in walk_once(source, cannot_list):
        names[:] = sorted(n for n in names if not n.startswith("."))
        folder = Path(root)
        subfolders = [folder / n for n in names]
        special = any(n.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS) for n in names)
        yield folder, subfolders, sorted(files)
        names[:] = [sub.name for sub in subfolders]
        if special:
            names[:] = [n for n in names if n.lower() not in (*IMAGE_FOLDERS, *MASK_FOLDERS, *TRUTH_FOLDERS)]


def walk_once(
    folder: Path, on_error: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As :func:`os.walk`, with links followed and no folder entered twice."""
    been: set[str] = set()
    for root, names, files in os.walk(folder, followlinks=True, onerror=on_error):
        real = os.path.realpath(root)
        if real in been:
            names.clear()
            continue
        been.add(real)
        yield root, names, files


def is_source_itself(folder: Path) -> bool:
    """Whether a folder has folders of images or masks in it, so that it is none of those itself."""
    try:
        with os.scandir(folder) as entries:
            return any(e.name.lower() in (*IMAGE_FOLDERS, *MASK_FOLDERS) and e.is_dir() for e in entries)
    except OSError:
        return True  # Whoever walks there says why it cannot be listed.


def listed(folder: Path | None, what: str, pairing: Pairing) -> dict[str, str]:
    """Return the files of a folder and of those below it by their names there, without suffix."""
    if folder is None:
        return {}
    found = (
        named(folder, inner, only_readable(inner, files, pairing))
        for inner, _, files in walk(folder, pairing)
    )
    return by_name(itertools.chain.from_iterable(found), what, pairing.left_out)


def only_readable(folder: Path, files: list[str], pairing: Pairing) -> list[str]:
    """Keep the names of images and masks; say of the others what they are where that matters."""
    seen = [name for name in files if not is_hidden(name)]
    reasons = [(name, why_no_image(name)) for name in seen if not is_readable(name)]
    pairing.left_out += [LeftOut(folder / name, reason) for name, reason in reasons if reason is not None]
    return [name for name in seen if is_readable(name)]


def named(root: Path, folder: Path, files: list[str]) -> Iterator[tuple[str, str]]:
    """Files of a folder below a root: what they are called there, without suffix, and where they are."""
    prefix, inside = prefix_of(root, folder), str(folder / "_")[:-1]  # empty or ends in a separator
    for name in files:
        yield prefix + stem(name), inside + name


def prefix_of(root: Path, folder: Path) -> str:
    """Return what stands before the names of a folder's files, as seen from the root."""
    return "" if folder == root else folder.relative_to(root).as_posix() + "/"
