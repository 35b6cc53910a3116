"""A Dask cluster computes what one process computes, whatever happens to its workers."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from dispr_cli.errors import ConfigError, DisprError, StoreError
from dispr_cli.inputs.plan import Plan, plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.pipeline import reconstruct_to_store
from dispr_cli.scale.shards import Job
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.cells import Progress
from dispr_cli.volumes.store import VolumeStore, open_store
from dispr_cli.volumes.verify import verify_store
from tests.scripted_method import ScriptedMethod, load_scripted

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from dispr_cli.scale import cluster, connection, shard_task  # noqa: E402
from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster  # noqa: E402

JOB = Job(InputSettings(), seed=3, cells_at_once=2, area=unmeshed_area)


@pytest.fixture(scope="module")
def plan(phantom_folder: Path) -> Plan:
    return plan_cells(phantom_folder)


@pytest.fixture(scope="module")
def calm(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> VolumeStore:
    out = tmp_path_factory.mktemp("calm") / "out.zarr"
    inputs = InputSettings()
    store, _ = reconstruct_to_store(
        plan, out, ScriptedMethod(), inputs=inputs, num_samples=2, seed=3, cells_at_once=2
    )
    return store


@pytest.fixture(scope="module")
def workers() -> Iterator[str]:
    """Address of a real scheduler with two workers, all in this process."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


def run(plan: Plan, out: Path, address: str, **options: Any) -> tuple[VolumeStore, Progress]:
    load = options.pop("load", load_scripted)
    timeout = options.pop("timeout", 60.0)
    job = options.pop("job", JOB)
    return reconstruct_on_cluster(plan, out, load, job, 2, ClusterOptions(address, timeout), **options)


def contents(store: VolumeStore) -> list[bytes]:
    cells = [store.read(index).tobytes() for index in range(store.num_cells)]
    return [*cells, (store.path / "cells.csv").read_bytes()]


def test_a_cluster_computes_what_one_process_computes(
    plan: Plan, calm: VolumeStore, workers: str, tmp_path: Path
) -> None:
    store, progress = run(plan, tmp_path / "out.zarr", workers)
    assert progress == Progress(7, 0, 0)
    assert contents(store) == contents(calm)
    assert store.grid.num_shards > 1
    assert verify_store(store.path).damages == []


