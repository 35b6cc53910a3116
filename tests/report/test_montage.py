"""The montage names its columns, fits its words, and draws cells of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from dispr_cli.report import montage, tiles
from dispr_cli.report.montage import MontageRow, draw_montage
from dispr_cli.report.page import Page
from dispr_cli.report.tiles import round_length

SIDE = 16


def _volumes(num_samples: int) -> NDArray[np.uint8]:
    volumes = np.zeros((num_samples, SIDE, SIDE, SIDE), np.uint8)
    for sample in range(num_samples):
        volumes[sample, 5 : 9 + sample, 4:12, 4:12] = 255
    return volumes


def _row(num_samples: int = 5, name: str = "cell 1.tif", voxel_size_um: float | None = 0.172) -> MontageRow:
    image = np.linspace(0, 1, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    return MontageRow(name, image, image > 0.5, _volumes(num_samples), voxel_size_um)


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the renderings out: they have tests of their own."""
    monkeypatch.setattr(tiles, "shade", lambda *_, **__: np.zeros((8, 8, 4)))


def test_picture_is_drawn_from_input_to_spread(tmp_path: Path) -> None:
    draw_montage([_row()], tmp_path / "a.png", dots_per_inch=60)
    pixels = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    assert pixels.shape[1] > 3 * pixels.shape[0]
    reddish = (pixels[..., 0] > 1.5 * pixels[..., 2]) & (pixels[..., 0] > 0.3)
    assert reddish.mean() > 0.01


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize("num_samples", [1, 2, 3, 7])
@pytest.mark.parametrize("num_rows", [1, 3])
def test_no_words_overlap(words_of: Callable[[Page], list[str]], num_samples: int, num_rows: int) -> None:
    names = ["short", "a very long name of a cell in a file" * 3, "細胞 \u202e $x$"]
    rows = [_row(num_samples, name, size) for name, size in zip(names, (0.172, None, 12.5), strict=True)]
    words = words_of(montage._composed(rows[:num_rows], 3))
    titles = ["Input", *(f"Sample {sample}" for sample in range(1, min(num_samples, 3) + 1))]
    assert set(titles) <= set(words)
    assert (f"Mean of {num_samples}" in words) == ("Spread" in words) == (num_samples > 1)
    assert "5 voxels" in words or num_rows == 1
    assert "1 µm" in words


@pytest.mark.usefixtures("flat")
def test_truth_has_a_column_when_any_cell_has_one(words_of: Callable[[Page], list[str]]) -> None:
    rows = [_row(2), replace(_row(2), truth=_volumes(1)[0])]
    assert "Ground truth" in words_of(montage._composed(rows, 3))
    assert "Ground truth" not in words_of(montage._composed(rows[:1], 3))


@pytest.mark.usefixtures("flat")
def test_cells_with_fewer_samples_leave_room(words_of: Callable[[Page], list[str]]) -> None:
    assert "Sample 2" in words_of(montage._composed([_row(1), _row(2)], 3))


@pytest.mark.usefixtures("flat")
def test_every_cell_adds_a_row(words_of: Callable[[Page], list[str]]) -> None:
    heights = [montage._composed([_row(1)] * count, 3).figure.get_figheight() for count in (1, 2, 20)]
    assert heights[2] - heights[1] == pytest.approx(18 * (heights[1] - heights[0]))


def test_volume_is_the_mean_and_spread_over_the_samples() -> None:
    counts = 64.0 * np.array([4, 5, 6])
    assert (
        montage._volume(_row(3, voxel_size_um=None))
        == f"{counts.mean():.1f} ± {counts.std(ddof=1):.1f} voxels"
    )
    assert montage._volume(_row(1, voxel_size_um=0.5)) == "32.0 µm³"
    assert montage._volume(_row(1, voxel_size_um=10.0)) == "256,000 µm³"


@pytest.mark.parametrize(
    ("most", "length"), [(5.5, 5), (2.0, 2), (1.99, 1), (0.3, 0.2), (32, 20), (1000, 1000), (0.05, 0.05)]
)
def test_scale_bars_have_round_lengths(most: float, length: float) -> None:
    assert round_length(most) == pytest.approx(length)


def test_black_image_and_empty_samples(tmp_path: Path) -> None:
    row = _row()
    empty = replace(row, image=row.image * 0, mask=row.mask & False, volumes=row.volumes * 0)
    draw_montage([empty], tmp_path / "a.png", dots_per_inch=40)
    assert (tmp_path / "a.png").stat().st_size > 0


def test_no_cells() -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        draw_montage([], Path("never.png"))
