from __future__ import annotations

from pathlib import Path

import pytest

from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.training_facts import fold_files, read_all_training_facts, read_training_facts
from dispr_cli.errors import WeightsError
from tests.diffusion.tiny import make_denoiser


def test_facts_are_those_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "fold0.safetensors"
    save_denoiser(path, make_denoiser(), {"held_out": ["a1", "b2"]})
    facts = read_training_facts(path)
    assert facts.held_out == {"a1", "b2"}
    assert facts.sha256 == load_denoiser(path).sha256


@pytest.mark.parametrize("provenance", [{}, {"held_out": []}, {"held_out": "none"}])
def test_weights_that_record_nothing_say_so(tmp_path: Path, provenance: dict) -> None:
    save_denoiser(tmp_path / "w.safetensors", make_denoiser(), provenance)
    assert read_training_facts(tmp_path / "w.safetensors").held_out is None


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("fold1", "fold0", "fold1.state"):
        save_denoiser(tmp_path / f"{name}.safetensors", make_denoiser(), {})
    assert [facts.path.stem for facts in read_all_training_facts([tmp_path])] == ["fold0", "fold1"]
    (tmp_path / "fold0.trust.json").touch()
    assert [path.name for path in fold_files(tmp_path)] == ["fold0.safetensors", "fold1.safetensors"]
    (tmp_path / "none").mkdir()
    with pytest.raises(WeightsError, match=r"no \.safetensors file"):
        read_all_training_facts([tmp_path / "none"])
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=r"bad\.safetensors"):
        read_training_facts(tmp_path / "bad.safetensors")
