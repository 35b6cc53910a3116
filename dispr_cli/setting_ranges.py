"""Kinds of settings and the values each may have, so that every configuration is checked by the same code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dispr_cli.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_SEED = 2**63 - 1
"""The largest seed that NumPy and torch both take."""


class Range(Protocol):
    """The values that a setting may have."""

    def check(self, name: str, value: object) -> None:
        """Pass a value that may be; raises :class:`~dispr_cli.errors.ConfigError` for any other."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers from ``least`` to ``most``, and those in ``also``."""

    least: int
    most: int
    also: tuple[int, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Refuse all but whole numbers in the range; True and 1.0 are none."""
        if type(value) is not int or not (self.least <= value <= self.most or value in self.also):
            among = "".join(f"{number}, or " for number in self.also)
            most = "2**63 - 1" if self.most == MOST_SEED else self.most
            raise _refused(name, value, f"{among}a whole number from {self.least} to {most}")


@dataclass(frozen=True, slots=True)
class Number:
    """Finite numbers from ``least`` to ``most``.

    Attributes
    ----------
    above, below
        Whether ``least``, or ``most``, is no such number itself.
    """

    least: float
    most: float
    above: bool = False
    below: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse all but numbers in the range; NaN is in none."""
        fits = type(value) in (int, float) and self.least <= value <= self.most  # type: ignore[operator]
        if not fits or (self.above and value == self.least) or (self.below and value == self.most):
            least = f"above {self.least:g}" if self.above else f"from {self.least:g}"
            most = f", less than {self.most:g}" if self.below else f" to {self.most:g}"
            raise _refused(name, value, f"a number {least}{most}")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few names."""

    names: tuple[str, ...]

    def check(self, name: str, value: object) -> None:
        """Refuse all but those names."""
        if value not in self.names:
            raise ConfigError(f"unknown {name} {_shown(value)}: expected one of {', '.join(self.names)}")


@dataclass(frozen=True, slots=True)
class Nested:
    """A configuration inside another, which has checked itself; no setting that a user can name."""

    kind: type

    def check(self, name: str, value: object) -> None:
        """Refuse all but that configuration."""
        if not isinstance(value, self.kind):
            raise _refused(name, value, f"a {self.kind.__name__}")


def check_settings(configuration: DataclassInstance, ranges: Mapping[str, Range]) -> None:
    """Check every field of a configuration.

    Parameters
    ----------
    configuration
        A dataclass.
    ranges
        What each of its fields may be, by name; none may be missing.

    Raises
    ------
    ConfigError
        For the first value that cannot be.
    """
    for field in dataclasses.fields(configuration):
        ranges[field.name].check(field.name, getattr(configuration, field.name))


def _refused(name: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"{name} is {_shown(value)}: expected {expected}")


def _shown(value: Any) -> str:
    # Python refuses to write out whole numbers of many thousand digits.
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return repr(value)
