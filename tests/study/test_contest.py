from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.study.balance import add_copies, add_predicted, add_synthetic, smaller_half
from dispr_cli.study.contest import run_variant
from dispr_cli.study.folds import assign_folds
from dispr_cli.study.forest import ForestConfig, fit_forest
from dispr_cli.study.splits import repeated_folds
from dispr_cli.study.variants import VARIANTS, possible_variants
from tests.study.drawn_rows import COUNTS, NUM_FEATURES, chance_data

QUICK = ForestConfig(num_trees=20, num_selection_trees=10)
DATA = chance_data(signal=2.0)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_answers_for_every_cell_and_learns(variant) -> None:
    from dispr_cli.study.splits import network_folds

    splits = network_folds(DATA.truth.cells.tolist(), DATA.networks, 1)
    outcome = run_variant(DATA, variant, splits, QUICK)
    classes = np.array([DATA.classes.index(name) for name in DATA.truth.classes])
    assert outcome.answers.shape == (1, len(DATA.truth))
    assert (outcome.answers[0] == classes).mean() > 0.75
    used = np.flatnonzero(outcome.importances)
    assert set(used) <= set(DATA.columns_of(variant))
    assert outcome.importances.sum() == pytest.approx(1)


def test_a_variant_is_the_same_twice() -> None:
    splits = repeated_folds(DATA.truth.cells.tolist(), DATA.truth.classes.tolist(), 3, 2)
    first, second = (run_variant(DATA, VARIANTS[0], splits, QUICK).answers for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).any()


def test_a_cell_without_a_usable_prediction_counts_as_wrong() -> None:
    from dispr_cli.study.splits import network_folds

    gone = DATA.truth.cells[0]
    data = dataclasses.replace(DATA, predicted=DATA.predicted.where(DATA.predicted.cells != gone))
    splits = network_folds(DATA.truth.cells.tolist(), DATA.networks, 1)
    variant = next(variant for variant in VARIANTS if variant.name == "predicted only")
    assert run_variant(data, variant, splits, QUICK).answers[0, 0] == len(DATA.classes)


def test_what_is_possible() -> None:
    names = [v.name for v in possible_variants(predictions=False, planes=False, smote=False)]
    assert names == ["true shapes", "+ copies", "class weights"]
    assert len(possible_variants(predictions=True, planes=True, smote=True)) == len(VARIANTS)


def test_folds_are_stratified_by_given_classes_and_unchanged_by_names() -> None:
    cells, classes = DATA.truth.cells.tolist(), DATA.truth.classes.tolist()
    np.testing.assert_array_equal(assign_folds(cells, 3, 5), assign_folds(cells, 3, 5, classes))
    other = ["x" if number % 2 else "y" for number in range(len(cells))]
    fold_of = assign_folds(tuple(cells), 3, 0, other)
    counts = [[sum((fold_of == f) & (np.array(other) == c)) for c in "xy"] for f in range(3)]
    assert np.ptp(counts, axis=0).max() <= 1
    with pytest.raises(ConfigError, match="--folds"):
        repeated_folds(cells, classes, 1, 1)


def test_the_smaller_half_is_three_of_six_as_in_the_paper() -> None:
    counts = {"snd": 602, "cluster": 88, "acantho": 69, "kerato": 31, "knizo": 23, "multi": 12}
    assert smaller_half([name for name, count in counts.items() for _ in range(count)]) == (
        "multi",
        "knizo",
        "kerato",
    )


def test_predicted_shapes_fill_small_classes_up_to_the_largest() -> None:
    filled = add_predicted(DATA.truth, DATA.predicted, ["rare"], np.random.default_rng(0))
    names, counts = np.unique(filled.classes, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"common": 30, "rare": 30, "scarce": 9}
    few = add_predicted(
        DATA.truth, DATA.predicted.where(np.arange(40)), ["rare", "scarce"], np.random.default_rng(0)
    )
    assert len(few) == len(DATA.truth) + np.isin(DATA.predicted.classes[:40], ["rare", "scarce"]).sum()


def test_copies_and_synthetic_rows_even_the_classes_out() -> None:
    index = add_copies(DATA.truth.classes, np.random.default_rng(0))
    assert set(np.unique(DATA.truth.classes[index], return_counts=True)[1]) == {30}
    assert set(index) == set(range(len(DATA.truth)))
    pytest.importorskip("imblearn")
    values, classes = add_synthetic(DATA.truth.values, DATA.truth.classes, 0)
    assert set(np.unique(classes, return_counts=True)[1]) == {30}
    assert len(values) == 30 * len(COUNTS)


def test_scale_and_selection_come_from_the_training_rows_alone() -> None:
    train = DATA.truth.where(np.arange(len(DATA.truth)) % 3 != 0)
    model = fit_forest(train.values, train.classes, "none", QUICK, 0)
    np.testing.assert_allclose(model.mean, train.values.mean(axis=0))
    np.testing.assert_allclose(model.sd, train.values.std(axis=0))
    assert 0 < len(model.kept) < NUM_FEATURES
    far = np.full((1, NUM_FEATURES), np.nan)
    np.testing.assert_allclose(model.probabilities(far).sum(), 1)


def test_missing_and_constant_features_do_not_matter() -> None:
    values = DATA.truth.values.copy()
    values[::7, 2], values[:, 4], values[:, 5] = np.nan, 3.0, np.nan
    model = fit_forest(values, DATA.truth.classes, "smote", QUICK, 0)
    assert np.isfinite(model.probabilities(values)).all()
    assert not {4, 5} & set(model.kept)
