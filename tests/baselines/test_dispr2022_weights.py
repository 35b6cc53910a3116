"""Weights of the published network: ours and public ones come back, anything else is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from dispr_cli.baselines.dispr2022.settings import NetworkConfig
from dispr_cli.baselines.dispr2022.unet import PublishedNetwork
from dispr_cli.baselines.dispr2022.weights import FORMAT, load_dispr2022, save_dispr2022
from dispr_cli.diffusion.checkpoint import write_tensors
from dispr_cli.errors import ConfigError, WeightsError
from tests.baselines.tiny2022 import TINY, make_network


def same(a: PublishedNetwork, b: PublishedNetwork) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_ours_come_back(tmp_path: Path) -> None:
    path = tmp_path / "ours.safetensors"
    save_dispr2022(path, make_network(), {"data": "none"})
    weights = load_dispr2022(path)
    assert weights.network.config == TINY
    assert weights.provenance == {"data": "none"}
    assert same(weights.network, make_network())
    assert not weights.network.training


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_public_checkpoints_come_back(tmp_path: Path, prefix: str, zipped: bool) -> None:
    network = make_network(NetworkConfig())
    path = tmp_path / "savedmodel045000.pt"
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    weights = load_dispr2022(path)
    assert same(weights.network, network)
    assert weights.provenance == {}
    assert len(weights.sha256) == 64


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_checkpoints_with_code_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"time_embed.0.weight": torch.zeros(1), "x": Bomb()}, tmp_path / "zip.pt")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(WeightsError, match="could run code and were not read") as caught:
            load_dispr2022(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_another_network_is_told(tmp_path: Path) -> None:
    torch.save(make_network().state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(
        WeightsError, match=r"tiny\.pt: does not hold the network of DISPR \(2022\): \d+ tensors"
    ):
        load_dispr2022(tmp_path / "tiny.pt")
    state = make_network(NetworkConfig()).state_dict()
    torch.save({**state, "label_emb.weight": torch.zeros(2, 2)}, tmp_path / "more.pt")
    with pytest.raises(WeightsError, match=r"1 tensors .* \(first: label_emb.weight\)"):
        load_dispr2022(tmp_path / "more.pt")


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    network = make_network()
    with torch.no_grad():
        network.out[2].weight[0, 0, 0, 0, 0] = float("nan")
    save_dispr2022(tmp_path / "nan.safetensors", network, {})
    with pytest.raises(WeightsError, match="diverged"):
        load_dispr2022(tmp_path / "nan.safetensors")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (None, "does not know"),
        ({"channels": 4}, "does not know"),
        ({"channels": 10**9, "multipliers": [1], "attention_levels": [], "groups": 1}, "impossible size"),
        ({"channels": 4, "multipliers": [1], "attention_levels": [], "groups": 0}, "impossible size"),
        ({"channels": "4", "multipliers": [1], "attention_levels": [], "groups": 1}, "impossible size"),
        ({"channels": 4, "multipliers": [], "attention_levels": [], "groups": 1}, "impossible size"),
        ({"channels": 4, "multipliers": 3, "attention_levels": [], "groups": 1}, "impossible size"),
    ],
)
def test_impossible_descriptions_are_told(tmp_path: Path, network: object, message: str) -> None:
    path = tmp_path / "odd.safetensors"
    write_tensors(path, {"x": torch.zeros(1)}, {"format": FORMAT, "network": network})
    with pytest.raises(WeightsError, match=message):
        load_dispr2022(path)


def test_missing_and_other_files_are_told(tmp_path: Path, tiny_weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        load_dispr2022(tmp_path / "gone.safetensors")
    with pytest.raises(WeightsError, match=r"gone\.pt"):
        load_dispr2022(tmp_path / "gone.pt")
    with pytest.raises(WeightsError, match=FORMAT):
        load_dispr2022(tiny_weights)


def test_channels_that_cannot_be_grouped() -> None:
    with pytest.raises(ConfigError, match="48 channels cannot be divided into 32 groups"):
        NetworkConfig(channels=48)
