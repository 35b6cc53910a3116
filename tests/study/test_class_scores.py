from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from dispr_cli.study.class_scores import cell_draws, compare_answers, f1_of, score_answers

TRUTH = np.repeat([0, 1, 2], [30, 12, 8])


def answers(share_right: float, repeats: int = 3, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    other = random.integers(0, 3, (repeats, len(TRUTH)))
    return np.where(random.random(other.shape) < share_right, TRUTH, other)


def test_scores_are_those_of_scikit_learn() -> None:
    found = answers(0.6)
    scores = score_answers(found, TRUTH, 3)
    for repeat, given in enumerate(found):
        assert scores.macro_f1[repeat] == pytest.approx(f1_score(TRUTH, given, average="macro"))
        assert scores.weighted_f1[repeat] == pytest.approx(f1_score(TRUTH, given, average="weighted"))
        assert scores.balanced_accuracy[repeat] == pytest.approx(balanced_accuracy_score(TRUTH, given))
    expected = np.mean([confusion_matrix(TRUTH, given, labels=range(3)) for given in found], axis=0)
    np.testing.assert_allclose(scores.confusion[:, :3], expected)
    assert not scores.confusion[:, 3].any()


def test_no_answer_is_wrong_for_the_true_class_alone() -> None:
    given = TRUTH.copy()
    given[0] = 3
    scores = score_answers(given[None], TRUTH, 3)
    assert scores.class_f1.tolist() == pytest.approx([2 * 29 / 59, 1, 1])
    assert scores.confusion[0, 3] == 1


def test_a_class_that_is_never_met_scores_0() -> None:
    assert f1_of(np.zeros((3, 4))).tolist() == [0, 0, 0]


def test_intervals_hold_the_score_and_shrink_with_more_cells() -> None:
    scores = score_answers(answers(0.6), TRUTH, 3)
    low, high = scores.macro_f1_interval
    assert low < scores.macro_f1.mean() < high
    more = score_answers(np.tile(answers(0.6), 6), np.tile(TRUTH, 6), 3)
    assert more.macro_f1_interval[1] - more.macro_f1_interval[0] < 0.6 * (high - low)


def test_draws_keep_the_classes() -> None:
    draws = cell_draws(TRUTH)
    for own, count in enumerate((30, 12, 8)):
        assert (draws[:, own == TRUTH].sum(axis=1) == count).all()


def test_paired_tests_see_a_difference_and_none() -> None:
    given = {"good": answers(0.9, seed=1), "bad": answers(0.2, seed=2), "like good": answers(0.9, seed=3)}
    pairs = [("good", "bad"), ("good", "like good")]
    tests = compare_answers(given, TRUTH, 3, pairs)
    better, alike = (tests[pair] for pair in pairs)
    assert better.difference > 0.3
    assert better.low > 0
    assert better.adjusted_p_value < 0.01
    assert alike.low < 0 < alike.high
    assert alike.p_value > 0.05
    assert better.adjusted_p_value == pytest.approx(2 * better.p_value)


def test_a_paired_test_of_equals_is_1() -> None:
    given = {"a": answers(0.5), "b": answers(0.5)}
    assert compare_answers(given, TRUTH, 3, [("a", "b")])[("a", "b")].p_value == 1


def test_false_alarms_are_as_rare_as_promised() -> None:
    few = sum(
        compare_answers(
            {"a": answers(0.6, 1, 2 * s), "b": answers(0.6, 1, 2 * s + 1)}, TRUTH, 3, [("a", "b")]
        )[("a", "b")].p_value
        < 0.1
        for s in range(40)
    )
    assert few <= 10
