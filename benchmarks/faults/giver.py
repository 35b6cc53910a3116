"""Gives the shards of a run out to a cluster; in a process of its own, so that it can be killed.

python -m benchmarks.faults.giver SOURCE OUT ADDRESS SECONDS_PER_CELL
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from dispr_cli.inputs.plan import plan_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster
from dispr_cli.scale.shards import Job
from dispr_cli.shape.unmeshed_area import unmeshed_area
from dispr_cli.volumes.cells import Progress
from tests.scripted_method import load_scripted

SEED, SAMPLES = 3, 2


def give(source: Path, out: Path, address: str, seconds_per_cell: float) -> Progress:
    """Run to the end."""
    load = partial(load_scripted, seconds_per_cell=seconds_per_cell)
    options = ClusterOptions(address, shard_timeout=60.0, threads=1)
    job = Job(InputSettings(), SEED, 4, area=unmeshed_area)
    return reconstruct_on_cluster(plan_cells(source), out, load, job, SAMPLES, options)[1]


if __name__ == "__main__":
    print("ready", flush=True)
    give(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
