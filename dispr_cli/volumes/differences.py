"""What sets two runs apart, in words that a user can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

OPTIONS = {
    "method": "--method",
    "weights_sha256": "--weights",
    "sampler": "--sampler",
    "num_steps": "--steps",
    "num_samples": "--samples",
    "balance": "--independent",
    "spread": "--spread",
    "precision": "--precision",
    "seed": "--seed",
    "inputs.pixel_size_um": "--pixel-size",
}
"""Which option decides a setting, where the names do not tell."""

_MOST_NAMED = 3
_ABSENT = object()


def setting_differences(stored: Any, wanted: Any, name: str = "") -> Iterator[str]:
    """Yield one sentence per setting that differs, nested settings by their dotted names."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for key in sorted(stored.keys() | wanted.keys(), key=str):
            dotted = f"{name}.{key}" if name else str(key)
            yield from setting_differences(stored.get(key, _ABSENT), wanted.get(key, _ABSENT), dotted)
    elif stored != wanted:
        option = f" ({OPTIONS[name]})" if name in OPTIONS else ""
        yield f"{name}: {_shown(stored)} in the store, {_shown(wanted)} now{option}"


def cell_differences(stored: Iterable[str], wanted: Iterable[str]) -> str:
    """Say which cells are new, which are gone, or that only their order differs."""
    old, new = set(stored), set(wanted)
    parts = []
    if new - old:
        parts.append(f"{len(new - old)} not in the store ({_some(new - old)})")
    if old - new:
        parts.append(f"{len(old - new)} only in the store ({_some(old - new)})")
    return "cells: " + (", ".join(parts) or "the same, in another order")


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _some(names: set[str]) -> str:
    first = sorted(names)[:_MOST_NAMED]
    return ", ".join(first) + (", ..." if len(names) > _MOST_NAMED else "")
