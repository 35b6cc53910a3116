from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dispr_cli import config
from dispr_cli.baselines.geometric import inflate
from dispr_cli.baselines.shapr.network import ShapeNetwork
from dispr_cli.baselines.shapr.training import FORMAT
from dispr_cli.diffusion.checkpoint import write_tensors
from dispr_cli.errors import ConfigError, WeightsError
from dispr_cli.held_out import HeldOutMethod, cells_to_draw
from dispr_cli.inputs.cell import Cell
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.method import Method
from dispr_cli.methods import METHODS, MethodOptions, load_method
from dispr_cli.study.networks import NetworkRecord, network_of


def cell(name: str) -> Cell:
    mask = np.zeros((64, 64), np.bool_)
    mask[20:40, 20:40] = True
    return Cell(name, mask.astype(np.float32), mask, None, Path(name), None, (0, 0, 64, 64), False)


class Constant(Method):
    """A method whose every voxel is one number."""

    name = "constant"

    def __init__(self, value: int) -> None:
        self.value = value

    def describe(self) -> str:
        return "nothing"

    def identity(self) -> dict[str, Any]:
        return {"method": self.name, "weights_sha256": str(self.value)}

    def learned_from(self, cell: Cell) -> bool | None:
        return self.value > 1

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        return np.full((len(cells), num_samples, 64, 64, 64), self.value, np.uint8)


def test_each_cell_goes_to_the_network_that_never_saw_it() -> None:
    method = HeldOutMethod({"a": Constant(1), "b": Constant(2)}, {"a": ["x", "z"], "b": ["y"]})
    volumes = method.reconstruct([cell("y"), cell("x"), cell("z")], 2, seed=0)
    assert volumes.shape == (3, 2, 64, 64, 64)
    assert volumes[:, :, 0, 0, 0].tolist() == [[2, 2], [1, 1], [1, 1]]
    assert method.identity()["held_out_weights"] == {"a": "1", "b": "2"}
    # Names alone may deceive: the network that draws a cell says whether it learned from it.
    assert [method.learned_from(cell(name)) for name in "xyw"] == [False, True, None]
    with pytest.raises(WeightsError, match="cell w: was held out of none of the 2 trainings"):
        method.reconstruct([cell("w")], 1, seed=0)


def test_of_several_networks_that_may_draw_a_cell_the_one_recorded_draws_it() -> None:
    kept = {"a": ["x", "y"], "b": ["y", "z"]}
    method = HeldOutMethod({"a": Constant(1), "b": Constant(2)}, kept)
    records = {name: NetworkRecord(frozenset(cells)) for name, cells in kept.items()}
    for name in "xyz":
        drawn = method.reconstruct([cell(name)], 1, seed=0).max()
        assert {"a": 1, "b": 2}[network_of(name, records) or ""] == drawn
    assert method.covered == {"x", "y", "z"}


def test_networks_that_say_nothing_of_held_out_cells_are_refused() -> None:
    with pytest.raises(WeightsError, match="records no cell"):
        HeldOutMethod({"a": Constant(1)}, {"a": []})
    with pytest.raises(WeightsError, match="holds none"):
        HeldOutMethod({}, {})


def test_a_folder_of_folds_is_read_as_one_method(tmp_path: Path) -> None:
    for fold, name in enumerate(("x", "y")):
        torch.manual_seed(fold)
        facts = {"provenance": {"held_out": [name]}}
        write_tensors(
            tmp_path / f"fold{fold}.safetensors", ShapeNetwork().state_dict(), {"format": FORMAT, **facts}
        )
    alone = load_method("shapr", MethodOptions(weights=tmp_path / "fold1.safetensors"))
    together = load_method("shapr", MethodOptions(weights=tmp_path))
    cells = [cell("x"), cell("y")]
    expected = alone.reconstruct(cells[1:], 1, seed=0)[0]
    found = together.reconstruct(cells, 1, seed=0)
    np.testing.assert_array_equal(found[1], expected)
    assert not np.array_equal(found[0], expected)
    assert "2 networks" in together.describe()


def test_only_cells_that_some_fold_held_out_are_drawn(phantom_folder: Path) -> None:
    plan = plan_cells(phantom_folder)
    first, second, *_ = names = [ref.name for ref in plan.cells]
    folds = HeldOutMethod({"fold0": Constant(1)}, {"fold0": [second, first, "another"]})
    with pytest.raises(WeightsError, match=r"5 of 7 cells .* the only training .*--held-out-only .* 2 "):
        cells_to_draw(plan, folds, folds.covered, held_out_only=False)
    told: list[str] = []
    chosen = cells_to_draw(plan, folds, folds.covered, held_out_only=True, notify=told.append)
    assert [ref.name for ref in chosen.cells] == [first, second]
    assert told == ["2 of 7 cells were held out of the training, and are drawn"]
    # The same of one file, and nothing to choose for a rule.
    alone = cells_to_draw(plan, Constant(1), [names[6]], held_out_only=True)
    assert [ref.name for ref in alone.cells] == [names[6]]
    assert cells_to_draw(plan, Constant(1), [names[6]], held_out_only=False) is plan
    assert cells_to_draw(plan, inflate(), (), held_out_only=True) is plan
    with pytest.raises(WeightsError, match=r"none of the 7 cells .*they record none"):
        cells_to_draw(plan, Constant(1), (), held_out_only=True)


def test_every_name_has_a_loader_and_every_loader_a_name() -> None:
    assert set(METHODS) == set(config.METHODS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sphere", {}, "there is no method 'sphere': expected one of dispr"),
        ("shapr", {}, "--method shapr has no weights"),
        ("shapr", {"num_steps": 3}, "--steps means nothing to --method shapr"),
        ("shapr", {"sampler": "ddim"}, "--sampler means nothing"),
        ("dispr2022", {"independent": True}, "--independent means nothing to --method dispr2022"),
        ("dispr", {"variant": "full"}, "--variant means nothing to --method dispr"),
        ("dispr", {"num_steps": 0}, r"--steps \(num_steps\) is 0"),
        ("dispr", {"spread": -0.5}, "--spread is -0.5: expected a number from 0 to 10"),
        ("shapr", {"spread": 0.5}, "--spread means nothing to --method shapr"),
    ],
)
def test_what_a_method_cannot_do_is_said(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, WeightsError), match=message):
        load_method(name, MethodOptions(**options))


def test_samples_balance_unless_they_are_to_be_independent() -> None:
    assert load_method("dispr", MethodOptions()).identity()["balance"] == config.SamplerConfig().balance > 1
    assert load_method("dispr", MethodOptions(independent=True)).identity()["balance"] == 1


def test_a_folder_without_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="folder without weights of folds"):
        load_method("shapr", MethodOptions(weights=tmp_path))
