from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dispr_cli.errors import ConfigError, InputError
from dispr_cli.inputs.cell import Cell
from dispr_cli.sampled_volumes import load_sampled_method


def cell(name: str) -> Cell:
    return Cell(
        name, np.zeros((64, 64), np.float32), np.zeros((64, 64), bool), None, "", None, (0, 0, 64, 64), False
    )


def write(folder: Path, fold: int = 0, **changes: Any) -> Path:
    names = changes.pop("names", [f"a{fold}", f"b{fold}"])
    volumes = np.full((len(names), 3, 64, 64, 64), fold + 1, np.uint8)
    volumes[:, 1] = 100
    facts = {"method": "dispr2022", "num_steps": 4, "weights_sha256": "0", "training": {"held_out": names}}
    content = {"names": np.array(names), "volumes": volumes, "facts": np.array(json.dumps(facts))} | changes
    path = folder / f"dispr2022.fold{fold}.samples.npz"
    np.savez_compressed(path, **content)
    return path


def test_every_cell_gets_its_own_samples_in_any_order(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 1)
    method = load_sampled_method("dispr2022", tmp_path)
    assert method.covered == {"a0", "b0", "a1", "b1"}
    volumes = method.reconstruct([cell("b1"), cell("a0")], 2, seed=5)
    assert volumes.shape == (2, 2, 64, 64, 64)
    assert volumes[:, :, 0, 0, 0].tolist() == [[2, 100], [1, 100]]
    found = method.identity()
    assert (found["method"], found["num_steps"]) == ("dispr2022", 4)
    assert len(found["sampled_volumes"]) == 2
    assert "2 folds" in method.describe()


def test_more_samples_or_other_cells_than_there_are_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    method = load_sampled_method("dispr2022", tmp_path)
    with pytest.raises(ConfigError, match="only 3 were drawn"):
        method.reconstruct([cell("a0")], 4, 0)
    with pytest.raises(InputError, match="cell c: there is no volume"):
        method.reconstruct([cell("c")], 1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volumes": np.zeros((2, 3, 8, 8, 8), np.uint8)}, "expected \\(cells, samples, 64, 64, 64\\)"),
        ({"volumes": np.zeros((2, 1, 64, 64, 64), np.float32)}, "float32"),
        ({"names": []}, "0 names"),
        ({"facts": np.array("{}")}, "was held out"),
        ({"facts": np.array("no JSON")}, "holds no sampled volumes"),
        ({"facts": np.array('{"training": {"held_out": ["a0"]}}')}, "cell b0 was held out"),
    ],
)
def test_files_that_cannot_be_used_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path, **changes)
    with pytest.raises(InputError, match=message):
        load_sampled_method("dispr2022", tmp_path)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no dispr2022\.fold0\.samples\.npz"):
        load_sampled_method("dispr2022", tmp_path)
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="Copy it again"):
        load_sampled_method("dispr2022", tmp_path)


def test_folds_of_another_kind_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, 0)
    with pytest.raises(InputError, match="expected method shapr"):
        load_sampled_method("shapr", tmp_path)
    write(tmp_path, 1, names=["a0"])
    with pytest.raises(InputError, match="cell a0, which another file holds"):
        load_sampled_method("dispr2022", tmp_path)
    facts = {"method": "dispr2022", "num_steps": 5, "training": {"held_out": ["a1", "b1"]}}
    write(tmp_path, 1, facts=np.array(json.dumps(facts)))
    with pytest.raises(InputError, match="in the way of"):
        load_sampled_method("dispr2022", tmp_path)
