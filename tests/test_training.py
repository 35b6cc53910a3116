from __future__ import annotations

from pathlib import Path

import pytest

from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.config import TrainingConfig
from dispr_cli.errors import ConfigError
from dispr_cli.training import train_on_folder
from dispr_cli.training_settings import read_settings, settings_of


def test_settings_are_checked_against_the_method_they_are_for(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("topology_weight = 1\nnum_examples = 20")
    values = read_settings(file)
    config = settings_of(ShaprConfig, values)
    assert (config.topology_weight, config.num_examples) == (1.0, 20)
    with pytest.raises(ConfigError, match=r"no setting 'topology_weight'; there are .*batch_size"):
        settings_of(TrainingConfig, values)
    # A configuration inside a configuration is not a setting.
    with pytest.raises(ConfigError, match="no setting 'augmentation'"):
        settings_of(ShaprConfig, {"augmentation": 3})


@pytest.mark.parametrize(
    ("method", "init", "message"),
    [("cylinder", None, "cylinder is not trained"), ("shapr", "default", "--init is for --method dispr")],
)
def test_what_cannot_be_trained_is_said(
    method: str, init: str | None, message: str, phantom_folder: Path, tmp_path: Path
) -> None:
    class Nobody:
        def message(self, text: str) -> None: ...
        def progress(self, step: object) -> None: ...
        def held_out(self, step: object, metrics: object) -> None: ...

    with pytest.raises(ConfigError, match=message):
        train_on_folder(method, phantom_folder, tmp_path / "w.safetensors", {}, init, Nobody())
