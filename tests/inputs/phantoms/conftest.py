from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, Phantom, generate_phantom

SEEDS = 30


@pytest.fixture(autouse=True)
def nothing_leaks():
    """Compiling for the first time may say something on the screen; that is nobody's message."""


@cache
def phantoms_of(phantom_class: str) -> tuple[Phantom, ...]:
    return tuple(generate_phantom(phantom_class, seed) for seed in range(SEEDS))


@pytest.fixture(scope="session", params=PHANTOM_CLASSES)
def one_class(request: pytest.FixtureRequest) -> tuple[Phantom, ...]:
    return phantoms_of(request.param)


@pytest.fixture(scope="session")
def all_classes() -> dict[str, tuple[Phantom, ...]]:
    return {name: phantoms_of(name) for name in PHANTOM_CLASSES}


@pytest.fixture
def real_volumes() -> Path:
    folder = Path(__file__).resolve().parents[4] / "shared" / "data" / "rbc" / "obj"
    if not folder.is_dir():
        pytest.skip("the real cells of ../shared/data/rbc are not here")
    return folder
