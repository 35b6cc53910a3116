"""All measures of one volume, of one reconstruction against its truth, and of all samples of a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispr_cli.config import SURFACE_LEVEL
from dispr_cli.errors import CellError
from dispr_cli.shape.calibration import VoxelReliability, voxel_reliability
from dispr_cli.shape.curvature import gaussian_curvature, mean_curvature
from dispr_cli.shape.errors import foreground_pair, mirrored_in_z, overlap_ratio, relative_error
from dispr_cli.shape.mesh import (
    UNIT_VOXEL,
    Mesh,
    VoxelSize,
    checked_voxel_size,
    mesh_area,
    mesh_volume,
    surface_mesh,
    z_extent,
)
from dispr_cli.shape.moments import centre_of_mass
from dispr_cli.shape.roughness import boundary_voxels, gaussian_roughness, humphrey_roughness
from dispr_cli.shape.samples import energy_distance_of, fair_crps, medoid, overlap_matrix, voxel_vote
from dispr_cli.shape.surface_distance import surface_distances
from dispr_cli.shape.tangent_sphere import tangent_sphere_radius
from dispr_cli.shape.threshold import foreground, otsu_threshold

CURVATURE_RADIUS_VOXELS = 2.0
"""Radius of the curvature measures, in voxels (the cube root of a voxel's volume)."""

FIGURE_4 = ("volume", "surface_area", "roughness", "mean_curvature")
"""The measures whose relative errors the paper's Fig. 4 shows."""

SCORED_QUANTITIES = ("volume", "surface_area", "z_extent")
"""The numbers whose distribution over the samples is scored by the fair CRPS."""


@dataclass(frozen=True)
class MeasuredVolume:
    """A volume with its surface and its measures, kept so that comparing needs nothing twice.

    Attributes
    ----------
    inside
        (Z, Y, X) bool, the foreground.
    mesh
        Its closed surface.
    values
        The measures by name, as :func:`measure_volume` lists them.
    """

    inside: NDArray[np.bool_]
    mesh: Mesh
    values: dict[str, float]


@dataclass(frozen=True)
class CellScores:
    """All numbers of one cell and one method.

    Attributes
    ----------
    truth
        Measures of the truth.
    samples
        For each sample its measures and errors. Their mean is what one random sample scores.
    vote
        Measures and errors of the voxel vote; where all samples agree, the first sample's, whose surface
        is finer than that of whole voxels.
    medoid
        Which sample overlaps best with the others; its numbers are ``samples[medoid]``.
    together
        Scores of the samples as a set: ``fair_crps_*``, also relative to the truth, ``ged_squared``,
        ``sample_iou`` (between two samples), ``brier``, ``fair_brier``, ``calibration_error``.
    reliability
        The voxels by votes, to be added up over cells.
    balance
        Samples whose noise balances, in order; 1 for independent ones.
    """

    truth: dict[str, float]
    samples: list[dict[str, float]]
    vote: dict[str, float]
    medoid: int
    together: dict[str, float]
    reliability: VoxelReliability
    balance: int = 1

    def rows(self) -> Iterator[tuple[str, str, float]]:
        """Yield (sample, measure, value) for a tidy table; sample is truth, 0, 1, ..., vote, medoid, all."""
        groups = [("truth", self.truth)]
        groups += [(str(number), values) for number, values in enumerate(self.samples)]
        groups += [("vote", self.vote), ("medoid", self.samples[self.medoid]), ("all", self.together)]
        for sample, values in groups:
            for measure, value in values.items():
                yield sample, measure, value


def measure_volume(
    volume: NDArray[Any],
    voxel_size: VoxelSize = UNIT_VOXEL,
    *,
    threshold: float | str = SURFACE_LEVEL,
    binary: bool = False,
    tangent_sphere: bool = True,
) -> MeasuredVolume:
    """Measure one volume.

    ``volume`` (voxels above the threshold), ``mesh_volume``, ``surface_area``, ``z_extent`` (of the surface),
    ``boundary_voxels``, ``roughness`` (Humphrey), ``roughness_gauss`` (voxels), ``mean_curvature`` and
    ``gaussian_curvature`` (means over the vertices of the measures within 2 voxels), ``tangent_radius`` and
    ``gaussian_curvature_tangent`` (within that radius, as in SHAPR's notebook), ``empty`` (0 or 1).

    Parameters
    ----------
    volume
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    voxel_size
        Voxel sides (z, y, x), in micrometres; all results follow its unit.
    threshold
        In grey values of [0, 255], or ``"otsu"``.
    binary
        Threshold first and lay the surface around whole voxels, as the paper and SHAPR's notebook do; else it
        lies where the occupancy crosses the threshold, which is smoother and truer.
    tangent_sphere
        Leave the two tangent-sphere measures out if False.

    Returns
    -------
    MeasuredVolume
        Every value is 0 for an empty volume, except ``empty``.

    Raises
    ------
    CellError
        If the volume is not one of the three kinds.
    ConfigError
        If the voxel size is not three positive numbers.
    """
    size = checked_voxel_size(voxel_size)
    level = otsu_threshold(volume) if threshold == "otsu" else float(threshold)
    inside = foreground(volume, level)
    mesh = surface_mesh(inside, voxel_size) if binary else surface_mesh(volume, voxel_size, level=level)
    voxels = int(np.count_nonzero(inside))
    values = {"volume": voxels * float(size.prod()), "mesh_volume": mesh_volume(mesh)}
    values |= {"surface_area": mesh_area(mesh), "z_extent": z_extent(mesh)}
    values |= {"roughness": humphrey_roughness(mesh), "roughness_gauss": float(gaussian_roughness(inside))}
    values |= {"boundary_voxels": float(boundary_voxels(inside))}
    values |= _curvatures(mesh, CURVATURE_RADIUS_VOXELS * float(np.cbrt(size.prod())))
    if tangent_sphere:
        values |= _tangent_measures(mesh, centre_of_mass(inside, voxel_size))
    return MeasuredVolume(inside, mesh, {**values, "empty": float(voxels == 0)})


def measure_reconstruction(
    prediction: MeasuredVolume, truth: MeasuredVolume, voxel_size: VoxelSize = UNIT_VOXEL
) -> dict[str, float]:
    """Compare a measured reconstruction with the measured truth.

    ``volume_error``, ``surface_error``, ``roughness_error``, ``mean_curvature_error`` (relative, as in Fig.
    4), ``iou``, ``dice``, ``mirror_invariant_iou``, ``slice_iou``, ``surface_distance`` (average) and
    ``surface_distance_95`` (in the voxel size's unit).

    An empty prediction is a failure and scores as one: overlap 0, relative errors 1, and for the surface
    distances the grid's diagonal, the largest distance there is.

    Parameters
    ----------
    prediction, truth
        From :func:`measure_volume` with the same settings.
    voxel_size
        The one they were measured with.

    Returns
    -------
    dict
        Errors and overlaps by name.

    Raises
    ------
    CellError
        If the shapes differ or the truth is empty.
    """
    inside, true_inside = foreground_pair(prediction.inside, truth.inside)
    errors = {
        f"{name.removesuffix('_area')}_error": relative_error(prediction.values[name], truth.values[name])
        for name in FIGURE_4
    }
    return errors | _overlaps(inside, true_inside) | _distances(prediction, truth, voxel_size)


def measure_cell(
    truth: NDArray[Any],
    samples: Sequence[NDArray[Any]],
    voxel_size: VoxelSize = UNIT_VOXEL,
    *,
    threshold: float | str = SURFACE_LEVEL,
    binary: bool = False,
    tangent_sphere: bool = True,
    threads: int = 1,
    measured_truth: MeasuredVolume | None = None,
    balance: int = 1,
) -> CellScores:
    """Measure a cell's truth, its samples and their vote, and score them singly and as a set.

    Parameters
    ----------
    truth
        (Z, Y, X): uint8 grey values, float occupancy in [0, 1], or bool.
    samples
        M >= 1 reconstructions of the truth's shape, in the order they were drawn.
    voxel_size
        Voxel sides (z, y, x), in micrometres.
    threshold, binary, tangent_sphere
        As for :func:`measure_volume`.
    threads
        How many volumes are measured at once. These are plain Python threads over code that releases the GIL:
        they start no thread pool of Numba or OpenMP that could meet torch's.
    measured_truth
        What :func:`measure_volume` made of ``truth`` with these settings; measured here if None.
    balance
        Samples whose noise balances, in order; 1 for independent ones. The scores of the set allow for it.

    Returns
    -------
    CellScores
        All numbers of the cell.

    Raises
    ------
    CellError
        If there is no sample, a volume is not one of the three kinds, the shapes differ, or the truth is
        empty.
    ConfigError
        If the voxel size is not three positive numbers.
    """
    _check_samples(truth, samples)
    settings: dict[str, Any] = {"binary": binary, "tangent_sphere": tangent_sphere}
    true = measured_truth or measure_volume(truth, voxel_size, threshold=threshold, **settings)

    def measured(sample: NDArray[Any]) -> tuple[MeasuredVolume, dict[str, float]]:
        volume = measure_volume(sample, voxel_size, threshold=threshold, **settings)
        return volume, volume.values | measure_reconstruction(volume, true, voxel_size)

    if threads > 1 and len(samples) > 1:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            drawn = list(pool.map(measured, samples))
    else:
        drawn = [measured(sample) for sample in samples]
    insides, scores = [volume.inside for volume, _ in drawn], [values for _, values in drawn]
    among = overlap_matrix(insides)
    vote = dict(scores[0])
    if among.min() < 1.0:
        # The vote's half is the majority, whatever threshold made the samples' foreground.
        voted = measure_volume(voxel_vote(insides), voxel_size, **settings)
        vote = voted.values | measure_reconstruction(voted, true, voxel_size)
    reliability = voxel_reliability(insides, true.inside, balance)
    together = _set_scores(true.values, scores, among, reliability, balance)
    return CellScores(true.values, scores, vote, medoid(among), together, reliability, balance)


def _check_samples(truth: NDArray[Any], samples: Sequence[NDArray[Any]]) -> None:
    """Refuse what cannot be compared before anything is measured, and say which sample it is."""
    if len(samples) == 0:
        raise CellError(
            "The cell has no reconstruction to compare with its truth; at least one was expected."
        )
    foreground_pair(truth, truth)
    for number, sample in enumerate(samples):
        try:
            foreground_pair(sample, truth)
        except CellError as error:
            raise CellError(f"Sample {number}: {error}") from error


def _curvatures(mesh: Mesh, radius: float) -> dict[str, float]:
    if mesh.is_empty:
        return {"mean_curvature": 0.0, "gaussian_curvature": 0.0}
    return {
        "mean_curvature": float(mean_curvature(mesh, radius).mean()),
        "gaussian_curvature": float(gaussian_curvature(mesh, radius).mean()),
    }


def _tangent_measures(mesh: Mesh, centre: NDArray[np.float64]) -> dict[str, float]:
    if mesh.is_empty:
        return {"tangent_radius": 0.0, "gaussian_curvature_tangent": 0.0}
    radius = tangent_sphere_radius(mesh, centre)
    # The point can lie outside a bent cell, where the search may end in a sphere turned inside out.
    within = gaussian_curvature(mesh, abs(radius)).mean()
    return {"tangent_radius": radius, "gaussian_curvature_tangent": float(within)}


def _overlaps(inside: NDArray[np.bool_], true_inside: NDArray[np.bool_]) -> dict[str, float]:
    overlap = overlap_ratio(inside, true_inside)
    central = len(true_inside) // 2
    in_slice = overlap_ratio(inside[central], true_inside[central])
    return {
        "iou": overlap,
        "dice": 2 * overlap / (1 + overlap),
        "mirror_invariant_iou": max(overlap, overlap_ratio(mirrored_in_z(inside), true_inside)),
        "slice_iou": in_slice if true_inside[central].any() else float("nan"),
    }


def _distances(prediction: MeasuredVolume, truth: MeasuredVolume, voxel_size: VoxelSize) -> dict[str, float]:
    if prediction.mesh.is_empty:
        farthest = float(np.linalg.norm(np.array(truth.inside.shape) * np.asarray(voxel_size)))
        return {"surface_distance": farthest, "surface_distance_95": farthest}
    average, nearly_all = surface_distances(prediction.mesh, truth.mesh)
    return {"surface_distance": average, "surface_distance_95": nearly_all}


def _set_scores(
    true: dict[str, float],
    scores: list[dict[str, float]],
    among: NDArray[np.float64],
    reliability: VoxelReliability,
    balance: int,
) -> dict[str, float]:
    together: dict[str, float] = {}
    for name in SCORED_QUANTITIES:
        crps = float(fair_crps([values[name] for values in scores], true[name], balance))
        together |= {f"fair_crps_{name}": crps, f"relative_fair_crps_{name}": crps / true[name]}
    with_truth = np.array([values["iou"] for values in scores])
    together["ged_squared"] = energy_distance_of(with_truth, among, balance)
    pairs = among[np.triu_indices(len(among), 1)]
    together["sample_iou"] = float(pairs.mean()) if len(pairs) else float("nan")
    together |= {"brier": reliability.brier_score, "fair_brier": reliability.fair_brier_score}
    return together | {"calibration_error": reliability.calibration_error}
