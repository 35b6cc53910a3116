"""A cell is known by its pixels, whatever it is called; what is not recorded counts as learned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dispr_cli.diffusion.checkpoint import DEFAULT_WEIGHTS, load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.known_cells import NOTHING, cells_file, known_cells, write_cells_file
from dispr_cli.errors import WeightsError


def names(cells: TrainingCells, marked: np.ndarray) -> list[str]:
    return [cells.names[index] for index in np.flatnonzero(marked)]


def test_the_digest_is_of_mask_and_image(training_cells: TrainingCells) -> None:
    digests = training_cells.digests()
    assert len(set(digests)) == len(training_cells) == 6
    renamed = dataclasses.replace(training_cells, names=tuple("uvwxyz"))
    assert renamed.digests() == digests
    # A shape that was measured anew, and outline distances that are rounded otherwise, are of the same cell.
    inside = np.where(training_cells.outline > 0, 5, -5).astype(np.int8)
    again = dataclasses.replace(training_cells, distance=training_cells.distance // 2, outline=inside)
    assert again.digests() == digests
    for changed in ("image", "outline"):
        array = getattr(training_cells, changed).copy()
        array[0, 3, 3] = 77
        other = dataclasses.replace(training_cells, **{changed: array}).digests()
        assert [a == b for a, b in zip(other, digests, strict=True)] == [False, *[True] * 5]


def test_cells_are_known_by_digest_and_not_by_name(training_cells: TrainingCells) -> None:
    first, rest = training_cells.select(np.arange(2)), training_cells.select(np.arange(2, 6))
    assert NOTHING.never_learned(training_cells).all()
    known = NOTHING.after(first)
    assert names(training_cells, known.never_learned(training_cells)) == list(rest.names)
    renamed = dataclasses.replace(training_cells, names=tuple("uvwxyz"))
    assert known.never_learned(renamed).tolist() == [False, False, True, True, True, True]
    borrowed = dataclasses.replace(rest, names=(*first.names, "y", "z"))
    assert known.never_learned(borrowed).all()
    assert known.after(rest).never_learned(training_cells).sum() == 0
    assert known.unaware_of(first).never_learned(training_cells).all()


def test_without_digests_names_decide_and_without_names_nothing_is_new(training_cells: TrainingCells) -> None:
    kept = training_cells.names[:2]
    old = known_cells({"held_out": list(kept)}, "sha")
    assert names(training_cells, old.never_learned(training_cells)) == list(kept)
    assert not known_cells({"held_out": []}, "sha").never_learned(training_cells).any()
    assert known_cells({}, "sha").unaware_of(training_cells).never_learned(training_cells).all()
    # Weights trained from those: it is not known what the first learned, but what the second kept is.
    of_second = {"learned": None, "held_out": ["other"], "held_out_digests": [training_cells.digests()[1]]}
    later = known_cells(of_second, "sha")
    assert names(training_cells, later.never_learned(training_cells)) == [training_cells.names[1]]
    assert not later.after(training_cells.select(np.array([1]))).never_learned(training_cells).any()
    assert names(
        training_cells, old.after(training_cells.select(np.array([0]))).never_learned(training_cells)
    ) == [kept[1]]


def test_a_file_beside_the_weights_says_what_they_do_not(
    training_cells: TrainingCells, tmp_path: Path
) -> None:
    weights = tmp_path / "w.safetensors"
    path = write_cells_file(weights, "sha", training_cells.select(np.arange(4)), "some")
    assert path == cells_file(weights) == tmp_path / "w.cells.json"
    assert known_cells({}, "sha", weights).never_learned(training_cells).tolist() == [False] * 4 + [True] * 2
    # Of other weights it says nothing; weights that speak for themselves do not need it.
    assert not known_cells({}, "another", weights).never_learned(training_cells).any()
    assert known_cells({"learned": []}, "sha", weights).never_learned(training_cells).all()
    for damage in ("{", "[]", json.dumps({"format": "dispr-cells/1"}), json.dumps({"format": "else"})):
        path.write_text(damage)
        with pytest.raises(WeightsError, match=r"w\.cells\.json: cannot be read"):
            known_cells({}, "sha", weights)


def test_the_file_beside_the_shipped_weights_is_theirs(training_cells: TrainingCells) -> None:
    shipped = load_denoiser()
    known = known_cells(shipped.provenance, shipped.sha256, DEFAULT_WEIGHTS)
    assert known.learned is not None
    assert len(known.learned) == 108
    assert known.never_learned(training_cells).all()


def test_the_shipped_weights_know_the_real_cells_and_no_phantom_of_a_user(
    real_cells: Path, training_cells: TrainingCells
) -> None:
    from dispr_cli.diffusion.folder import read_training_cells

    shipped = load_denoiser()
    known = known_cells(shipped.provenance, shipped.sha256, DEFAULT_WEIGHTS)
    assert not known.never_learned(read_training_cells(real_cells)).any()
    assert known.never_learned(training_cells).all()
