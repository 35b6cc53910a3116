"""What many rooms' tests need: real cells where they are, a small network, a folder of phantoms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; threads of torch that wait for each other in turns cost minutes. Before torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Commands that tests run print into a buffer, as those of users do: what fails then fails at another moment.
os.environ.pop("PYTHONUNBUFFERED", None)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_cells() -> Path:
    """Folder of the 108 real red blood cells; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data" / "rbc"
    if not folder.is_dir():
        pytest.skip("the real cells (../shared/data/rbc) are not here")
    return folder


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with seven phantom cells, images and masks."""
    import tifffile  # not everywhere the GPU tests run

    from dispr_cli.inputs.phantoms import PHANTOM_CLASSES, generate_phantoms

    folder = tmp_path_factory.mktemp("phantoms")
    for part in ("image", "mask", "obj"):
        (folder / part).mkdir()
    for phantom in generate_phantoms(7, PHANTOM_CLASSES, seed=2):
        for part, pixels in (("image", phantom.image), ("mask", phantom.mask), ("obj", phantom.volume)):
            tifffile.imwrite(folder / part / f"{phantom.name}.tif", pixels)
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network small enough for tests."""
    from dispr_cli.diffusion.checkpoint import save_denoiser
    from tests.diffusion.tiny import make_denoiser

    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_denoiser(path, make_denoiser(), {"data": "none"})
    return path
