"""Do phantoms look like real cells? Prints statistics of both, class by class, and keeps them as JSON.

    python -m benchmarks.phantom_statistics --cells 40

Real cells are read from ../shared/data/rbc, and left out where that folder is absent.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

from dispr_cli.config import FOREGROUND, SURFACE_LEVEL
from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, Phantom, generate_phantoms

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "rbc"
REAL_PREFIXES = {"cell_cluster": "A_", "keratocyte": "B_", "knizocyte": "C_", "multilobate": "D_"}
Triple = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def shape_statistics(volume: NDArray[np.uint8]) -> dict[str, float]:
    """Size, place and orientation of a volume on its grid, in voxels."""
    inside = volume >= FOREGROUND
    points = np.argwhere(inside).astype(float)
    centre, low, high = points.mean(axis=0), points.min(axis=0), points.max(axis=0)
    squares, axes = np.linalg.eigh(np.cov(points.T))
    vertices, faces, _, _ = marching_cubes(np.pad(volume, 1).astype(np.float32), SURFACE_LEVEL)
    surface = mesh_surface_area(vertices, faces)
    return {
        "volume": float(inside.sum()),
        "surface": float(surface),
        "sphericity": float(np.pi ** (1 / 3) * (6 * inside.sum()) ** (2 / 3) / surface),
        "solidity_of_box": float(inside.sum() / np.prod(high - low + 1)),
        "z_extent": float(high[0] - low[0] + 1),
        "xy_extent": float((high[1:] - low[1:] + 1).mean()),
        "mass_above_centre": float(centre[0] - 32),
        "mass_offset_size": float(abs(centre[0] - 32)),
        "share_above": float(centre[0] > 32),
        "longest": float(2 * squares[2] ** 0.5),
        "middle": float(2 * squares[1] ** 0.5),
        "shortest": float(2 * squares[0] ** 0.5),
        "short_axis_upright": float(abs(axes[0, 0])),
        "mirror_iou": float((inside & inside[::-1]).sum() / (inside | inside[::-1]).sum()),
        "grey_share": float(((volume > 12) & (volume < 243)).sum() / surface),
        "parts": float(ndimage.label(inside)[1]),
    }


def slice_statistics(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, float]:
    """Outline of the mask, and the brightness of the image around it in grey levels."""
    cell = mask >= FOREGROUND
    filled = ndimage.binary_fill_holes(cell)
    distance = ndimage.distance_transform_edt(cell) - ndimage.distance_transform_edt(~cell)
    overlaps = [((image > t) & cell).sum() / ((image > t) | cell).sum() for t in range(10, 160, 3)]
    smooth = ndimage.gaussian_filter(image.astype(float), 1.0)
    detail = image - smooth
    slope = np.hypot(*np.gradient(image.astype(float)))
    statistics = {
        "mask_area": float(cell.sum()),
        "mask_parts": float(ndimage.label(cell)[1]),
        "mask_hollow": float(filled.sum() / cell.sum() - 1),
        "hollow_share": float(filled.sum() - cell.sum() > 10),
        "threshold": float(10 + 3 * np.argmax(overlaps)),
        "threshold_iou": float(max(overlaps)),
        "brightest": float(np.percentile(image, 99.8)),
        "edge_slope": float(slope[np.abs(distance) < 1.6].mean()),
        "inside_variation": _spread(image, distance > 4),
        "inside_detail": _spread(detail, distance > 4),
        "outside_detail": _spread(detail, distance < -8),
    }
    for near, far in ((-16, -12), (-10, -6), (-5, -3), (1, 2), (3, 5), (6, 8), (10, 14)):
        band = (distance >= near) & (distance <= far)
        statistics[f"brightness_{near}_to_{far}"] = float(image[band].mean()) if band.any() else np.nan
    return statistics


def _spread(values: NDArray[np.generic], where: NDArray[np.bool_]) -> float:
    return float(values[where].std()) if where.sum() > 20 else float("nan")


def real_cells(prefix: str) -> Iterator[Triple]:
    """Image, mask and volume of every real cell of a class."""
    for path in sorted((REAL / "obj").glob(f"{prefix}*.tif")):
        yield tuple(tifffile.imread(REAL / kind / path.name) for kind in ("image", "mask", "obj"))  # type: ignore[misc]


def summarise(cells: Iterator[Triple]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over cells of every statistic."""
    rows = [shape_statistics(volume) | slice_statistics(image, mask) for image, mask, volume in cells]
    return {
        name: (
            float(np.nanmean(values)) if np.isfinite(values).any() else float("nan"),
            float(np.nanstd(values)) if np.isfinite(values).any() else float("nan"),
        )
        for name in rows[0]
        for values in [np.array([row[name] for row in rows])]
    }


def volume_um3(phantom: Phantom) -> float:
    """Volume of a phantom as it was segmented from its stack, stretched and blurred."""
    return float((phantom.volume >= FOREGROUND).sum()) * phantom.voxel_size_um**3


def compare(phantom_class: str, cells: int, seed: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Statistics of a class's phantoms, and of its real cells where there are any."""
    phantoms = list(generate_phantoms(cells, [phantom_class], seed))
    found = {"phantom": summarise((p.image, p.mask, p.volume) for p in phantoms)}
    swollen = np.array([volume_um3(p) / p.body_volume_um3 for p in phantoms])
    found["phantom"]["volume_over_body"] = (float(swollen.mean()), float(swollen.std()))
    prefix = REAL_PREFIXES.get(phantom_class)
    if prefix and REAL.is_dir():
        found["real"] = summarise(real_cells(prefix))
    return found


def show(phantom_class: str, found: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Print one class's table."""
    print(f"\n{phantom_class:24s} {'phantom':>19s} {'real':>19s}  difference in real deviations")
    for name, (mean, deviation) in found["phantom"].items():
        line = f"{name:24s} {mean:10.2f} ±{deviation:8.2f}"
        if name in found.get("real", {}):
            real, real_deviation = found["real"][name]
            line += f" {real:10.2f} ±{real_deviation:8.2f}"
            line += f"  {(mean - real) / real_deviation:+6.2f}" if real_deviation > 0 else ""
        print(line)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=40, help="phantoms per class")
    parser.add_argument("--classes", default=",".join(PHANTOM_CLASSES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results" / "phantom_statistics.json"
    )
    options = parser.parse_args()
    results = {name: compare(name, options.cells, options.seed) for name in options.classes.split(",")}
    for name, found in results.items():
        show(name, found)
    setting = {"phantoms_per_class": options.cells, "seed": options.seed, "machine": platform.machine()}
    options.out.write_text(json.dumps({"setting": setting, "classes": results}, indent=1) + "\n")
    print(options.out)


if __name__ == "__main__":
    main()
