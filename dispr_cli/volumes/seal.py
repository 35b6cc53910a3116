"""JSON documents that carry a checksum of themselves, so that a changed bit is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "sha256"
"""The entry that holds the checksum of all others."""


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with its checksum as the entry :data:`SEAL`.

    Parameters
    ----------
    content
        What JSON can hold; it must look the same after writing and reading.
    """
    return {**content, SEAL: _checksum(content)}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether the document carries a checksum at all; those of early versions do not."""
    return SEAL in content


def is_intact(content: Mapping[str, Any]) -> bool:
    """Whether the document is as it was sealed."""
    return is_sealed(content) and content[SEAL] == _checksum(content)


def _checksum(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != SEAL}
    # Sorted keys: other programs may write the same document in another order.
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
