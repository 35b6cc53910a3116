"""Words on a page fit, are drawn letter by letter, and a picture is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from dispr_cli.errors import StoreError
from dispr_cli.report.page import Page, printable, shortened


def test_page_has_its_size_and_pictures_their_place(tmp_path: Path) -> None:
    page = Page(2.0, 1.0)
    page.image(1.0, 0.0, 1.0, 0.5, np.zeros((4, 4)), cmap="gray", vmin=0, vmax=1)
    page.save(tmp_path / "new" / "a.png", 50)
    pixels = matplotlib.image.imread(tmp_path / "new" / "a.png")
    assert pixels.shape[:2] == (50, 100)
    assert pixels[:25, 50:, :3].max() == 0
    assert pixels[:, :50, :3].min() == 1
    assert pixels[25:, :, :3].min() == 1


def test_names_are_no_formulas_and_need_no_font(recwarn: pytest.WarningsRecorder, tmp_path: Path) -> None:
    page = Page(2.0, 1.0)
    page.text(1.0, 0.5, "$x^2$ 100 % \\frac 細胞 \u202e\n\x00", 7)
    page.save(tmp_path / "a.png", 50)
    assert not recwarn.list


def test_letters_that_cannot_be_drawn_are_marked() -> None:
    assert printable("µm ± é") == "µm ± é"
    assert printable("a\u202e細\n") == "a\ufffd\ufffd\ufffd"


@pytest.mark.parametrize("words", ["W" * 200, "i" * 500, "ab $ cd" * 40, " "])
def test_long_names_lose_their_middle(words: str) -> None:
    short = shortened(words, 7, 1.4, "bold")
    if words == " ":
        assert short == words
        return
    assert short.startswith(words[:3])
    assert short.endswith(words[-3:])
    assert "…" in short
    page = Page(3, 1)
    page.text(1.5, 0.5, short, 7, weight="bold")
    page.figure.draw_without_rendering()
    assert page.axes.texts[0].get_window_extent().width / page.figure.dpi < 1.5


def test_short_names_stay() -> None:
    assert shortened("cell 1.tif", 7, 1.4) == "cell 1.tif"


def test_unwritable_picture(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"a.png: the picture cannot be written"):
        Page(1, 1).save(tmp_path / "file" / "a.png", 20)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        Page(1, 1).save(tmp_path / "folder.png", 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]