def test_a_begun_store_is_finished_and_a_finished_one_left_alone(
    plan: Plan, calm: VolumeStore, workers: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    run(plan, out, workers)
    before = {path: path.stat().st_mtime_ns for path in (out / "0").rglob("*") if path.is_file()}
    (out / "dispr_rows" / "000003.json").unlink()
    store, _ = run(plan, out, workers)
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert [path.relative_to(out).parts[2] for path in changed] == ["3"]
    assert contents(store) == contents(calm)


def test_other_pixels_are_refused_and_nothing_of_an_earlier_run_is_used(
    phantom_folder: Path, workers: str, tmp_path: Path
) -> None:
    """Workers outlive a run, and so might images that they decoded for it."""
    source, out = tmp_path / "in", tmp_path / "out.zarr"
    shutil.copytree(phantom_folder, source)
    before = run(plan_cells(source), out, workers)[0].read(0)
    (mask, *_) = sorted((source / "mask").iterdir())
    tifffile.imwrite(mask, tifffile.imread(mask)[::-1, ::-1])
    with pytest.raises(StoreError, match="other images or masks than the input holds now"):
        run(plan_cells(source), out, workers)
    after = run(plan_cells(source), out, workers, overwrite=True)[0].read(0)
    assert np.array_equal(after, before[:, :, ::-1, ::-1])
    assert not np.array_equal(after, before)


def test_a_worker_with_other_weights_writes_nothing(plan: Plan, workers: str, tmp_path: Path) -> None:
    loads = iter([ScriptedMethod(tag="a"), ScriptedMethod(tag="b")])
    shard_task._loaded.clear()
    with pytest.raises(DisprError, match=r"differs in tag: give the workers the same weights"):
        run(plan, tmp_path / "out.zarr", workers, load=partial(_next_of, _Loads(loads)))
    assert open_store(tmp_path / "out.zarr").progress().done == 0


class _Loads:
    """What each call of load returns; workers in this process see the same object."""

    shared: Iterator[ScriptedMethod]

    def __init__(self, loads: Iterator[ScriptedMethod]) -> None:
        _Loads.shared = loads


def _next_of(loads: _Loads) -> ScriptedMethod:
    return next(_Loads.shared)


def test_a_worker_of_another_version_is_refused(
    plan: Plan, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_task, "__version__", "9.9")
    with pytest.raises(DisprError, match=r"a worker has dispr 9\.9, the run has"):
        run(plan, tmp_path / "out.zarr", workers)


def test_a_store_that_cannot_be_written_ends_the_run(
    plan: Plan, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full at shard 1")

    monkeypatch.setattr(VolumeStore, "write_draft", full)
    with pytest.raises(StoreError, match="disk is full"):
        run(plan, tmp_path / "out.zarr", workers)


@pytest.mark.parametrize("error", [OSError(5, "the sensor is gone"), TimeoutError("too slow")])
def test_what_fails_on_a_worker_is_not_taken_for_a_lost_scheduler(
    plan: Plan, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ScriptedMethod, "reconstruct", fail)
    shard_task._loaded.clear()
    with pytest.raises(DisprError, match=f"could not do its shard.*{error.args[-1]}"):
        run(plan, tmp_path / "out.zarr", workers)


def test_cells_that_fail_are_told_and_tried_again_once(plan: Plan, workers: str, tmp_path: Path) -> None:
    cells = [*plan.cells]
    cells[2] = dataclasses.replace(cells[2], problem="its mask is torn")
    broken = dataclasses.replace(plan, cells=cells)
    told: list[tuple[str, str]] = []

    class Listener:
        def started(self, store: object, progress: object) -> None:
            pass

        def reconstructed(self, done: int, failed: list[tuple[str, str]]) -> None:
            told.extend(failed)

    for job in (JOB, dataclasses.replace(JOB, retry_failed=True)):
        _, progress = run(broken, tmp_path / "out.zarr", workers, job=job, events=Listener())
        assert progress == Progress(6, 1, 0)
    assert told == [(cells[2].name, "its mask is torn")] * 2


def test_a_retry_whose_worker_was_lost_is_given_out_again(
    plan: Plan, workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the store tells that these cells were not tried again, so the run has to remember it."""
    broken = dataclasses.replace(
        plan, cells=[dataclasses.replace(ref, problem="its mask is torn") for ref in plan.cells]
    )
    _, progress = run(broken, tmp_path / "out.zarr", workers)
    assert progress == Progress(0, 7, 0)
    one_round, rounds = cluster._one_round, list[list[int]]()

    def lost_at_first(running: cluster._Run, link: connection.Connection, shards: Sequence[int]) -> set[int]:
        rounds.append(list(shards))
        return one_round(running, link, shards) if len(rounds) > 1 else set()

    monkeypatch.setattr(cluster, "_one_round", lost_at_first)
    _, progress = run(plan, tmp_path / "out.zarr", workers, job=dataclasses.replace(JOB, retry_failed=True))
    assert progress == Progress(7, 0, 0)
    assert len(rounds) == 2
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("address", ["local", "local:0", "local:x", "somewhere", "http://a:1", "a b:8786"])
def test_addresses_that_make_no_sense(plan: Plan, tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="--dask is"):
        run(plan, tmp_path / "out.zarr", address)


def test_nobody_answers(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAIT_SECONDS", 0.0)
    with pytest.raises(DisprError, match="no scheduler answers there"):
        run(plan, tmp_path / "out.zarr", "tcp://127.0.0.1:9")
    assert not (tmp_path / "out.zarr").exists()


def test_what_is_waited_for_is_said_once_and_an_interrupt_ends_it_at_once(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No client is made while nobody listens: its end would be waited for, and it would complain."""
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 2.5)
    monkeypatch.setattr(connection, "_SAY_AFTER", 0.0)
    made: list[object] = []
    monkeypatch.setattr(distributed, "Client", lambda *given, **named: made.append(given))
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://127.0.0.1:9"}')
    for address in ("127.0.0.1:9", str(file)):
        told: list[str] = []
        with pytest.raises(DisprError, match=r"no scheduler answers there.*check the address"):
            run(plan, tmp_path / "out.zarr", address, notify=told.append)
        (said,) = told
        assert said.startswith(f"waiting for the scheduler at {address} (up to")
    assert made == []


def test_workers_die_and_hang_and_nothing_is_lost(plan: Plan, calm: VolumeStore, tmp_path: Path) -> None:
    markers = {"kills_itself_if": tmp_path / "die", "hangs_if": tmp_path / "hang"}
    for marker in markers.values():
        marker.touch()
    store, progress = run(
        plan, tmp_path / "out.zarr", "local:2", load=partial(load_scripted, **markers), timeout=5.0
    )
    assert progress == Progress(7, 0, 0)
    assert contents(store) == contents(calm)
    assert not any(marker.exists() for marker in markers.values())
