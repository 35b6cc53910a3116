"""The command a user types: what it prints, where things are, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.diffusion.checkpoint import save_denoiser
from dispr_cli.quality import QUALITIES, Quality
from dispr_cli.volumes.store import open_store
from dispr_cli.volumes.table import read_table
from tests.diffusion.tiny import make_denoiser

ROOT = Path(__file__).resolve().parent.parent.parent


def dispr(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dispr_cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd or ROOT, env=environment
    )


def assert_told(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """One clear sentence, exit code 2, no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_a_folder_becomes_a_store(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    result = dispr(
        "reconstruct", phantom_folder, out, "--samples", 2, "--steps", 1, "--weights", tiny_weights
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"store:   {out}"
    assert f"table:   {out / 'cells.csv'}" in result.stdout
    assert "7 cells, 2 samples each, by dispr on" in result.stderr
    again = dispr("reconstruct", phantom_folder, out, "--samples", 2, "--steps", 1, "--weights", tiny_weights)
    assert again.returncode == 0
    assert "7 of 7 cells were finished before" in again.stderr


def test_json_and_quiet(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    options = ("--samples", 1, "--steps", 1, "--weights", tiny_weights, "--json")
    result = dispr("reconstruct", phantom_folder, out, *options)
    found = json.loads(result.stdout)
    assert (found["done"], found["failed"], found["pending"]) == (7, 0, 0)
    assert found["store"] == str(out)


def test_a_failed_cell_ends_in_exit_code_one(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    import shutil

    source = tmp_path / "cells"
    shutil.copytree(phantom_folder, source)
    image = sorted((source / "image").iterdir())[0]
    tifffile.imwrite(image, np.full((64, 64), np.nan, np.float32))
    options = ("--samples", 1, "--steps", 1, "--weights", tiny_weights)
    result = dispr("reconstruct", source, tmp_path / "out.zarr", *options)
    assert result.returncode == 1
    assert f"Failed: {image.stem}" in result.stderr
    assert "NaN" in result.stderr
    assert "1 of 7 cells failed" in result.stderr


def test_a_part_counts_its_own_cells_and_quiet_is_quiet(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "cells", tmp_path / "out.zarr"
    for part in ("image", "mask"):
        (source / part).mkdir(parents=True)
        for path in (phantom_folder / part).iterdir():  # Not on the grid any more, and of unknown size.
            tifffile.imwrite(source / part / path.name, np.pad(tifffile.imread(path), 3, mode="edge"))
    command = ("reconstruct", source, out, "--samples", 1, "--weights", tiny_weights)
    parts = [json.loads(dispr(*command, "--part", part, "--json").stdout) for part in ("1/2", "2/2")]
    assert [part["done"] for part in parts] == [part["of_unknown_size"] for part in parts]
    assert min(part["done"] for part in parts) > 0
    assert sum(part["done"] for part in parts) == 7
    loud, quiet = (dispr(*command, *option) for option in ((), ("--quiet",)))
    assert "size" in loud.stderr
    assert quiet.stderr == ""


def test_one_bad_row_of_a_manifest_fails_one_cell(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    first, second = sorted(path.name for path in (phantom_folder / "image").iterdir())[:2]
    table = tmp_path / "cells.csv"
    table.write_text(
        f"image,mask\n{phantom_folder}/image/{first},{phantom_folder}/mask/{first}\n"
        f"gone.tif,{phantom_folder}/mask/{second}\n"
    )
    result = dispr("reconstruct", table, tmp_path / "out.zarr", "--samples", 1, "--weights", tiny_weights)
    assert result.returncode == 1, result.stderr
    assert "line 3: the image gone.tif is not there" in result.stderr
    rows = {row.name: row for row in open_store(tmp_path / "out.zarr").cells}
    assert rows[first.removesuffix(".tif")].is_done
    assert rows["gone"].is_failed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_output_that_cannot_be_written_is_no_bug() -> None:
    """Whether Python keeps what is printed in a buffer or not."""
    command = [sys.executable, "-m", "dispr_cli", "doctor"]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for env in (plain, {**plain, "PYTHONUNBUFFERED": "1"}):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env)
        assert result.returncode == 2
        assert result.stderr.splitlines()[-1] == "Error: what is printed cannot be written, its disk is full"


def test_pictures_are_drawn(phantom_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    name = sorted(path.stem for path in (phantom_folder / "image").iterdir())[1]
    result = dispr(
        *("reconstruct", phantom_folder, tmp_path / "out.zarr", "--samples", 2, "--steps", 2),
        *("--weights", tiny_weights, "--picture", tmp_path / "out.png", "--save-trajectory", name),
    )
    assert result.returncode == 0, result.stderr
    for picture in (tmp_path / "out.png", tmp_path / "out.trajectory.png"):
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert str(picture) in result.stdout


def test_dry_run_prints_the_plan_and_writes_nothing(phantom_folder: Path, tmp_path: Path) -> None:
    result = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", "--dry-run")
    assert result.returncode == 0
    assert "7 cells would be reconstructed" in result.stdout
    assert "discocyte" in result.stdout
    assert not (tmp_path / "out.zarr").exists()
    plan = json.loads(dispr("reconstruct", phantom_folder, "--dry-run", "--json").stdout)
    assert len(plan["cells"]) == 7
    assert plan["left_out"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sampler", "magic"), ("magic", "euler", "dpmpp-2m")),
        (("--steps", 0), ("--steps (num_steps) is 0", "from 1")),
        (("--samples", 0), ("--samples (num_samples) is 0",)),
        (("--spread", -1), ("--spread is -1", "from 0 to 10")),
        (("--quality", "best"), ("--quality is 'best'", "fast, standard, high")),
        (("--seed", -1), ("--seed is -1",)),
        (("--batch-size", "many"), ("--batch-size is 'many'", "auto")),
        (("--batch-size", 5000), ("5000", "4096")),
        (("--device", "abacus"), ("abacus", "cuda")),
        (("--precision", "fp8"), ("fp8", "bf16")),
        (("--labels", "colours"), ("colours",)),
        (("--pixel-size", -1), ("pixel", "-1")),
        (("--weights", "nothing.safetensors"), ("nothing.safetensors", "cannot be read")),
        (("--save-trajectory", "nobody"), ("has no cell 'nobody'",)),
        (("--picture", "/dev/null/x.png"), ("cannot draw the picture",)),
    ],
)
def test_options_that_make_no_sense(
    phantom_folder: Path,
    tiny_weights: Path,
    tmp_path: Path,
    options: tuple[object, ...],
    words: tuple[str, ...],
) -> None:
    given = () if "--weights" in options else ("--weights", tiny_weights)
    steps = () if "--steps" in options else ("--steps", 1)
    samples = () if "--samples" in options else ("--samples", 1)
    result = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", *given, *steps, *samples, *options)
    assert_told(result, *words)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("address", ["s3://bucket/x.zarr", "file:///tmp/x.zarr"])
def test_a_store_at_an_address_is_refused(phantom_folder: Path, tmp_path: Path, address: str) -> None:
    assert_told(dispr("reconstruct", phantom_folder, address, cwd=tmp_path), "is an address", "local folder")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_read_or_written(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    given = ("--weights", tiny_weights, "--steps", 1, "--samples", 1)
    assert_told(dispr("reconstruct", tmp_path / "nowhere", tmp_path / "out.zarr", *given), "nowhere")
    (tmp_path / "empty").mkdir()
    assert_told(dispr("reconstruct", tmp_path / "empty", tmp_path / "out.zarr", *given), "empty")
    (tmp_path / "file.zarr").write_text("notes")
    assert_told(dispr("reconstruct", phantom_folder, tmp_path / "file.zarr", *given), "file.zarr")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    told = dispr("reconstruct", phantom_folder, tmp_path / "foreign", *given, "--overwrite")
    assert_told(told, "foreign")
    assert (tmp_path / "foreign" / "thesis.txt").read_text() == "mine"
    assert_told(dispr("reconstruct", phantom_folder), "no store was named")


def test_a_bug_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from dispr_cli import __main__

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(__main__, "app", broken)
    with pytest.raises(SystemExit) as exit_:
        __main__.main()
    assert exit_.value.code == 101
    assert "bug in dispr" in capsys.readouterr().err


def test_cells_unlike_those_trained_on_are_pointed_out(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    import hashlib
    import shutil

    from dispr_cli.diffusion.familiarity import Familiarity
    from dispr_cli.diffusion.trust import Trust, trust_file, write_trust
    from dispr_cli.inputs.appearance import APPEARANCE

    weights, size = Path(shutil.copy(tiny_weights, tmp_path / "own.safetensors")), len(APPEARANCE)
    elsewhere = Familiarity(np.full(size, 50.0), np.ones(size), np.eye(size), 1.0, 40)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_trust(trust_file(weights), Trust(digest, familiarity=elsewhere))
    options = ("--samples", 1, "--steps", 1, "--weights", weights)
    result = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", *options)
    assert result.returncode == 0, result.stderr
    assert "7 of 7 cells look unlike those the network was trained on" in result.stderr
    assert "no intervals were measured for these weights" in result.stderr
    again = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", *options, "--json")
    assert json.loads(again.stdout)["unlike_training"] == 7
    trust_file(weights).write_text("{")
    assert_told(dispr("reconstruct", phantom_folder, tmp_path / "b.zarr", *options), "own.trust.json")


def test_weights_of_which_nothing_was_measured_say_so(
    phantom_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    options = ("--samples", 1, "--steps", 1, "--weights", tiny_weights)
    result = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", *options)
    assert "no intervals and no unlike_training" in result.stderr
    assert "unlike those" not in result.stderr


def test_quality_sets_what_is_not_given(phantom_folder: Path, tmp_path: Path, tiny_weights: Path) -> None:
    given = ("--weights", tiny_weights, "--quality", "fast")
    fast = dispr("reconstruct", phantom_folder, tmp_path / "fast.zarr", *given)
    assert fast.returncode == 0, fast.stderr
    assert "7 cells, 1 sample each" in fast.stderr
    assert " 2 steps" in fast.stderr
    assert open_store(tmp_path / "fast.zarr").configuration["spread"] == 0.0
    more = dispr(
        "reconstruct", phantom_folder, tmp_path / "more.zarr", *given, "-n", 2, "--steps", 3, "--spread", 0.5
    )
    assert "7 cells, 2 samples each" in more.stderr
    assert " 3 steps" in more.stderr
    assert open_store(tmp_path / "more.zarr").configuration["spread"] == 0.5
    # Methods without steps are not asked for any.
    options = ("--method", "cylinder", "--quality", "fast")
    peer = dispr("reconstruct", phantom_folder, tmp_path / "peer.zarr", *options)
    assert peer.returncode == 0, peer.stderr
    assert "7 cells, 1 sample each" in peer.stderr


def test_the_standard_quality_is_the_default() -> None:
    assert QUALITIES["standard"] == Quality(ReconstructConfig().num_samples, SamplerConfig().num_steps)


def test_a_picture_is_a_png(phantom_folder: Path, tmp_path: Path) -> None:
    told = dispr("reconstruct", phantom_folder, tmp_path / "out.zarr", "--picture", tmp_path / "cells.jpg")
    assert_told(told, "--picture", "cells.jpg", ".png")
    assert not (tmp_path / "out.zarr").exists()


def test_of_folds_that_are_not_all_there_the_held_out_cells_are_drawn(
    phantom_folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (phantom_folder / "image").iterdir())
    folds = tmp_path / "folds"
    save_denoiser(folds / "fold0.safetensors", make_denoiser(), {"held_out": names[:2]})
    command = ("reconstruct", phantom_folder, tmp_path / "out.zarr", "--weights", folds, "--samples", 1)
    assert_told(dispr(*command), f"5 of 7 cells (first: {names[2]})", "--held-out-only", "the 2 others")
    assert not (tmp_path / "out.zarr").exists()
    tried = json.loads(dispr(*command, "--held-out-only", "--dry-run", "--json").stdout)
    assert [cell["name"] for cell in tried["cells"]] == names[:2]
    assert_told(dispr(*command, "--dry-run"), f"5 of 7 cells (first: {names[2]})", "--held-out-only")
    drawn = dispr(*command, "--held-out-only", "--steps", 1, "--threads", 1)
    assert drawn.returncode == 0, drawn.stderr
    assert "2 of 7 cells were held out of the training" in drawn.stderr
    rows = list(read_table(tmp_path / "out.zarr" / "cells.csv"))
    assert [(row["name"], row["learned"]) for row in rows] == [(name, "false") for name in names[:2]]
    # A store of some of the cells of an input, drawn by several networks, is verified as any other.
    verify = ("verify", tmp_path / "out.zarr", "--input", phantom_folder)
    assert dispr(*verify, "--weights", folds).returncode == 0
    assert dispr(*verify, "--weights", folds / "fold0.safetensors").returncode == 0
    assert "1 networks" in dispr(*verify).stderr
    save_denoiser(folds / "fold0.safetensors", make_denoiser(), {"held_out": names[:3]})
    assert_told(dispr(*verify, "--weights", folds), "fold0.safetensors", "expected the SHA-256", "Differs")
    assert_told(dispr(*verify, "--weights", folds / "fold0.safetensors"), "none of the 1 files", "folder")


@pytest.mark.parametrize("out", [".", ".."])
def test_a_store_has_a_name(phantom_folder: Path, out: str) -> None:
    assert_told(dispr("reconstruct", phantom_folder, out), f"{out}: is no name for a store", "out.zarr")


def test_a_dry_run_prints_every_name_as_it_is(phantom_folder: Path, tmp_path: Path) -> None:
    """Brackets are no markup, nothing is cut, and bytes that are no text end no listing."""
    name = "exp [dapi] " + "long " * 30 + "\udcb5"
    for kind in ("image", "mask"):
        (tmp_path / kind).mkdir()
        try:
            shutil.copy(next((phantom_folder / kind).iterdir()), tmp_path / kind / f"{name}.tif")
        except OSError:
            pytest.skip("this file system takes text only")
    command = [sys.executable, "-m", "dispr_cli", "reconstruct", str(tmp_path), "--dry-run"]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert told.returncode == 0, told.stderr
    words = "".join(told.stdout.split())
    assert "exp[dapi]longlong" in words
    assert words.count("long") == 3 * 30  # the cell's name, the image's and the mask's
