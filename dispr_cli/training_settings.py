"""Training settings by name, of a TOML file or the command line, checked against a configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
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
        If the file cannot be read, is not TOML, or gives a setting under two names.
    """
    if path is None:
        return {}
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    # A ValueError: not TOML, not UTF-8, or a number of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from error
    return _of_options(named, path)


def _of_options(named: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Give settings their names where they are called as the options of the command line are.

    Raises
    ------
    ConfigError
        If a setting stands there under both names.
    """
    values: dict[str, Any] = {}
    for name, value in named.items():
        setting = name.replace("-", "_")
        setting = _OPTIONS.get(setting, setting)
        if setting in values:
            raise ConfigError(f"{path}: gives the setting {setting} twice, as {name} too; keep one of them")
        values[setting] = value
    return values


_OPTIONS = {"examples": "num_examples"}


def settings_of(configuration: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build a configuration from settings by name; what is not named keeps its default.

    Raises
    ------
    ConfigError
        If there is no setting of a name, or a value is of another kind or impossible.
    """
    defaults = {name: value for name, value in _defaults(configuration) if not is_dataclass(value)}
    for name in values:
        if name not in defaults:
            raise ConfigError(f"there is no setting {name!r}; there are {', '.join(sorted(defaults))}")
    checked = configuration(**values)
    whole = {name: value for name, value in values.items() if type(defaults[name]) is float}
    return replace(checked, **{name: float(value) for name, value in whole.items()})


def _defaults(configuration: type[DataclassInstance]) -> Iterator[tuple[str, Any]]:
    default = configuration()
    return ((field.name, getattr(default, field.name)) for field in fields(default))
