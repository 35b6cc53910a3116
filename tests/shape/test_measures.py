"""All measures of a cell together: right numbers in the right place, and failures that count."""

from __future__ import annotations

import numpy as np
import pytest

from dispr_cli.errors import CellError, ConfigError
from dispr_cli.shape.errors import dice, iou, slice_iou, surface_error, volume_error
from dispr_cli.shape.measures import FIGURE_4, measure_cell, measure_reconstruction, measure_volume
from dispr_cli.shape.samples import fair_crps, generalised_energy_distance
from tests.shape.solids import ball, blob

ERRORS = ("volume_error", "surface_error", "roughness_error", "mean_curvature_error")
EMPTY = np.zeros((24, 24, 24), np.float32)


def shifted(volume: np.ndarray, z: int = 0) -> np.ndarray:
    return np.roll(volume, z, axis=0)


def test_the_truth_itself_is_perfect() -> None:
    truth = ball(8, 24)
    scores = measure_cell(truth, [truth, truth])
    for sample in [*scores.samples, scores.vote]:
        assert sample["iou"] == sample["dice"] == sample["mirror_invariant_iou"] == sample["slice_iou"] == 1.0
    for name in ERRORS:
        assert scores.samples[0][name] == 0.0
    assert scores.samples[0]["surface_distance"] == pytest.approx(0, abs=1e-12)
    assert scores.together["fair_crps_volume"] == scores.together["ged_squared"] == 0.0
    assert scores.together["brier"] == scores.together["calibration_error"] == 0.0


def test_numbers_are_those_of_the_single_measures() -> None:
    truth, samples = ball(8, 24), [ball(7, 24), shifted(ball(8, 24), 3), blob(0, 24)]
    size = (0.3, 0.2, 0.2)
    scores = measure_cell(truth, samples, size)
    for sample, values in zip(samples, scores.samples, strict=True):
        assert values["iou"] == iou(sample, truth)
        assert values["dice"] == dice(sample, truth)
        assert values["slice_iou"] == slice_iou(sample, truth)
        assert values["volume_error"] == pytest.approx(volume_error(sample, truth))
        assert values["surface_error"] == pytest.approx(surface_error(sample, truth, size))
    volumes = [(sample > 0.5).sum() * 0.012 for sample in samples]
    crps = fair_crps(volumes, (truth > 0.5).sum() * 0.012)
    assert scores.together["fair_crps_volume"] == pytest.approx(crps)
    assert scores.together["relative_fair_crps_volume"] == pytest.approx(crps / scores.truth["volume"])
    assert scores.together["ged_squared"] == pytest.approx(generalised_energy_distance(samples, truth))


def test_units_follow_the_voxel_size() -> None:
    small, large = measure_volume(blob(1), (0.2, 0.2, 0.2)).values, measure_volume(blob(1)).values
    powers = {
        "volume": 3,
        "mesh_volume": 3,
        "surface_area": 2,
        "z_extent": 1,
        "roughness": 1,
        "mean_curvature": 1,
    }
    for name, power in powers.items():
        assert small[name] == pytest.approx(large[name] * 0.2**power, rel=1e-6), name
    for name in ("roughness_gauss", "boundary_voxels", "gaussian_curvature"):
        assert small[name] == pytest.approx(large[name], rel=1e-6), name


def test_binary_surfaces_lie_around_whole_voxels() -> None:
    volume = ball(9, 24)
    assert measure_volume(volume, binary=True).values == measure_volume(volume > 0.5).values
    assert (
        measure_volume(volume, binary=True).values["surface_area"]
        > measure_volume(volume).values["surface_area"]
    )


def test_thresholds() -> None:
    volume = ball(8, 24) * 0.8
    half, high = measure_volume(volume).values, measure_volume(volume, threshold=190.0).values
    assert high["volume"] < half["volume"]
    assert high["surface_area"] < half["surface_area"]
    faint = (ball(8, 24) * 100).astype(np.uint8)
    assert measure_volume(faint).values["empty"] == 1
    assert measure_volume(faint, threshold="otsu").values["volume"] == pytest.approx(half["volume"], rel=0.2)


