"""Which files a cell comes from, told without opening them."""

from __future__ import annotations

import hashlib
from pathlib import Path


def stamp_of_files(image: Path, mask: Path | None, told: tuple[object, ...] = ()) -> str:
    """Return a digest of names, sizes and times: the same only while neither file was written or replaced.

    Parameters
    ----------
    image, mask
        Files; no mask where the image is segmented. One that is missing is a stamp too.
    told
        What else says how they are read, such as the plane that a manifest names.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    facts = [_facts(path) for path in (image, mask) if path is not None]
    return hashlib.blake2b(repr((facts, told)).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _facts(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), -1, -1
    return str(path.absolute()), found.st_size, found.st_mtime_ns
