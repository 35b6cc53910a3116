"""How alike shapes of one seed are in other number formats, instruction sets, threads and on a GPU.

python -m benchmarks.scale.agreement

Every way of computing draws the same samples of the same phantoms in a process of its own; they are compared
with float32 on one thread. Beside it stands how much two samples of one cell overlap: what a difference is to
be measured by. Where there is a GPU it is among the ways. Needs neither zarr nor an image library.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.config import FOREGROUND, ReconstructConfig
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, as_read, generate_phantoms

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 5
_PLAIN = {"DISPR_KERNELS": "off"}


@dataclass(frozen=True)
class Way:
    """A way of computing.

    Attributes
    ----------
    precision, device, threads
        As the command's options.
    environment
        What switches off instructions or kernels.
    """

    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    environment: dict[str, str] = field(default_factory=dict)


REFERENCE = "float32, one thread"
WAYS = {
    REFERENCE: Way(),
    "float32, two threads": Way(threads=2),
    "float32, plain PyTorch": Way(environment=_PLAIN),
    "float32, plain PyTorch, AVX2": Way(
        environment={**_PLAIN, "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    ),
    "float32, plain PyTorch, SSE4.1": Way(
        environment={**_PLAIN, "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    ),
    "bfloat16": Way("bf16"),
    "bfloat16, plain PyTorch": Way("bf16", environment=_PLAIN),
    "GPU, float32": Way(device="cuda"),
    "GPU, bfloat16": Way("bf16", device="cuda"),
}


def draw(way: Way, num_cells: int, num_samples: int) -> NDArray[np.bool_]:
    """Draw shapes in this process, (cells, samples, 64, 64, 64)."""
    from dispr_cli.methods import MethodOptions, load_method

    torch.set_num_threads(way.threads)
    run = ReconstructConfig(device=way.device, precision=way.precision)
    method = load_method("dispr", MethodOptions(run=run))
    cells = [as_read(phantom) for phantom in generate_phantoms(num_cells, PHANTOM_CLASSES, seed=8)]
    return np.asarray(method.reconstruct(cells, num_samples, SEED) >= FOREGROUND)


def drawn_apart(name: str, num_cells: int, num_samples: int) -> NDArray[np.bool_]:
    """Draw shapes in a process of its own, whose environment decides what it computes with."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "shapes.npy"
        command = [sys.executable, "-m", "benchmarks.scale.agreement", "--draw", name, str(out)]
        command += ["--cells", str(num_cells), "--samples", str(num_samples)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **WAYS[name].environment}
        subprocess.run(command, check=True, cwd=ROOT, env=environment)
        shape = (num_cells, num_samples, 64, 64, 64)
        return np.unpackbits(np.load(out)).reshape(shape).astype(bool)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU over the last three axes."""
    axes = (-3, -2, -1)
    return (a & b).sum(axes) / np.maximum((a | b).sum(axes), 1)


def compared(shapes: NDArray[np.bool_], reference: NDArray[np.bool_]) -> dict[str, Any]:
    """Compare shapes of one way with those of the reference, sample by sample."""
    shared = overlap(shapes, reference)
    volumes, wanted = (s.sum((-3, -2, -1)).astype(float) for s in (shapes, reference))
    difference = np.abs(volumes - wanted) / wanted
    return {
        "identical": bool((shapes == reference).all()),
        "iou_mean": round(float(shared.mean()), 4),
        "iou_least": round(float(shared.min()), 4),
        "volume_difference_mean": round(float(difference.mean()), 5),
        "volume_difference_most": round(float(difference.max()), 5),
    }


def between_samples(shapes: NDArray[np.bool_]) -> float:
    """Mean IoU of two different samples of one cell."""
    count = shapes.shape[1]
    pairs = [(a, b) for a in range(count) for b in range(a)]
    return float(np.mean([overlap(shapes[:, a], shapes[:, b]).mean() for a, b in pairs]))


def main() -> None:
    """Draw and compare, or draw for another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=18)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--draw", nargs=2, metavar=("WAY", "OUT"))
    given = parser.parse_args()
    if given.draw:
        shapes = draw(WAYS[given.draw[0]], given.cells, given.samples)
        np.save(given.draw[1], np.packbits(shapes))
        return
    from benchmarks.scale.machine import write_result

    ways = [name for name, way in WAYS.items() if way.device == "cpu" or torch.cuda.is_available()]
    reference = drawn_apart(REFERENCE, given.cells, given.samples)
    found = {}
    for name in ways[1:]:
        found[name] = compared(drawn_apart(name, given.cells, given.samples), reference)
        print(name, found[name], flush=True)
    write_result(
        "agreement_gpu" if torch.cuda.is_available() else "agreement",
        "python -m benchmarks.scale.agreement",
        cells=given.cells,
        samples_of_each=given.samples,
        iou_between_samples_of_a_cell=round(between_samples(reference), 4),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        ways=found,
    )


if __name__ == "__main__":
    main()