def test_an_empty_sample_is_a_failure_and_counts() -> None:
    truth = ball(8, 24)
    scores = measure_cell(truth, [EMPTY, truth], (0.5, 0.5, 0.5))
    failed = scores.samples[0]
    assert failed["empty"] == 1.0
    assert failed["iou"] == failed["dice"] == failed["slice_iou"] == 0.0
    assert [failed[name] for name in ERRORS] == [1.0] * 4
    assert failed["surface_distance"] == failed["surface_distance_95"] == pytest.approx(24 * 0.5 * np.sqrt(3))
    assert np.isfinite(list(failed.values())).all()
    assert scores.together["fair_crps_volume"] == pytest.approx(0.0, abs=1e-9)
    assert scores.together["ged_squared"] == pytest.approx(0.0)
    assert all(np.isfinite(value) for _, _, value in scores.rows())


def test_nothing_but_failures() -> None:
    scores = measure_cell(ball(8, 24), [EMPTY])
    assert scores.vote["empty"] == 1.0
    assert scores.together["ged_squared"] == 2.0
    assert np.isnan(scores.together["sample_iou"])


def test_one_voxel_and_parts_apart() -> None:
    voxel = np.zeros((24, 24, 24), bool)
    voxel[3, 4, 5] = True
    parts = np.maximum(shifted(ball(4, 24), 6), shifted(ball(4, 24), -6))
    scores = measure_cell(ball(8, 24), [voxel, parts])
    assert all(np.isfinite(value) for _, _, value in scores.rows())
    assert scores.samples[0]["volume"] == 1.0
    assert scores.samples[1]["volume"] == pytest.approx(2 * (ball(4, 24) > 0.5).sum())
    as_truth = measure_cell(voxel, [ball(8, 24)])
    assert np.isnan(as_truth.samples[0]["slice_iou"])
    assert as_truth.samples[0]["volume_error"] > 1000


def test_the_vote_and_the_medoid() -> None:
    truth = ball(8, 24)
    samples = [ball(5, 24), ball(8, 24), ball(8.5, 24), ball(11, 24)]
    scores = measure_cell(truth, samples)
    assert scores.medoid in (1, 2)
    assert scores.vote["iou"] > 0.9
    rows = list(scores.rows())
    assert {sample for sample, _, _ in rows} == {"truth", "0", "1", "2", "3", "vote", "medoid", "all"}
    medoid_iou = [value for sample, measure, value in rows if (sample, measure) == ("medoid", "iou")]
    assert medoid_iou == [scores.samples[scores.medoid]["iou"]]


def test_threads_change_nothing() -> None:
    truth, samples = ball(8, 24), [blob(seed, 24) for seed in range(4)]
    assert list(measure_cell(truth, samples).rows()) == list(measure_cell(truth, samples, threads=3).rows())


def test_the_tangent_sphere_can_be_left_out() -> None:
    assert "tangent_radius" not in measure_volume(ball(5, 14), tangent_sphere=False).values
    assert set(FIGURE_4) <= set(measure_volume(ball(5, 14), tangent_sphere=False).values)


@pytest.mark.parametrize(
    ("truth", "samples", "message"),
    [
        (ball(8, 24), [], "no reconstruction"),
        (EMPTY, [ball(8, 24)], "no voxel above half"),
        (ball(8, 24), [ball(8, 24), ball(8, 23)], r"Sample 1: .*shape \(23, 23, 23\)"),
        (ball(8, 24), [np.full((24, 24, 24), np.nan)], "Sample 0: .*NaN"),
        (np.full((24, 24, 24), np.nan), [ball(8, 24)], "NaN"),
        (ball(8, 24)[0], [ball(8, 24)], "3D"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, samples, message: str) -> None:
    with pytest.raises(CellError, match=message):
        measure_cell(truth, samples)


def test_measured_volumes_of_other_shapes_are_refused() -> None:
    with pytest.raises(CellError, match="shape"):
        measure_reconstruction(measure_volume(ball(4, 12)), measure_volume(ball(4, 14)))
    with pytest.raises(ConfigError, match="three positive numbers"):
        measure_volume(ball(4, 12), (0.0, 1.0, 1.0))
