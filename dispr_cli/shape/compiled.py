"""How this room's kernels are compiled: on first use, kept on disk, without the GIL, and for one thread each.

Numba starts no threads here. Whole volumes are measured side by side by plain Python threads instead, which
cannot meet torch's OpenMP pool and share every core just as well.
"""

from __future__ import annotations

from typing import Any

COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
"""Options of every ``njit``. Division by 0 gives infinity, as in NumPy, which keeps branches out of loops."""

REORDERED: dict[str, Any] = {**COMPILED, "fastmath": {"contract", "arcp", "nsz", "reassoc"}}
"""Options of vectorised sums: terms may be reordered, but NaN and infinity keep their meaning."""
