"""The few kinds of error a user can meet, and the exit codes they end in.

Every message is one sentence or two: which file, what was found, what was
expected, what to do. Anything that is not a :class:`DisprError` is a bug.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_SOME_CELLS_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_BUG = 101
EXIT_INTERRUPTED = 130


class DisprError(Exception):
    """A condition the user can mend; its text is shown as it stands, without a traceback."""

    exit_code = EXIT_BAD_INPUT


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
