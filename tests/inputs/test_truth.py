import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.truth import read_truth, read_truth_volume

pytestmark = pytest.mark.usefixtures("nothing_leaks")

CUBE = np.zeros((64, 64, 64), np.uint8)
CUBE[20:40, 10:50, 5:60] = 255


@pytest.mark.parametrize(
    "stored",
    [CUBE, CUBE > 0, CUBE // 255, (CUBE > 0).astype(np.float32), (CUBE > 0) * np.uint16(65535)],
)
def test_any_two_values_become_0_and_255(save, stored):
    assert np.array_equal(read_truth(save("a.tif", stored)), CUBE)


def test_values_in_between_are_kept(rbc):
    path = sorted((rbc / "obj").iterdir())[0]
    truth = read_truth(path)
    assert truth.dtype == np.uint8
    assert len(np.unique(truth)) > 5


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (CUBE[:32], "Y=64, X=64, uint8, expected 64 x 64 x 64 voxels"),
        (CUBE * 0, "the ground truth is empty"),
        (CUBE.astype(np.int16) - 1, "negative, NaN or complex"),
        (np.where(CUBE, np.nan, 0), "negative, NaN or complex"),
    ],
)
def test_what_is_no_ground_truth_is_refused(save, stored, message):
    with pytest.raises(InputError, match=message):
        read_truth(save("a.tif", stored))


def test_a_truncated_truth(save):
    path = save("a.tif", CUBE, compression="zlib")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_truth(path)


def test_any_grid_with_its_voxel_size(save):
    metadata = {"axes": "ZYX", "PhysicalSizeZ": 0.3, "PhysicalSizeY": 0.1, "PhysicalSizeX": 0.11}
    ome = read_truth_volume(save("a.ome.tif", CUBE[15:35, :30], ome=True, metadata=metadata))
    assert ome.occupancy.shape == (20, 30, 64)
    assert ome.voxel_size_um == pytest.approx((0.3, 0.1, 0.11))
    metadata = {"axes": "ZYX", "spacing": 0.3, "unit": "um"}
    imagej = save("b.tif", CUBE[15:35], imagej=True, resolution=(10, 5), metadata=metadata)
    assert read_truth_volume(imagej).voxel_size_um == pytest.approx((0.3, 0.2, 0.1))
    assert read_truth_volume(save("c.tif", CUBE)).voxel_size_um is None


def test_planes_without_a_spacing_have_no_voxel_size(save):
    metadata = {"axes": "ZYX", "PhysicalSizeY": 0.1, "PhysicalSizeX": 0.1}
    assert read_truth_volume(save("a.ome.tif", CUBE, ome=True, metadata=metadata)).voxel_size_um is None


def test_numpy_arrays(tmp_path):
    np.save(tmp_path / "a.npy", CUBE > 0)
    assert np.array_equal(read_truth_volume(tmp_path / "a.npy").occupancy, CUBE)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (CUBE[0], "expected an array of three axes"),
        (np.array([{"a": 1}]), "cannot be read"),
        (np.full((2, 2, 2), np.nan), "NaN"),
        (CUBE * 0, "empty"),
        (np.zeros((0, 4, 4)), "empty"),
    ],
)
def test_numpy_arrays_that_are_no_truth(tmp_path, stored, message):
    np.save(tmp_path / "a.npy", stored, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_truth_volume(tmp_path / "a.npy")


def test_a_truncated_numpy_array(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        read_truth_volume(tmp_path / "a.npy")


@pytest.mark.parametrize("stored", [CUBE[0], CUBE[:, :, :3], CUBE[None].repeat(2, 0)])
def test_stacks_of_other_axes(save, stored):
    with pytest.raises(InputError, match="expected a stack of three axes"):
        read_truth_volume(save("a.tif", stored, photometric="rgb" if stored.shape[-1] == 3 else "minisblack"))


def test_a_truth_that_is_too_large_is_not_decoded(save, monkeypatch):
    monkeypatch.setattr("dispr_cli.inputs.truth.MOST_VOXELS", 1000)
    with pytest.raises(InputError, match="more than 1,000 voxels"):
        read_truth_volume(save("a.tif", CUBE))


def test_a_garbled_header_is_told(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes().replace(b"}", b"("))
    with pytest.raises(InputError, match=r"a\.npy: the NumPy array cannot be read"):
        read_truth_volume(tmp_path / "a.npy")
