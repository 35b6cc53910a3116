import numpy as np

from dispr_cli.inputs.pieces import number_pieces


def test_pieces_that_touch_at_a_corner_are_one():
    foreground = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    pieces, count = number_pieces(foreground)
    assert count == 3
    assert pieces.dtype == np.int32
    assert pieces.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 3]]
    assert number_pieces(np.zeros((2, 2), bool))[1] == 0
