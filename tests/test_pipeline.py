"""The main job end to end: the same bytes whatever the batch, the order or the interruption."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

import dispr_cli as dispr
from dispr_cli.baselines.geometric import cylinder
from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.errors import DisprError, StoreError
from dispr_cli.inputs import fields
from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.methods import load_denoiser
from dispr_cli.pipeline import choose_cells_at_once, read_cells, reconstruct, reconstruct_to_store
from dispr_cli.scale import shards
from dispr_cli.training_cells import split_held_out
from dispr_cli.volumes.store import VolumeStore, open_store
from tests.scripted_method import ScriptedMethod

STEPS = SamplerConfig("euler", 2)


def method(weights: Path) -> DiffusionMethod:
    return load_denoiser(weights, STEPS, device="cpu", precision="fp32")


def run(source: Path, out: Path, weights: Path, cells_at_once: int = 3, **options: object) -> VolumeStore:
    settings = {"num_samples": 2, "seed": 3, "inputs": InputSettings(), **options}
    plan = plan_cells(source, settings["inputs"])
    store, _ = reconstruct_to_store(plan, out, method(weights), cells_at_once=cells_at_once, **settings)
    return store


def volumes_by_name(store: VolumeStore) -> dict[str, np.ndarray]:
    return {row.name: store.read(index) for index, row in enumerate(store.cells) if row.is_done}


@pytest.fixture(scope="module")
def undisturbed(
    phantom_folder: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> VolumeStore:
    return run(phantom_folder, tmp_path_factory.mktemp("undisturbed") / "out.zarr", tiny_weights)


def assert_same(store: VolumeStore, expected: VolumeStore) -> None:
    found, wanted = volumes_by_name(store), volumes_by_name(expected)
    assert found.keys() == wanted.keys()
    assert all((found[name] == wanted[name]).all() for name in wanted)


def test_freed_memory_goes_back_after_each_shard(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[bool] = []
    monkeypatch.setattr(shards, "return_free_memory", lambda: returned.append(True))
    store = run(phantom_folder, tmp_path / "out.zarr", tiny_weights)
    assert len(returned) == store.grid.num_shards


def test_an_image_is_decoded_once_however_many_shards_its_cells_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.indices((200, 400))
    labels = np.where(np.hypot(y % 20 - 10, x % 20 - 10) < 8, 1 + x // 20 + 20 * (y // 20), 0)
    (tmp_path / "in").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", np.uint8(50 + x % 7 + 100 * (labels > 0)))
        tifffile.imwrite(tmp_path / "in" / f"{name}_mask.tif", labels.astype(np.uint16))
    inputs, decoded = InputSettings(), []
    plan = plan_cells(tmp_path / "in", inputs)
    original = fields.read_field

    def read(image: Path, *rest: object) -> fields.Field:
        decoded.append(image.name)
        return original(image, *rest)

    monkeypatch.setattr(fields, "read_field", read)
    store, progress = reconstruct_to_store(
        plan, tmp_path / "out.zarr", ScriptedMethod(), inputs=inputs, num_samples=1, seed=0, cells_at_once=32
    )
    assert progress.done == 400
    assert store.grid.num_shards > 4
    assert decoded == ["a.tif", "b.tif"]


@pytest.mark.parametrize("cells_at_once", [1, 16])
def test_the_number_of_cells_at_once_changes_nothing(
    phantom_folder: Path, tiny_weights: Path, undisturbed: VolumeStore, tmp_path: Path, cells_at_once: int
) -> None:
    assert_same(run(phantom_folder, tmp_path / "out.zarr", tiny_weights, cells_at_once), undisturbed)


def test_the_order_of_the_input_changes_nothing(
    phantom_folder: Path, tiny_weights: Path, undisturbed: VolumeStore, tmp_path: Path
) -> None:
    source = tmp_path / "shuffled"
    for part in ("image", "mask"):
        (source / part).mkdir(parents=True)
        for i, path in enumerate(sorted((phantom_folder / part).iterdir())):
            shutil.copy(path, source / part / f"{(5 * i + 3) % 7}.tif")
    store = run(source, tmp_path / "out.zarr", tiny_weights)
    expected = list(volumes_by_name(undisturbed).values())
    for i, wanted in enumerate(expected):
        assert (store.read(f"{(5 * i + 3) % 7}") == wanted).all()


class StoppedError(Exception):
    pass


class StopAfter:
    """Events that end a run in the middle of a shard."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def started(self, store: object, progress: object) -> None:
        pass

    def reconstructed(self, done: int, failed: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise StoppedError


def test_an_interrupted_run_keeps_what_was_finished_and_goes_on(
    phantom_folder: Path, tiny_weights: Path, undisturbed: VolumeStore, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    with pytest.raises(StoppedError):
        run(phantom_folder, out, tiny_weights, 2, events=StopAfter(2))
    kept = open_store(out)
    assert kept.progress().done == 4
    assert_table(out, done=4, pending=3)
    store = run(phantom_folder, out, tiny_weights, 2)
    assert store.progress().done == 7
    assert_same(store, undisturbed)
    assert_table(out, done=7, pending=0)


def assert_table(out: Path, done: int, pending: int) -> None:
    with (out / "cells.csv").open(newline="", encoding="utf-8-sig") as file:
        status = [row["status"] for row in csv.DictReader(file)]
    assert status.count("done") == done
    assert status.count("pending") == pending


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_process_leaves_a_store_that_can_be_continued(
    phantom_folder: Path, tiny_weights: Path, undisturbed: VolumeStore, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    command = [
        *(sys.executable, "-m", "dispr_cli", "reconstruct", str(phantom_folder), str(out)),
        *("--samples", "2", "--seed", "3", "--steps", "2", "--batch-size", "1", "--precision", "fp32"),
        *("--sampler", STEPS.sampler),
        *("--weights", str(tiny_weights), "--quiet", "--device", "cpu"),
    ]
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and not (out / "zarr.json").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert_same(open_store(out), undisturbed)


def test_one_bad_cell_never_stops_the_others(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    source = tmp_path / "cells"
    shutil.copytree(phantom_folder, source)
    bad = sorted((source / "image").iterdir())[2]
    bad.write_bytes(bad.read_bytes()[:600])
    store = run(source, tmp_path / "out.zarr", tiny_weights)
    progress = store.progress()
    assert (progress.done, progress.failed) == (6, 1)
    assert bad.name in next(row.status for row in store.cells if row.is_failed)


def test_other_settings_are_refused_with_their_names(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    run(phantom_folder, out, tiny_weights)
    with pytest.raises(StoreError, match=r"(?s)seed.*3.*4.*--overwrite"):
        run(phantom_folder, out, tiny_weights, seed=4)
    assert run(phantom_folder, out, tiny_weights, seed=4, overwrite=True).configuration["seed"] == 4


def test_in_memory_and_in_the_store_are_the_same(
    phantom_folder: Path, tiny_weights: Path, undisturbed: VolumeStore
) -> None:
    volumes = reconstruct(read_cells(phantom_folder), method(tiny_weights), num_samples=2, seed=3)
    for found, wanted in zip(volumes, volumes_by_name(undisturbed).values(), strict=True):
        assert (found == wanted).all()


def test_cells_that_cannot_be_read_are_left_out_with_a_warning_on_request(
    phantom_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "cells"
    shutil.copytree(phantom_folder, source)
    bad = sorted((source / "image").iterdir())[2]
    bad.write_bytes(bad.read_bytes()[:600])
    with pytest.raises(DisprError, match=bad.name):
        dispr.read_cells(source)
    with pytest.warns(UserWarning, match=bad.name):
        assert len(dispr.read_cells(source, on_error="warn")) == 6
    with pytest.raises(DisprError, match="'skip'"):
        dispr.read_cells(source, on_error="skip")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"num_samples": n} for n in (-1, 0, 1.5, 1001)] + [{"seed": seed} for seed in (-1, 1.5, 2**70)],
)
def test_numbers_that_make_no_sense_are_refused_from_python_too(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(dispr.DisprError, match=rf"{name}.* is .*: expected a whole number from"):
        dispr.reconstruct([], ScriptedMethod(), **options)  # type: ignore[arg-type]


def test_masks_from_elsewhere(phantom_folder: Path, tmp_path: Path) -> None:
    expected = dispr.read_cells(phantom_folder)
    shutil.copytree(phantom_folder / "image", tmp_path / "pictures")
    shutil.copytree(phantom_folder / "mask", tmp_path / "outlines")
    with pytest.raises(dispr.DisprError, match="no pair"):
        dispr.read_cells(tmp_path / "pictures")
    found = dispr.read_cells(str(tmp_path / "pictures"), masks=str(tmp_path / "outlines"))
    assert [cell.name for cell in found] == [cell.name for cell in expected]
    assert all((one.mask == other.mask).all() for one, other in zip(found, expected, strict=True))


def test_where_the_denoiser_runs_is_checked(tiny_weights: Path) -> None:
    loaded = dispr.load_denoiser(
        tiny_weights, dispr.SamplerConfig("euler", 3), device="cpu", precision="bf16"
    )
    assert loaded.device.type == "cpu"
    assert loaded.identity()["num_steps"] == 3
    with pytest.raises(dispr.DisprError, match="unknown device 'gpu': expected one of auto, cpu"):
        dispr.load_denoiser(tiny_weights, device="gpu")
    with pytest.raises(dispr.DisprError, match="unknown precision 'fp64'"):
        dispr.load_denoiser(tiny_weights, precision="fp64")


def test_the_public_names_are_listed() -> None:
    assert dir(dispr) == sorted(dispr.__all__)
    for name in dispr.__all__:
        assert getattr(dispr, name) is not None


def test_the_readme_names_what_is_public_and_nothing_else() -> None:
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bdispr\.([A-Za-z_]\w*)(?=[(`])", text)) == {*dispr.__all__} - {"__version__"}


def test_public_names_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, dispr_cli as dispr; print(sorted(m for m in sys.modules if m.startswith('dispr_cli.')));"
        "dispr.DisprError, dispr.SamplerConfig; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["[]", "[]"]


def test_focal_slices_equal_the_masks(phantom_folder: Path, undisturbed: VolumeStore) -> None:
    for cell in read_cells(phantom_folder):
        for volume in undisturbed.read(cell.name):
            inside = volume[32] > 127
            assert (inside & cell.mask).sum() / (inside | cell.mask).sum() >= 0.99


def test_held_out_cells_are_a_share_of_every_class() -> None:
    names = [f"{letter}_{i:03d}" for letter in "AB" for i in range(20)]
    held = split_held_out(names, 0.2)
    assert held.sum() == 8
    assert held[:20].sum() == held[20:].sum() == 4
    assert not split_held_out(names, 0.0).any()


@pytest.mark.parametrize(
    ("device", "micro_batch", "samples", "expected"),
    [
        ("cpu", 5, 1, 5),
        ("cpu", 5, 3, 5),
        ("cpu", 5, 5, 4),
        ("cpu", 5, 10, 4),
        ("cuda", 40, 1, 40),
        ("cuda", 40, 5, 32),
        ("cuda", 40, 10, 32),
        ("cuda", 40, 3, 40),
        ("cpu", 1, 1, 4),
    ],
)
def test_cells_at_once_leave_no_place_of_a_micro_batch_empty(
    device: str, micro_batch: int, samples: int, expected: int
) -> None:
    method = cylinder()
    method.device_type, method.micro_batch = device, micro_batch
    assert choose_cells_at_once(method, samples) == expected
    assert expected * samples % micro_batch == 0


def test_the_fast_guess_wastes_no_call_of_the_network(
    phantom_folder: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five cells of one sample each are one micro-batch; their bytes are those of each cell alone."""
    cells, network = read_cells(phantom_folder)[:5], method(tiny_weights)
    alone = np.concatenate([network.reconstruct([cell], 1, 3) for cell in cells])
    calls: list[int] = []
    draw = DiffusionMethod._draw

    def counted(self: DiffusionMethod, *given: object) -> np.ndarray:
        calls.append(1)
        return draw(self, *given)

    monkeypatch.setattr(DiffusionMethod, "_draw", counted)
    assert (reconstruct(cells, network, 1, 3) == alone).all()
    assert len(calls) == 1
