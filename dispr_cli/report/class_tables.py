"""A classification in words: Markdown tables of scores, classes, tests and features."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """Return a table in Markdown: numbers to the right, the first column and ``words`` to the left."""
    marks = ["---", *["---" if words else "---:"] * (len(header) - 1)]
    return "\n".join(
        "| " + " | ".join(_escaped(word) for word in line) + " |" for line in (header, marks, *rows)
    )


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Write a score with its interval, ``0.52 (0.44 to 0.60)``."""
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def signed_with_interval(value: float, low: float, high: float) -> str:
    """Write a difference with its interval, ``+0.03 (-0.01 to +0.07)``."""
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def p_value(value: float) -> str:
    """Write a p-value, ``< 0.001`` where it is smaller."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _escaped(word: str) -> str:
    return " ".join(word.replace("|", "\\|").split())
