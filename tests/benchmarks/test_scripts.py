"""Numbers of the documents come from scripts: each fits the package, and says how it is called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(
    ".".join(path.relative_to(BENCHMARKS.parent).with_suffix("").parts) for path in BENCHMARKS.rglob("*.py")
)
THAT_TAKE_ARGUMENTS = [
    name
    for name in SCRIPTS
    if "ArgumentParser(" in (BENCHMARKS.parent / f"{name.replace('.', '/')}.py").read_text()
]


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 40


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_what_there_is(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("name", THAT_TAKE_ARGUMENTS)
def test_says_how_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(name).main()
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out
