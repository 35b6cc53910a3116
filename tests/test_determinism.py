"""The same bytes over threads, parts, a cluster, a resume, and two runs at once on one store."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.scale import agreement
from dispr_cli.config import ReconstructConfig
from dispr_cli.inputs.plan import Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.method import Method
from dispr_cli.methods import MethodOptions, load_method
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.scale.parts import WHOLE, Part
from dispr_cli.scale.shards import Job
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.layout import row_file, shard_file
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.verify import verify_store
from tests.scale.test_cluster import contents
from tests.scripted_method import ScriptedMethod

SEED, SAMPLES = 5, 2


@pytest.fixture(scope="module")
def plan(phantom_folder: Path) -> Plan:
    return plan_cells(phantom_folder)


@pytest.fixture(scope="module")
def load(tiny_weights: Path) -> partial[Method]:
    run = ReconstructConfig(device="cpu", precision="fp32")
    return partial(load_method, "dispr", MethodOptions(weights=tiny_weights, num_steps=1, run=run))


def reconstruct(plan: Plan, out: Path, method: Method, part: Part = WHOLE) -> VolumeStore:
    store, _ = reconstruct_to_store(
        plan,
        out,
        method,
        inputs=InputSettings(),
        num_samples=SAMPLES,
        seed=SEED,
        cells_at_once=2,
        part=part,
    )
    return store


@pytest.fixture(scope="module")
def wanted(plan: Plan, load: partial[Method], tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What one undisturbed process with one thread computes: voxels and table."""
    with threads(1):
        return contents(reconstruct(plan, tmp_path_factory.mktemp("calm") / "out.zarr", load()))


class threads:  # noqa: N801 - reads as a statement
    def __init__(self, number: int) -> None:
        self.number, self.before = number, torch.get_num_threads()

    def __enter__(self) -> None:
        torch.set_num_threads(self.number)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before)


def test_two_threads(plan: Plan, load: partial[Method], wanted: list[bytes], tmp_path: Path) -> None:
    with threads(2):
        assert contents(reconstruct(plan, tmp_path / "out.zarr", load())) == wanted


@pytest.mark.parametrize("count", [2, 3, 4])
def test_parts_in_any_order(
    plan: Plan, load: partial[Method], wanted: list[bytes], tmp_path: Path, count: int
) -> None:
    method = load()
    for index in (*range(2, count + 1), 1):
        store = reconstruct(plan, tmp_path / "out.zarr", method, Part(index, count))
    assert contents(store) == wanted


def test_resumed(plan: Plan, load: partial[Method], wanted: list[bytes], tmp_path: Path) -> None:
    out, method = tmp_path / "out.zarr", load()
    reconstruct(plan, out, method, Part(1, 3))
    reconstruct(plan, out, method, Part(3, 3))
    # As a kill leaves them: a shard without its rows, and a torn shard.
    row_file(out, 0).unlink()
    shard_file(out, 2).write_bytes(shard_file(out, 2).read_bytes()[:-9])
    assert contents(reconstruct(plan, out, method)) == wanted


@pytest.fixture
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as running:
        yield running.scheduler_address


def test_a_cluster(
    plan: Plan, load: partial[Method], wanted: list[bytes], tmp_path: Path, cluster: str
) -> None:
    from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster

    job = Job(InputSettings(), SEED, 2, area=unmeshed_area)
    store, _ = reconstruct_on_cluster(
        plan, tmp_path / "out.zarr", load, job, SAMPLES, ClusterOptions(cluster, threads=1)
    )
    assert contents(store) == wanted


def _run_when_all_are_ready(source: Path, out: Path, ready: object) -> None:
    plan = plan_cells(source)
    ready.wait()  # type: ignore[attr-defined]
    reconstruct(plan, out, ScriptedMethod(seconds_per_cell=0.02), Part(1, 1))


def test_runs_started_at_once_on_one_store_all_end_right(
    phantom_folder: Path, plan: Plan, tmp_path: Path
) -> None:
    context, out = multiprocessing.get_context("spawn"), tmp_path / "out.zarr"
    ready = context.Barrier(2)
    runs = [
        context.Process(target=_run_when_all_are_ready, args=(phantom_folder, out, ready)) for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert [run.exitcode for run in runs] == [0, 0]
    calm = reconstruct(plan, tmp_path / "calm.zarr", ScriptedMethod())
    assert contents(open_store(out)) == contents(calm)
    assert verify_store(out).damages == []
    assert not [*tmp_path.glob(".*.partial")]


def test_other_ways_of_computing_draw_the_same_shapes() -> None:
    """What docs/reliability.md promises across number formats and instruction sets."""
    reference = agreement.drawn_apart(agreement.REFERENCE, 1, 2)
    assert reference.any()
    for name in ("bfloat16", "float32, plain PyTorch, AVX2"):
        found = agreement.compared(agreement.drawn_apart(name, 1, 2), reference)
        assert found["iou_least"] > 0.98, (name, found)
        assert found["volume_difference_most"] < 0.02, (name, found)
    # Two samples of one cell differ far more: the tolerance means something.
    assert agreement.between_samples(reference) < 0.9
