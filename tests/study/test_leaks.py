"""Nothing of a tested cell may train: not its shape, not a copy, not a network that saw it.

The data are pure chance, so that only a leak can make a classifier better than chance.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dispr_cli.errors import ConfigError
from dispr_cli.study import contest
from dispr_cli.study.class_scores import score_answers
from dispr_cli.study.contest import run_variant, training_rows
from dispr_cli.study.forest import ForestConfig
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.study.published import score_as_published
from dispr_cli.study.rows import refuse_leaks, rows_for_testing, rows_for_training
from dispr_cli.study.splits import Split, network_folds
from dispr_cli.study.variants import FILLED, PREDICTED, STACKED, TRUE, VARIANTS, Variant
from tests.study.drawn_rows import chance_data

QUICK = ForestConfig(num_trees=30, num_selection_trees=0)
DATA = chance_data()
SPLITS = network_folds(DATA.truth.cells.tolist(), DATA.networks, 1)


def macro_f1(variant: Variant, data: contest.StudyData = DATA) -> float:
    outcome = run_variant(data, variant, SPLITS, QUICK)
    index = {name: place for place, name in enumerate(data.classes)}
    truth = np.array([index[name] for name in data.truth.classes.tolist()])
    return float(score_answers(outcome.answers, truth, len(index)).macro_f1.mean())


def variant_named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: f"fold{split.fold}")
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_no_row_of_a_tested_cell_trains(variant: Variant, split: Split) -> None:
    train = training_rows(DATA, variant, split)
    assert not set(train.cells) & split.test_cells
    for name in set(train.networks) - {""}:
        shown = set(train.cells[train.networks == name])
        assert DATA.networks[name].held_out >= (shown if variant.train == STACKED else split.test_cells)
    if variant.train == TRUE:
        assert set(train.cells) | split.test_cells == set(DATA.truth.cells)


@pytest.mark.parametrize(
    "name", ["true shapes", "+ predicted shapes", "+ predicted spread", "predicted only", "stacked only"]
)
def test_chance_stays_chance(name: str) -> None:
    assert macro_f1(variant_named(name)) < 0.5


def test_a_copy_that_leaks_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same data with the guards taken away: what the two tests above would see of a leak."""
    monkeypatch.setattr(contest, "refuse_leaks", lambda *_, **__: None)
    monkeypatch.setattr(contest, "rows_for_training", lambda rows, *_: rows)
    assert macro_f1(variant_named("+ predicted shapes")) > 0.8


def test_the_last_guard_refuses_what_the_first_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "rows_for_training", lambda rows, *_: rows)
    with pytest.raises(ConfigError, match="leak"):
        macro_f1(variant_named("true shapes"))


def test_a_network_that_saw_a_tested_cell_is_refused() -> None:
    split = SPLITS[0]
    others = DATA.predicted.where(~np.isin(DATA.predicted.cells, list(split.test_cells)))
    with pytest.raises(ConfigError, match="not kept from all cells"):
        refuse_leaks(others, split.test_cells, DATA.networks)
    kept = rows_for_training(DATA.predicted, split.test_cells, DATA.networks)
    assert set(kept.networks) == {"net0"}
    tested = rows_for_testing(DATA.predicted, split.test_cells, DATA.networks)
    assert (set(tested.networks), set(tested.cells)) == ({"net0"}, split.test_cells)


def test_a_stacked_shape_by_a_network_that_saw_its_cell_is_refused() -> None:
    split = SPLITS[0]
    known = DATA.predicted.where(
        (DATA.predicted.networks == "net0") & ~np.isin(DATA.predicted.cells, list(split.test_cells))
    )
    refuse_leaks(known, split.test_cells, DATA.networks)
    with pytest.raises(ConfigError, match="trained on its cell"):
        refuse_leaks(known, split.test_cells, DATA.networks, stacked=True)


def test_without_a_network_that_may_serve_nothing_is_run() -> None:
    blind = dict.fromkeys(DATA.networks, NetworkRecord(None))
    data = dataclasses.replace(DATA, networks=blind)
    with pytest.raises(ConfigError, match="trained on one of these"):
        training_rows(data, Variant("x", "x", train=FILLED), SPLITS[0])
    with pytest.raises(ConfigError, match="would leak"):
        network_folds(DATA.truth.cells.tolist(), blind, 1)


def test_a_network_that_saw_none_of_the_cells_serves_every_fold() -> None:
    data = dataclasses.replace(DATA, networks=DATA.networks | {"net0": NetworkRecord(None, True)})
    rows = training_rows(data, Variant("x", "x", train=PREDICTED), SPLITS[1])
    assert "net0" in set(rows.networks)
    assert not set(rows.cells) & SPLITS[1].test_cells


def test_the_published_protocol_leaks_and_shows_it() -> None:
    """On pure chance it reports a good classifier, for it has seen the tested cells' copies."""
    honest = score_as_published(DATA, QUICK, with_predicted=False)
    leaking = score_as_published(DATA, QUICK, with_predicted=True)
    assert honest.copied_share == 0
    assert leaking.copied_share > 0.3
    assert leaking.macro_f1.mean() > honest.macro_f1.mean() + 0.2


def test_the_published_protocol_takes_few_cells() -> None:
    few = np.concatenate([np.flatnonzero(DATA.truth.classes == name)[:5] for name in DATA.classes])
    data = dataclasses.replace(DATA, truth=DATA.truth.where(few))
    assert np.isfinite(score_as_published(data, QUICK, with_predicted=False).macro_f1).all()


@pytest.mark.parametrize("samples", [1, 2])
def test_a_varied_row_knows_nothing_of_tested_cells(samples: int) -> None:
    """Neither their true shapes nor any sample of them, nor what other networks drew, may move a row."""
    variant, split = variant_named("+ predicted spread"), SPLITS[0]
    drawn = DATA.predicted.where(
        np.arange(len(DATA.predicted)) % (6 * len(DATA.truth)) < samples * len(DATA.truth)
    )
    data = dataclasses.replace(DATA, predicted=drawn)
    tested = np.isin(DATA.truth.cells, list(split.test_cells))
    forbidden = np.isin(drawn.cells, list(split.test_cells)) | (drawn.networks != "net0")
    spoilt = dataclasses.replace(
        data,
        truth=dataclasses.replace(DATA.truth, values=np.where(tested[:, None], 1e6, DATA.truth.values)),
        predicted=dataclasses.replace(drawn, values=np.where(forbidden[:, None], 1e6, drawn.values)),
    )
    first, second = (training_rows(found, variant, split) for found in (data, spoilt))
    np.testing.assert_array_equal(first.values, second.values)
    assert set(first.networks) == {"", "net0"}
