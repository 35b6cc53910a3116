"""Training settings from a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

from dispr_cli.config import TrainingConfig
from dispr_cli.errors import ConfigError


def read_settings(path: Path | None) -> TrainingConfig:
    """Read the settings in a TOML file; what it does not name keeps its default.

    Raises
    ------
    ConfigError
        If the file cannot be read, or names a setting that does not exist or a value of another kind.
    """
    if path is None:
        return TrainingConfig()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error})") from error
    defaults = dataclasses.asdict(TrainingConfig())
    for name, value in values.items():
        if name not in defaults:
            raise ConfigError(f"{path}: has no setting {name!r}; there are {', '.join(sorted(defaults))}")
        kind = type(defaults[name])
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            values[name] = float(value)
        elif type(value) is not kind:
            raise ConfigError(f"{path}: {name} is {value!r}, expected {_KINDS[kind]}")
    return TrainingConfig(**values)


_KINDS = {int: "a whole number", float: "a number", str: "a text in quotes"}
