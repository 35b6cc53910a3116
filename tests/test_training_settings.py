"""What a training may not be told: every method, every setting, every kind of nonsense."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dispr_cli.config import DEVICES, TrainingConfig
from dispr_cli.diffusion.device import choose_autocast, choose_device
from dispr_cli.errors import ConfigError
from dispr_cli.training import SETTINGS, TRAINED, train_on_folder
from dispr_cli.training_settings import read_settings
from tests.commands.in_process import dispr_here
from tests.commands.test_reconstruct import assert_told

NUMBERS: list[Any] = [math.nan, math.inf, -math.inf, -1.0, 1e300, 10**30, 10**400, True, "a", [], {}]
WORDS: list[Any] = ["foo", "", 1, 0.5, True, ["cpu"], {}]
IMPOSSIBLE = [
    ("dispr", "elastic", -3),
    ("dispr", "condition_dropout", 5),
    ("dispr", "z_stretch", -1),
    ("dispr", "scale", math.nan),
    ("dispr", "weight_decay", -1),
    ("dispr", "dropout", 1.0),
    ("dispr", "warmup", 0),
    ("dispr", "validation_fraction", 0.9),
    ("dispr2022", "ema_rate", 1.0),
    ("dispr2022", "augmentation", "theirs"),
    ("shapr", "topology_resolution", 3),
    ("shapr", "topology_dimension", 3),
    ("shapr-topo", "topology_order", 0),
    ("nearest", "validation_fraction", -0.1),
]


def names(method: str) -> Iterator[tuple[str, Any]]:
    config = SETTINGS[method]({}, None)
    fields = ((field.name, getattr(config, field.name)) for field in dataclasses.fields(config))
    return ((name, value) for name, value in fields if not dataclasses.is_dataclass(value))


def hostile() -> Iterator[tuple[str, str, Any]]:
    for method in SETTINGS:
        for name, default in names(method):
            wrong = WORDS if isinstance(default, str) else NUMBERS
            yield from ((method, name, value) for value in wrong)
            if isinstance(default, int):
                yield method, name, default + 0.5
    yield from IMPOSSIBLE


def short(value: Any) -> str:
    return "huge" if value == 10**400 else repr(value)


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [pytest.param(*each, id=f"{each[0]}-{each[1]}-{short(each[2])}") for each in hostile()],
)
def test_an_impossible_setting_is_told_by_its_name(method: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name) as told:
        SETTINGS[method]({name: value}, None)
    assert "expected" in str(told.value)


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method in SETTINGS for name, _ in names(method)]
)
def test_what_is_there_may_be_given(method: str, name: str) -> None:
    default = SETTINGS[method]({}, None)
    value = getattr(default, name)
    whole = int(value) if isinstance(value, float) and value == int(value) and value >= 1 else value
    config = SETTINGS[method]({name: whole}, None)
    assert config == default
    # A whole number where a fraction may stand is recorded as one.
    assert type(getattr(config, name)) is type(value)


@pytest.mark.parametrize("method", SETTINGS)
def test_a_setting_of_another_method_is_told(method: str) -> None:
    with pytest.raises(ConfigError, match=r"no setting 'colour'; there are .*validation_fraction"):
        SETTINGS[method]({"colour": 3}, None)


def test_every_method_that_is_trained_has_settings() -> None:
    assert SETTINGS.keys() == TRAINED.keys()


@pytest.mark.parametrize("method", SETTINGS)
def test_settings_are_told_before_any_cell_is_read(method: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="validation_fraction is 'a': expected a number"):
        train_on_folder(
            method,
            tmp_path / "no such data",
            tmp_path / "new" / "w.safetensors",
            {"validation_fraction": "a"},
            None,
            None,  # type: ignore[arg-type]
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("method", ["shapr", "shapr-topo", "nearest", "dispr2022"])
def test_weights_it_cannot_start_from_are_told_before_any_cell_is_read(method: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--init"):
        train_on_folder(method, tmp_path / "no such data", tmp_path / "w", {}, "default", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "shapr", "--device", "foo"), ("unknown device 'foo'", "auto, cpu")),
        (("--method", "nearest", "--learning-rate", "-5"), ("no setting 'learning_rate'",)),
        (("--method", "nearest", "--device", "cpu"), ("no setting 'device'",)),
        (("--precision", "fp8"), ("unknown precision 'fp8'",)),
    ],
)
def test_bad_options_end_with_one_sentence(
    phantom_folder: Path, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    told = dispr_here("train", phantom_folder, "--out", tmp_path / "w.safetensors", *options)
    assert_told(told, *words)


def test_a_number_longer_than_python_reads_is_told(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("seed = " + "9" * 5000)
    with pytest.raises(ConfigError, match=r"settings\.toml: is not valid TOML"):
        read_settings(file)
    file.write_text("seed = 0x" + "f" * 5000)
    with pytest.raises(ConfigError, match="seed is a number of 20000 bits"):
        SETTINGS["dispr"](read_settings(file), None)


def test_unknown_names_of_devices_and_number_formats_are_told() -> None:
    with pytest.raises(ConfigError, match=f"unknown device 'foo': expected one of {', '.join(DEVICES)}"):
        choose_device("foo")
    with pytest.raises(ConfigError, match="unknown precision 'fp8': expected one of auto"):
        choose_autocast(choose_device("cpu"), "fp8")


def test_a_configuration_in_another_checks_itself() -> None:
    from dispr_cli.baselines.shapr.settings import ShaprConfig

    with pytest.raises(ConfigError, match="augmentation is 'ours': expected a TrainingConfig"):
        ShaprConfig(augmentation="ours")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="elastic is -1"):
        ShaprConfig(augmentation=TrainingConfig(elastic=-1.0))
