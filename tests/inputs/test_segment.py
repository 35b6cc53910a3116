from pathlib import Path

import numpy as np
import pytest

from dispr_cli.errors import InputError
from dispr_cli.inputs.images import read_plane
from dispr_cli.inputs.segment import segment_otsu
from dispr_cli.inputs.settings import InputSettings
from tests.inputs.drawn_cells import disc

pytestmark = pytest.mark.usefixtures("nothing_leaks")

FILE = Path("image.tif")


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def test_bright_cells_are_found_without_debris(field):
    image = field[0].copy()
    image[5:10, 100:105] = 1000
    mask, dropped = segment_otsu(image, 4, FILE)
    assert iou(mask, field[1] > 0) > 0.97
    assert dropped == ["Otsu's threshold: 1 piece(s) of debris"]


def test_hot_pixels_do_not_hide_the_cells(field):
    image = field[0].copy()
    image[60:62, 5:8] = 65535
    mask, _ = segment_otsu(image, 20, FILE)
    assert iou(mask, field[1] > 0) > 0.95


def test_holes_are_filled():
    ring = disc((80, 80), (40, 40), 25) & ~disc((80, 80), (40, 40), 12)
    mask, dropped = segment_otsu(ring * np.uint16(500), 20, FILE)
    assert mask[40, 40]
    assert dropped == []


def test_real_cells_resemble_their_masks(rbc):
    scores = []
    for path in sorted((rbc / "image").iterdir())[::6]:
        truth = read_plane(rbc / "mask" / path.name, InputSettings(), "mask")[1] > 127
        scores.append(iou(segment_otsu(read_plane(path, InputSettings())[1], 20, path)[0], truth))
    assert np.median(scores) > 0.85


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((30, 30), 7), "one intensity throughout"),
        (np.where(np.eye(30), np.nan, 1.0), "NaN or infinite values"),
        (disc((90, 90), (5, 5), 0.5) * 100.0, "finds no cell of at least 20 pixels"),
    ],
)
def test_what_cannot_be_segmented_says_why(image, message):
    with pytest.raises(InputError, match=message):
        segment_otsu(image, 20, FILE)
