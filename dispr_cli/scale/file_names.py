"""How a store names the files that its cells were read from: the same however a run was started."""

from __future__ import annotations

import os
from pathlib import Path


def source_folder(source: Path | None) -> Path | None:
    """Return the absolute folder that the images of a source are named from.

    Parameters
    ----------
    source
        A folder, or a manifest or image file in one; None names images from nowhere.
    """
    if source is None:
        return None
    absolute = absolute_name(source)
    return absolute if absolute.is_dir() else absolute.parent


def named_from(folder: Path | None, image: Path) -> str:
    """Return the name of an image below a folder, with slashes; absolute if it lies elsewhere."""
    absolute = absolute_name(image)
    if folder is not None and absolute.is_relative_to(folder):
        return absolute.relative_to(folder).as_posix()
    return absolute.as_posix()


def absolute_name(path: Path) -> Path:
    """Return a path from the root; links stay, as people name their data by them."""
    return Path(os.path.normpath(path.absolute()))
