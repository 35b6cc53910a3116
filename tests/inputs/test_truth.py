import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.truth import read_truth

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
