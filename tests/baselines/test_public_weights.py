"""Checkpoints of strangers: tensors are taken, bombs and objects refused before they are unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from dispr_cli.baselines import public_weights
from dispr_cli.baselines.public_weights import read_public_tensors
from dispr_cli.errors import WeightsError


def test_an_archive_that_unpacks_to_more_than_it_may_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, packed = tmp_path / "w.pt", tmp_path / "b.pt"
    torch.save({"a": torch.zeros(1_000_000)}, path)
    assert read_public_tensors(path)["a"].shape == (1_000_000,)
    with (
        zipfile.ZipFile(path) as sound,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in sound.infolist():
            bomb.writestr(entry.filename, sound.read(entry))
    assert packed.stat().st_size < 20_000
    monkeypatch.setattr(public_weights, "MAX_BYTES", 1_000_000)
    for file in (path, packed):
        with pytest.raises(WeightsError, match=r"holds 40\d{5} bytes; the largest peer"):
            read_public_tensors(file)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"\x80\2]q\0."])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.pt: (is damaged|holds no tensors)"):
        read_public_tensors(tmp_path / "w.pt")
