"""Whatever a cell is called, its file stays in its folder and is told apart from every other."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispr_cli.volumes.file_names import safe_file_name

HOSTILE = [
    "../../etc/passwd",
    "/absolute",
    "C:\\windows",
    "..",
    ".",
    "",
    "nul\x00byte",
    "CON",
    "com1.tif",
    "x" * 300,
    "細" * 300,
    "\u202eright to left",
    "new\nline",
    ".hidden",
    "trailing. ",
    "a/b",
    "a\\b",
    "a:b",
    "\udcff",
]


@pytest.mark.parametrize("name", ["cell 1.tif", "image.tif#3", "Zelle-ä_1", "細胞"])
def test_plain_names_stay_readable(name: str) -> None:
    assert safe_file_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_become_one_plain_part_of_a_path(name: str, tmp_path: Path) -> None:
    safe = safe_file_name(name)
    assert (tmp_path / safe).parent == tmp_path
    assert PureWindowsPath(safe).parts == (safe,)
    assert not PureWindowsPath(safe).is_reserved()
    (tmp_path / f"{safe}_sample0.ome.tif").write_bytes(b"")
    assert len(list(tmp_path.iterdir())) == 1


def test_changed_names_do_not_collide() -> None:
    assert (
        len({safe_file_name(name) for name in [*HOSTILE, "a_b", "a b", "_CON", "x" * 301]})
        == len(HOSTILE) + 4
    )


@given(st.text())
@settings(deadline=None)
def test_any_text_becomes_a_short_name(name: str) -> None:
    safe = safe_file_name(name)
    assert 0 < len(safe.encode()) <= 130
    assert not set(safe) & set('/\\:*?"<>|\x00\n\r\t')
    assert not safe.startswith(".")
