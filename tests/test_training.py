from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dispr_cli.baselines.shapr.settings import ShaprConfig
from dispr_cli.config import FINE_TUNING_RATE, TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.held_out_metrics import HeldOut
from dispr_cli.diffusion.training_facts import read_training_facts
from dispr_cli.errors import ConfigError, InputError, WeightsError
from dispr_cli.training import our_settings, train_on_folder
from dispr_cli.training_job import TrainingJob
from dispr_cli.training_settings import read_settings, settings_of
from tests.diffusion.tiny import TINY, make_denoiser


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


class Said:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def progress(self, step: object) -> None: ...

    def held_out(self, step: object, metrics: object) -> None: ...


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispr_cli.training.DenoiserConfig", lambda: TINY)


def renamed(folder: Path, out: Path) -> Path:
    """The same cells under names that are dealt out otherwise."""
    for part in ("image", "mask", "obj"):
        (out / part).mkdir(parents=True)
        for number, path in enumerate(sorted((folder / part).iterdir())):
            shutil.copy(path, out / part / f"new_{(5 * number) % 7:03d}.tif")
    return out


@pytest.mark.usefixtures("tiny")
def test_what_the_first_training_learned_the_second_never_calls_held_out(
    phantom_folder: Path, tmp_path: Path
) -> None:
    def train(name: str, folder: Path, fraction: float, init: str | None, never_seen: bool = False) -> Said:
        said, values = Said(), {"num_examples": 2, "batch_size": 2, "validation_fraction": fraction}
        train_on_folder("dispr", folder, tmp_path / f"{name}.safetensors", values, init, said, never_seen)
        return said

    def record(name: str) -> dict[str, Any]:
        return load_denoiser(tmp_path / f"{name}.safetensors").provenance

    others = renamed(phantom_folder, tmp_path / "others")
    train("first", phantom_folder, 0.4, None)
    assert (len(record("first")["learned"]), len(record("first")["held_out"])) == (4, 3)
    init = str(tmp_path / "first.safetensors")
    said = train("second", others, 0.6, init)
    kept = record("second")["held_out_digests"]
    assert 1 <= len(kept) <= 3
    assert set(kept) <= set(record("first")["held_out_digests"])
    assert not set(kept) & set(record("second")["learned"])
    assert set(record("first")["learned"]) <= set(record("second")["learned"])
    assert any("learned from" in text and f"{4 - len(kept)} of the 4" in text for text in said.messages)
    assert any(text.startswith("before training: IoU") for text in said.messages)
    assert any(text.startswith("after training: IoU") for text in said.messages)

    train("all", phantom_folder, 0.0, None)
    said = train("none", others, 0.4, str(tmp_path / "all.safetensors"))
    assert record("none")["held_out"] == []
    assert any("all 3 held-out cells" in text and "no interval" in text for text in said.messages)
    assert read_training_facts(tmp_path / "none.safetensors").held_out is None
    with pytest.raises(ConfigError, match="record that they learned from 3 of the 3 held-out cells"):
        train("said", others, 0.4, str(tmp_path / "all.safetensors"), never_seen=True)

    # Weights from before digests: their names are all there is.
    save_denoiser(tmp_path / "old.safetensors", make_denoiser(), {"held_out": ["new_001", "new_002"]})
    said = train("after_old", others, 0.6, str(tmp_path / "old.safetensors"))
    assert set(record("after_old")["held_out"]) < {"new_001", "new_002"} or any(
        "do not record" in text for text in said.messages
    )
    assert record("after_old")["learned"] is None
    train("said", others, 0.6, str(tmp_path / "old.safetensors"), never_seen=True)
    assert len(record("said")["held_out"]) == 4


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    # Means of nine cells that differ by a thousandth from each other, as does what they gain.
    [
        ((0.6, 0.1), (0.7, 0.05), ": better than"),
        ((0.671, 0.075), (0.641, 0.225), ": worse than the weights it started from: use those"),
        ((0.6, 0.1), (0.605, 0.2), ": worse than"),
        ((0.6, 0.1), (0.5, 0.098), ": worse than"),
        ((0.6, 0.1), (0.7, 0.2), ": better in one and worse in the other"),
        ((0.691, 0.113), (0.691, 0.114), ": about as good as"),
    ],
)
def test_whether_it_was_worth_it_is_said(
    before: tuple[float, float], after: tuple[float, float], verdict: str
) -> None:
    said = Said()
    job = TrainingJob(None, None, Path("w"), {}, None, "", said)  # type: ignore[arg-type]

    def met(means: tuple[float, float], step: float) -> HeldOut:
        each = [tuple(value + step * place for place in range(-4, 5)) for value in means]
        return HeldOut(*means, 1.0, 9, *each)

    job.heard().after(met(before, 0.001), met(after, 0.0015))
    assert verdict in said.messages[0]
    assert "9 held-out cells" in said.messages[0]
    if "about as good" not in verdict:
        job.heard().after(met(before, -0.2), met(after, 0.2))
        assert "too few to tell" in said.messages[1]


def test_from_weights_on_it_learns_more_slowly_unless_told() -> None:
    assert our_settings({}, None).learning_rate == TrainingConfig().learning_rate > FINE_TUNING_RATE
    assert our_settings({}, "default").learning_rate == FINE_TUNING_RATE
    assert our_settings({"learning_rate": 0.01}, "default").learning_rate == 0.01


def test_a_place_that_cannot_be_written_is_told_before_any_cell_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    for out in (tmp_path / "file" / "w.safetensors", tmp_path / "folder.safetensors"):
        with pytest.raises(WeightsError, match=f"{out.name}: cannot be written"):
            train_on_folder("dispr", tmp_path / "no such data", out, {}, None, Said())
    with pytest.raises(InputError):
        train_on_folder(
            "dispr", tmp_path / "no such data", tmp_path / "new" / "w.safetensors", {}, None, Said()
        )
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("method", "init", "message"),
    [("cylinder", None, "cylinder is not trained"), ("shapr", "default", "--init is for --method dispr")],
)
def test_what_cannot_be_trained_is_said(
    method: str, init: str | None, message: str, phantom_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--never-seen is of the weights of --init"):
        train_on_folder("dispr", phantom_folder, tmp_path / "w.safetensors", {}, None, Said(), True)
    with pytest.raises(ConfigError, match=message):
        train_on_folder(method, phantom_folder, tmp_path / "w.safetensors", {}, init, Said())
