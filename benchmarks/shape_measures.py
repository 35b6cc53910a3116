"""Time the shape measures beside trimesh, scikit-image and SciPy on real cells.

    python -m benchmarks.shape_measures ../shared/data/rbc/obj --out benchmarks/results/shape_measures.json

Both sides measure the same surface of the same cell in one process, one after the other, each from the bare
mesh; the ratio is the median over cells of their CPU times, which a busy machine disturbs least. Values are
compared too. trimesh's mean curvature and tangent sphere need the package rtree, which dispr does not;
without it they are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.shape.curvature import gaussian_curvature, mean_curvature
from dispr_cli.shape.measures import measure_cell, measure_volume
from dispr_cli.shape.mesh import Mesh, surface_mesh
from dispr_cli.shape.moments import centre_of_mass
from dispr_cli.shape.roughness import gaussian_roughness, humphrey_roughness
from dispr_cli.shape.surface_distance import distances_to_surface
from dispr_cli.shape.tangent_sphere import tangent_sphere_radius
from dispr_cli.shape.threshold import foreground, otsu_threshold

RADIUS = 2.0
DISTANCE_POINTS = 500


class BinaryCell(NamedTuple):
    """A thresholded cell, its surface, and the radius that the paper measures Gaussian curvature within."""

    inside: NDArray[np.bool_]
    mesh: Mesh
    tangent_radius: float


Measure = Callable[[BinaryCell], float]


def prepared(volume: NDArray[np.uint8]) -> BinaryCell:
    """Threshold a volume by Otsu, as the parity table does."""
    inside = foreground(volume, otsu_threshold(volume))
    mesh = surface_mesh(inside)
    return BinaryCell(inside, mesh, tangent_sphere_radius(mesh, centre_of_mass(inside)))


def bare(cell: BinaryCell) -> Mesh:
    """Return the mesh without anything computed before."""
    return Mesh(cell.mesh.vertices, cell.mesh.faces)


def theirs(cell: BinaryCell) -> trimesh.Trimesh:
    """Return trimesh's view of the same surface."""
    return trimesh.Trimesh(cell.mesh.vertices, cell.mesh.faces, process=False)


def gaussian_by_trimesh(cell: BinaryCell, radius: float) -> float:
    """Average the measure over the vertices."""
    measured = trimesh.curvature.discrete_gaussian_curvature_measure(theirs(cell), cell.mesh.vertices, radius)
    return float(measured.mean())


def mean_by_trimesh(cell: BinaryCell) -> float:
    """Average the measure over the vertices."""
    measured = trimesh.curvature.discrete_mean_curvature_measure(theirs(cell), cell.mesh.vertices, RADIUS)
    return float(measured.mean())


def humphrey_by_trimesh(cell: BinaryCell) -> float:
    """Smooth a copy, as the parity table's definition says."""
    return float(
        np.linalg.norm(cell.mesh.vertices - trimesh.smoothing.filter_humphrey(theirs(cell)).vertices)
    )


def blur_by_scipy(cell: BinaryCell) -> float:
    """Count the voxels changed by a blur, as the parity table's definition says."""
    blurred = gaussian_filter(cell.inside.astype(float), 2, mode="nearest")
    return float(((blurred > 0.5) != cell.inside).sum())


def tangent_by_trimesh(cell: BinaryCell) -> float:
    """Take the radius inside the surface whose normals point inwards, as in the parity table."""
    surface = trimesh.Trimesh(cell.mesh.vertices, cell.mesh.inside_out().faces, process=False)
    return float(trimesh.proximity.max_tangent_sphere(surface, [centre_of_mass(cell.inside)])[1][0])


