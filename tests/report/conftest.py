"""What makes a picture printable: nothing written over anything else, nothing beyond the edge."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from dispr_cli.report.page import Page


@pytest.fixture
def words_of() -> Callable[[Page], list[str]]:
    """Check that no two texts overlap, cross the edge of a picture or leave the page, and return them."""

    def check(page: Page) -> list[str]:
        page.figure.draw_without_rendering()
        texts = [text for text in page.axes.texts if text.get_text()]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        width, height = page.figure.get_size_inches() * page.figure.dpi
        for words, box in boxes:
            assert box.x0 >= 0, words
            assert box.y0 >= 0, words
            assert box.x1 <= width, words
            assert box.y1 <= height, words
        for (first, a), (second, b) in combinations(boxes, 2):
            assert not a.overlaps(b), f"{first!r} is written over {second!r}"
        for text, (words, box) in zip(texts, boxes, strict=True):
            meant = bool(text.get_path_effects())  # the outlined letters of text_on_picture
            for picture in (image.get_window_extent() for image in page.axes.images):
                shared = Bbox.intersection(box, picture)
                outside = shared is None or min(shared.width, shared.height) < 1
                inside = meant and not outside and np.allclose(shared.extents, box.extents)
                assert outside or inside, f"{words!r} is written over a picture"
        return [words for words, _ in boxes]

    return check
