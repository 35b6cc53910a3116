"""Weights: what is written comes back, and nothing unsafe or damaged is let in."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.checkpoint import FORMAT, load_denoiser, save_denoiser
from dispr_cli.diffusion.denoiser import VolumeDenoiser
from dispr_cli.errors import WeightsError
from tests.diffusion.tiny import TINY, make_denoiser


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_denoiser(path, make_denoiser(), {"data": "none"})
    return path


def test_round_trip(weights: Path) -> None:
    checkpoint = load_denoiser(weights)
    assert checkpoint.denoiser.config == TINY
    assert checkpoint.provenance == {"data": "none"}
    for found, written in zip(checkpoint.denoiser.parameters(), make_denoiser().parameters(), strict=True):
        assert torch.equal(found, written.half().float())


def test_the_hash_is_of_the_file(weights: Path) -> None:
    import hashlib

    assert load_denoiser(weights).sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_pickles_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"x": torch.zeros(1)}, tmp_path / "zip.pt")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(WeightsError, match=r"pickled checkpoint.*not read.*safetensors"):
            load_denoiser(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_damage_is_told(weights: Path, tmp_path: Path) -> None:
    data = weights.read_bytes()
    for name, content in {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"hello, these are no weights",
    }.items():
        bad = tmp_path / f"{name}.safetensors"
        bad.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name}.safetensors: is damaged or not a safetensors file"):
            load_denoiser(bad)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing.safetensors: weights cannot be read"):
        load_denoiser(tmp_path / "nothing.safetensors")
    with pytest.raises(WeightsError, match="weights cannot be read"):
        load_denoiser(tmp_path)


def _write(path: Path, config: object, tensors: dict[str, torch.Tensor], file_format: str = FORMAT) -> Path:
    metadata = {"format": file_format, "config": config, "provenance": {}}
    save_file(tensors, path, {key: json.dumps(value) for key, value in metadata.items()})
    return path


def test_foreign_and_misfit_files(tmp_path: Path) -> None:
    tensor = {"x": torch.zeros(2)}
    with pytest.raises(WeightsError, match="of format 'other/1', expected 'dispr-denoiser/1'"):
        load_denoiser(_write(tmp_path / "a", {}, tensor, "other/1"))
    with pytest.raises(WeightsError, match="does not know"):
        load_denoiser(_write(tmp_path / "b", {"colour": 3}, tensor))
    with pytest.raises(WeightsError, match="impossible size"):
        load_denoiser(_write(tmp_path / "c", {"embedding": 10**9}, tensor))
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_denoiser(_write(tmp_path / "d", {}, tensor))


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    denoiser = make_denoiser()
    with torch.no_grad():
        next(denoiser.parameters()).fill_(float("nan"))
    save_denoiser(tmp_path / "nan.safetensors", denoiser, {})
    with pytest.raises(WeightsError, match="not finite"):
        load_denoiser(tmp_path / "nan.safetensors")


@pytest.mark.parametrize(
    "config",
    [
        {"patch": 0},
        {"patch": 3},
        {"patch": 1},
        {"channels": 5},
        {"channels": [8, 8, 8]},
        {"channels": [0, 16]},
        {"channels": [32, 56]},
        {"channels": [32, "128"]},
        {"condition_channels": [1]},
        {"condition_channels": [128, True]},
        {"blocks": [-1, 1]},
        {"blocks": [9000, 1]},
        {"embedding": 2.5},
        {"embedding": None},
        {"attention_heads": 0},
        {"attention_heads": 3},
        {"clip_distance": 0.0},
        {"sigma_max": "200"},
        {"sigma_min": 300.0},
        {"sigma_data": float("inf")},
        {"spread": -1.0},
    ],
)
def test_descriptions_of_no_possible_network(tmp_path: Path, config: dict[str, object]) -> None:
    path = _write(tmp_path / "w.safetensors", config, {"x": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"w\.safetensors: describes a network of impossible size \("):
        load_denoiser(path)


def test_a_small_file_makes_nothing_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(VolumeDenoiser):
        def __init__(self, config: DenoiserConfig) -> None:
            assert torch.empty(1).device.type == "meta", "a network was allocated"
            super().__init__(config)

    monkeypatch.setattr("dispr_cli.diffusion.checkpoint.VolumeDenoiser", Watched)
    path = _write(tmp_path / "w.safetensors", {"channels": [1024, 1024]}, {"x": torch.zeros(1)})
    with pytest.raises(WeightsError, match="do not fit the network"):
        load_denoiser(path)


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), SafetensorError("I/O error: full")]
)
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"some")
        raise failure

    monkeypatch.setattr("dispr_cli.diffusion.checkpoint.save_file", fail)
    with pytest.raises(WeightsError, match=r"w\.safetensors: cannot be written \((No space|I/O error)"):
        save_denoiser(tmp_path / "w.safetensors", make_denoiser(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"w\.safetensors: cannot be written"):
        save_denoiser(tmp_path / "file" / "w.safetensors", make_denoiser(), {})