def beside(cell: BinaryCell) -> NDArray[np.float64]:
    """Return some points off the surface to measure distances from."""
    return cell.mesh.vertices[:: max(len(cell.mesh.vertices) // DISTANCE_POINTS, 1)] + 1.3


# Ours first, theirs second.
COMPETITORS: dict[str, tuple[Measure, Measure]] = {
    "gaussian_curvature_r2": (
        lambda cell: float(gaussian_curvature(bare(cell), RADIUS).mean()),
        lambda cell: gaussian_by_trimesh(cell, RADIUS),
    ),
    "gaussian_curvature_tangent": (
        lambda cell: float(gaussian_curvature(bare(cell), cell.tangent_radius).mean()),
        lambda cell: gaussian_by_trimesh(cell, cell.tangent_radius),
    ),
    "roughness_humphrey": (lambda cell: humphrey_roughness(bare(cell)), humphrey_by_trimesh),
    "roughness_gauss": (lambda cell: gaussian_roughness(cell.inside), blur_by_scipy),
    "surface_mesh": (
        lambda cell: len(surface_mesh(cell.inside).faces),
        lambda cell: len(marching_cubes(np.pad(cell.inside, 1) * 255, SURFACE_LEVEL)[1]),
    ),
}

WITH_RTREE: dict[str, tuple[Measure, Measure]] = {
    "mean_curvature_r2": (lambda cell: float(mean_curvature(bare(cell), RADIUS).mean()), mean_by_trimesh),
    "tangent_radius": (
        lambda cell: tangent_sphere_radius(bare(cell), centre_of_mass(cell.inside)),
        tangent_by_trimesh,
    ),
    "surface_distance": (
        lambda cell: float(distances_to_surface(beside(cell), bare(cell)).mean()),
        lambda cell: float(trimesh.proximity.closest_point(theirs(cell), beside(cell))[1].mean()),
    ),
}


def cpu_seconds(measure: Measure, cell: BinaryCell, repeats: int) -> tuple[float, float]:
    """Return the smallest CPU time of a few runs, and the measured value."""
    taken, value = [], 0.0
    for _ in range(repeats):
        started = time.process_time()
        value = measure(cell)
        taken.append(time.process_time() - started)
    return min(taken), value


def compared(cells: list[BinaryCell]) -> dict[str, dict[str, float]]:
    """Time every pair on every cell."""
    table = {}
    competitors = COMPETITORS | (WITH_RTREE if importlib.util.find_spec("rtree") else {})
    for name, (ours, other) in competitors.items():
        ours(cells[0])
        pairs = [(cpu_seconds(ours, cell, 5), cpu_seconds(other, cell, 1)) for cell in cells]
        ratios = [b[0] / a[0] for a, b in pairs]
        table[name] = {
            "ours_ms": float(np.median([a[0] for a, _ in pairs]) * 1e3),
            "theirs_ms": float(np.median([b[0] for _, b in pairs]) * 1e3),
            "ratio_median": float(np.median(ratios)),
            "ratio_lowest": float(np.min(ratios)),
            "relative_difference_median": float(np.median([abs(a[1] / b[1] - 1) for a, b in pairs])),
        }
        print(f"{name:27s}", {key: float(f"{value:.3g}") for key, value in table[name].items()}, flush=True)
    return table


def reconstructed(volume: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Make five shapes of a cell that are a little off, as reconstructions are."""
    return [np.roll(volume, shift, axis) for shift, axis in ((2, 0), (-1, 0), (1, 1), (-2, 1), (1, 2))]


def throughput(volumes: list[NDArray[np.uint8]], threads: int) -> dict[str, float]:
    """Measure whole cells side by side: all measures of a volume, a reconstruction, and five of them."""
    jobs: dict[str, Callable[[NDArray[np.uint8]], object]] = {
        "volume": measure_volume,
        "one_sample": lambda volume: measure_cell(volume, reconstructed(volume)[:1]),
        "five_samples": lambda volume: measure_cell(volume, reconstructed(volume)),
    }
    found: dict[str, float] = {"threads": threads}
    for name, job in jobs.items():
        job(volumes[0])
        wall, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(job, volumes))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found |= {
            f"{name}_cpu_ms_per_cell": cpu / len(volumes) * 1e3,
            f"{name}_cells_per_second": len(volumes) / wall,
            f"{name}_cells_per_second_of_two_cores": 2.0 * len(volumes) / cpu,
        }
    return found


def processor() -> str:
    """Name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="3D volumes as uint8 TIFF files")
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/shape_measures.json"))
    args = parser.parse_args()
    files = sorted(args.folder.glob("*.tif"))
    files = files[:: max(len(files) // args.cells, 1)][: args.cells]
    volumes = [tifffile.imread(file) for file in files]
    rate = throughput(volumes, args.threads)
    print(rate, flush=True)
    table = compared([prepared(volume) for volume in volumes])
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    versions = {"python": platform.python_version(), "trimesh": trimesh.__version__, "numpy": np.__version__}
    result = {"machine": machine, "versions": versions, "cells": len(volumes), "all_measures": rate}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({**result, "beside_other_libraries": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
