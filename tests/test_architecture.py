"""Who may import whom, as docs/architecture.md says."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dispr_cli"

ALLOWED = {
    "errors": set(),
    "setting_ranges": {"errors"},
    "config": {"errors", "setting_ranges"},
    "quality": {"errors", "config"},
    "threads": set(),
    "ordered_work": set(),
    "durable": {"errors"},
    "inputs": {"errors", "config", "ordered_work"},
    "method": {"inputs"},
    "volumes": {"errors", "config", "durable"},
    "shape": {"errors", "config"},
    "report": {"errors", "config", "durable", "shape"},
    "study": {"errors", "config", "shape"},
    "scale": {"errors", "config", "ordered_work", "threads", "inputs", "method", "diffusion", "volumes"},
    "morphology": {"errors", "config", "durable", "inputs", "ordered_work", "shape", "study", "volumes"},
    "classification": {"errors", "config", "durable", "morphology", "report", "shape", "study", "volumes"},
    "diffusion": {"errors", "config", "setting_ranges", "durable", "inputs", "method", "shape"},
    "baselines": {"errors", "config", "setting_ranges", "inputs", "method", "diffusion"},
    "training_settings": {"errors"},
    "training_job": {"errors", "diffusion"},
    "trust_measurement": {"config", "diffusion", "shape"},
    "held_out": {"errors", "config", "inputs", "method", "study"},
    "sampled_volumes": {"errors", "config", "inputs", "method", "diffusion"},
    "diagnosis": {"errors", "threads", "diffusion"},
    "pictures": {"errors", "inputs", "diffusion", "report", "volumes"},
    "pipeline": {"errors", "config", "ordered_work", "inputs", "method", "scale", "shape", "volumes"},
    "methods": {"errors", "config", "method", "diffusion", "baselines", "held_out"},
    "training_cells": {"errors", "inputs", "study", "diffusion"},
    "training": {
        *("errors", "config", "study", "diffusion", "baselines"),
        *("training_settings", "training_cells", "training_job", "trust_measurement"),
    },
    "scoring": {
        *("errors", "config", "durable", "ordered_work", "inputs", "volumes", "shape", "study", "report"),
        "classification",
    },
    "evaluation": {"errors", "threads", "shape", "volumes", "scoring"},
    "peers": {
        *("errors", "config", "inputs", "method", "diffusion", "study", "scale", "scoring", "methods"),
        *("held_out", "sampled_volumes", "pipeline", "training", "training_job", "evaluation"),
    },
    "speed": {"errors", "config", "threads", "diffusion", "report", "methods"},
    "whole_study": {
        *("errors", "config", "durable", "inputs", "diffusion", "study", "scale", "morphology"),
        *("classification", "methods", "pipeline", "training", "training_job"),
    },
}
"""Rooms that each may import, besides itself; ``commands`` may import all, and nobody ``commands``."""

UNBOUND = {"commands", "__main__"}

FOREIGN = {
    "typer": {"commands", "__main__"},
    "rich": {"commands"},
    "zarr": {"volumes"},
    "numcodecs": {"volumes"},
    "google_crc32c": {"volumes"},
    "tifffile": {"inputs", "volumes"},
    "imagecodecs": {"inputs"},
    "roifile": {"inputs"},
    "numba": {"shape", "inputs", "baselines"},
    "matplotlib": {"report"},
    "trimesh": {"volumes", "shape"},
    "safetensors": {"diffusion"},
    "sklearn": {"study"},
    "imblearn": {"study"},
    "pyarrow": {"morphology"},
}
"""Rooms that may import a foreign library; everybody may import what is not named."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "dispr_cli":
            other = parts[1]
            if other == "__version__" or other == room:
                continue
            assert other != "commands" or room == "__main__", f"{room} imports {module}"
            assert room in UNBOUND or other in ALLOWED[room], f"{room} must not import {module}"
        elif parts[0] in FOREIGN:
            assert room in FOREIGN[parts[0]], f"{parts[0]} is imported in {room}"


def test_every_room_is_listed_and_none_that_is_not_there() -> None:
    assert ALLOWED.keys() | UNBOUND == {room_of(path) for path in FILES}
    assert set().union(*ALLOWED.values()) <= ALLOWED.keys()


def test_data_flows_one_way() -> None:
    """No room may reach itself through those it may import."""
    try:
        tuple(TopologicalSorter(ALLOWED).static_order())
    except CycleError as error:
        pytest.fail(f"rooms that may import each other in a circle: {' <- '.join(error.args[1])}")


def test_the_sampler_does_not_know_the_network() -> None:
    ours = {m for m in imported_modules(PACKAGE / "diffusion" / "sampler.py") if m.startswith("dispr_cli")}
    assert ours == {"dispr_cli.config.SamplerConfig"}


def test_no_file_is_named_after_nothing_or_longer_than_a_sitting() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "util", "helpers", "common", "misc", "base"}, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 350, path


def test_the_level_of_the_surface_stands_once() -> None:
    for path in FILES:
        if path.relative_to(PACKAGE).as_posix() in ("config.py", "inputs/labels.py"):  # there a JPEG's grey
            continue
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        numbers = {node.value for node in nodes if isinstance(node, ast.Constant)}
        assert not numbers & {127, 127.5}, f"{path.name}: SURFACE_LEVEL and FOREGROUND are in config.py"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, dispr_cli.__main__; heavy = {'torch', 'numpy', 'numba', 'zarr', 'scipy', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_the_list_of_commands_is_drawn_without_rich() -> None:
    code = (
        "import sys; from dispr_cli.__main__ import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\nprint({'rich.markdown'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "reconstruct" in found.stdout
    assert found.stdout.splitlines()[-1] == "set()"


def test_no_network_library_is_imported_anywhere() -> None:
    for path in FILES:
        names = {module.split(".")[0] for module in imported_modules(path)}
        assert not names & {"requests", "urllib", "http", "httpx", "aiohttp", "ftplib"}, path
