"""doctor, export, train and demo, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.diffusion.checkpoint import DEFAULT_WEIGHTS, load_denoiser
from dispr_cli.diffusion.resumable_run import state_file
from dispr_cli.diffusion.trust import read_trust, trust_file
from dispr_cli.training_settings import read_settings
from tests.commands.test_reconstruct import assert_told, dispr


def test_doctor_names_the_weights_and_the_kernels() -> None:
    found = json.loads(dispr("doctor", "--json").stdout)
    assert found["weights_sha256"] == load_denoiser().sha256
    assert found["cores"] >= 1
    assert found["kernels"]
    assert "torch" in dispr("doctor").stdout


def test_doctor_survives_bad_weights(tmp_path: Path) -> None:
    found = json.loads(dispr("doctor", "--json", "--weights", tmp_path / "none.safetensors").stdout)
    assert "not usable" in found["weights"]


def test_shipped_weights_are_small_and_carry_their_card() -> None:
    assert DEFAULT_WEIGHTS.stat().st_size <= 12_000_000
    card = (DEFAULT_WEIGHTS.parent / "README.md").read_text(encoding="utf-8")
    assert load_denoiser().sha256 in card


def test_version() -> None:
    assert dispr("--version").stdout.startswith("dispr ")


def test_export_writes_every_format(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    made = dispr("reconstruct", phantom_folder, out, "--samples", 2, "--steps", 1, "--weights", tiny_weights)
    assert made.returncode == 0, made.stderr
    name = sorted(path.stem for path in (phantom_folder / "image").iterdir())[0]
    for file_format in ("ome-tiff", "stl", "ply", "glb", "npy"):
        result = dispr("export", out, "--cell", name, "--format", file_format, "--out", tmp_path / "exports")
        assert result.returncode == 0, result.stderr
        assert all(Path(line).exists() for line in result.stdout.splitlines())
    assert_told(dispr("export", out, "--cell", "nobody", "--format", "stl"), "nobody")
    assert_told(dispr("export", out, "--cell", name, "--format", "word"), "word", "stl")
    assert_told(dispr("export", out, "--cell", name, "--sample", "best"), "best")
    assert_told(dispr("export", tmp_path, "--cell", name), str(tmp_path))


def test_train_learns_from_a_folder_and_its_weights_work(phantom_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    settings = tmp_path / "settings.toml"
    settings.write_text("num_examples = 999\nbatch_size = 2\nwarmup = 1\nvalidation_fraction = 0.3\n")
    result = dispr("train", phantom_folder, "--out", out, "--config", settings, "--examples", 4)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"weights: {out}"
    assert "held out" in result.stderr
    provenance = load_denoiser(out).provenance
    assert provenance["training"]["num_examples"] == 4
    assert provenance["training"]["batch_size"] == 2
    assert set(provenance["held_out"]).isdisjoint({"nobody"})
    assert provenance["cells"] + len(provenance["held_out"]) == 7
    assert read_trust(trust_file(out)).weights_sha256 == load_denoiser(out).sha256
    assert "too few for intervals" in result.stderr
    assert_told(dispr("train", phantom_folder, "--out", out), "is there already", "--overwrite")
    # Weights beside the state of their training are not finished: it is that which is gone on with.
    state_file(out).write_bytes(b"no state")
    assert_told(dispr("train", phantom_folder, "--out", out), state_file(out).name)


def test_a_peer_is_trained_and_used_by_name(phantom_folder: Path, tmp_path: Path) -> None:
    weights, store = tmp_path / "shapr.safetensors", tmp_path / "out.zarr"
    result = dispr("train", phantom_folder, "--method", "shapr", "--out", weights, "--examples", 6)
    assert result.returncode == 0, result.stderr
    told = dispr("reconstruct", phantom_folder, store, "--weights", weights, "--samples", 1)
    assert_told(told, "dispr-shapr/1")
    result = dispr(
        "reconstruct", phantom_folder, store, "--method", "shapr", "--weights", weights, "--samples", 1
    )
    assert result.returncode == 0, result.stderr
    assert "by shapr on" in result.stderr
    told = dispr(
        "reconstruct", phantom_folder, store, "--method", "shapr", "--weights", weights, "--steps", 2
    )
    assert_told(told, "--steps means nothing to --method shapr")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 3", ("no setting 'colour'", "learning_rate")),
        ("batch_size = 'two'", ("batch_size is 'two'", "whole number")),
        ("batch_size = [", ("not valid TOML",)),
        ("batch_size = 0", ("batch_size is 0",)),
    ],
)
def test_bad_training_settings(
    phantom_folder: Path, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    assert_told(
        dispr("train", phantom_folder, "--out", tmp_path / "m.safetensors", "--config", settings), *words
    )


def test_training_without_truth_says_so(phantom_folder: Path, tmp_path: Path) -> None:
    import shutil

    for part in ("image", "mask"):
        shutil.copytree(phantom_folder / part, tmp_path / "cells" / part)
    told = dispr("train", tmp_path / "cells", "--out", tmp_path / "m.safetensors")
    assert_told(told, "obj/")


def test_train_reads_what_reconstruct_reads(phantom_folder: Path, tmp_path: Path) -> None:
    """Dark cells of the second channel of larger pixels, masks and truths elsewhere."""
    for path in sorted((phantom_folder / "image").iterdir()):
        image = tifffile.imread(path)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        two = np.stack([np.zeros_like(image), 255 - image])
        tifffile.imwrite(tmp_path / "pictures" / path.name, two, imagej=True, metadata={"axes": "CYX"})
    out = tmp_path / "mine.safetensors"
    command = ("train", tmp_path / "pictures", "--out", out, "--masks", phantom_folder / "mask")
    command += (
        "--truth",
        phantom_folder / "obj",
        "--examples",
        2,
        "--batch-size",
        2,
        "--channel",
        1,
        "--invert",
    )
    assert_told(dispr(*command, "--truth-voxel-size", "thin"), "--truth-voxel-size is 'thin'")
    told = dispr(*command, "--pixel-size", 0.2)
    assert_told(
        told, "none of its 7 cells", "give --truth-voxel-size", "... and 2 more: 7 cells are left out"
    )
    result = dispr(*command, "--pixel-size", 0.2, "--truth-voxel-size", 0.2, "--grid-voxel-size", 0.2)
    assert result.returncode == 0, result.stderr
    assert "the cells lie on voxels of 0.2 um" in result.stderr
    assert "need 20 held-out cells, which takes more cells than these 7" in " ".join(result.stderr.split())
    assert load_denoiser(out).provenance["grid"]["voxel_size_um"] == 0.2


def test_settings_have_the_names_of_options_too(phantom_folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("examples = 2\nbatch-size = 1\n")
    assert read_settings(settings) == {"num_examples": 2, "batch_size": 1}
    settings.write_text("examples = 2\nnum_examples = 1\n")
    told = dispr("train", phantom_folder, "--out", tmp_path / "m.safetensors", "--config", settings)
    assert_told(told, "gives the setting num_examples twice")


def test_weights_to_start_from_that_are_not_there(phantom_folder: Path, tmp_path: Path) -> None:
    out, missing = tmp_path / "m.safetensors", tmp_path / "no.safetensors"
    told = dispr("train", phantom_folder, "--out", out, "--init", missing)
    assert_told(told, str(missing), "cannot be read")
    assert "--weights" not in told.stderr
