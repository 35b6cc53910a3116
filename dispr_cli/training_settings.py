"""Training settings by name, of a TOML file or the command line, checked against a configuration."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dispr_cli.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)


def read_settings(path: Path | None) -> dict[str, Any]:
    """Read the settings in a TOML file.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from error


def settings_of(configuration: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build a configuration from settings by name; what is not named keeps its default.

    Raises
    ------
    ConfigError
        If there is no setting of a name, or a value is of another kind or impossible.
    """
    defaults = {
        field.name: value
        for field in dataclasses.fields(configuration)
        if isinstance(value := getattr(configuration(), field.name), tuple(_KINDS))
    }
    checked = dict(values)
    for name, value in values.items():
        if name not in defaults:
            raise ConfigError(f"there is no setting {name!r}; there are {', '.join(sorted(defaults))}")
        kind = type(defaults[name])
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            checked[name] = float(value)
        elif type(value) is not kind:
            raise ConfigError(f"the setting {name} is {value!r}, expected {_KINDS[kind]}")
    return configuration(**checked)


_KINDS = {int: "a whole number", float: "a number", str: "a text in quotes"}
