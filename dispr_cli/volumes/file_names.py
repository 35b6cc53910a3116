"""File names made from cell names, which come from strangers' files and may hold anything."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_LONGEST_BYTES = 120
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_file_name(name: str) -> str:
    """Return a file name for a cell that stays in its folder on every system.

    Letters and digits of any script, blanks and ``-_.#`` are kept, but no name begins like an option. One
    that had to be changed gets eight digits of a digest, so two cells never share a file.

    Parameters
    ----------
    name
        Any text: separators, ``..``, control and direction marks, device names, hundreds of characters.
    """
    kept = "".join(_kept(letter) for letter in unicodedata.normalize("NFC", name))
    short = kept.encode()[:_LONGEST_BYTES].decode(errors="ignore").strip(". ")
    if not short or short.startswith("-") or _DEVICE.match(short):
        short = "_" + short
    if short == name:
        return short
    return f"{short}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _kept(letter: str) -> str:
    return letter if letter.isalnum() or letter in " -_.#" else "_"
