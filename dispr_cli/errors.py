"""The few kinds of error a user can meet, and the exit codes they end in.

Every message is one sentence or two: which file, what was found, what was
expected, what to do. Anything that is not a :class:`DisprError` is a bug.
"""

from __future__ import annotations

import unicodedata

EXIT_SOME_CELLS_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_PENDING = 3
EXIT_BUG = 101
EXIT_INTERRUPTED = 130


_LONGEST = 1500
_NEITHER_SEEN_NOR_HARMLESS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _readable(text: str) -> str:
    """Escape control and direction marks, and take the middle out of a text that fills the screen."""
    if not text.isprintable():
        text = "".join(_escaped(letter) for letter in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 400]} ... {text[-395:]}"


def _escaped(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in _NEITHER_SEEN_NOR_HARMLESS:
        return letter
    return letter.encode("unicode_escape").decode()


class DisprError(Exception):
    """A condition the user can mend; its text is shown as it stands, without a traceback."""

    exit_code = EXIT_BAD_INPUT

    def __str__(self) -> str:
        """Return the text, fit for a terminal: it may quote names and numbers from strangers' files."""
        return _readable(super().__str__())


class InputError(DisprError):
    """A file, folder or table handed in cannot be used at all."""


class CellError(DisprError):
    """One cell cannot be used; the others go on."""

    exit_code = EXIT_SOME_CELLS_FAILED


class ConfigError(DisprError):
    """An option or a setting has a value that makes no sense."""


class StoreError(DisprError):
    """An output store cannot be created, continued or read."""


class WeightsError(DisprError):
    """A file of weights is missing, damaged, of another kind, or unsafe to load."""


class RunInterruptedError(DisprError):
    """The user, or a scheduler, stopped the run; the text says what is kept."""

    exit_code = EXIT_INTERRUPTED
