"""Words in CSV tables that a spreadsheet would take for formulas and run."""

from __future__ import annotations

import re

# What spreadsheets take for the beginning of a formula; also with quotes before it, so that reading is exact.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def guarded(text: str) -> str:
    """Return a word with a quote before it if it begins like a formula; a spreadsheet then shows it."""
    return "'" + text if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return a word as it was before :func:`guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
