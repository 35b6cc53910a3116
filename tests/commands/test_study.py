"""``dispr study`` as a user runs it; the flow itself is in tests/test_whole_study.py."""

from __future__ import annotations

from pathlib import Path

from tests.commands.in_process import dispr_here as dispr
from tests.commands.test_reconstruct import assert_told


def test_bad_input_is_told(phantom_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    assert_told(dispr("study", tmp_path / "none", "--out", out), "none")
    assert_told(dispr("study", phantom_folder, "--out", out, "--folds", 1), "--folds")
    assert_told(
        dispr("study", phantom_folder, "--out", out, "--weights-dir", tmp_path), "without weights of folds"
    )
    assert_told(
        dispr("study", phantom_folder, "--out", out / "2", "--labels", tmp_path / "none.csv"), "none.csv"
    )


def test_help_names_the_small_setting() -> None:
    assert "--small" in dispr("study", "--help").stdout
