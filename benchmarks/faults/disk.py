"""Faults of disks, files and clocks: full, read-only, torn, changed bits, inputs deleted, clocks that jump.

python -m benchmarks.faults.disk --trials 100

A full and a read-only disk need a small file system in memory: as root, or in a name space of their own
(``unshare -rm python -m benchmarks.faults.disk``).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults.harness import Bench, bench, contents, what_is_lost
from benchmarks.faults.trials import repeated
from dispr_cli.errors import StoreError
from dispr_cli.inputs.cell import Cell
from dispr_cli.volumes.layout import shard_file
from dispr_cli.volumes.store import open_store
from dispr_cli.volumes.verify import verify_store
from tests.scripted_method import ScriptedMethod

Trial = Callable[[Bench, Path, random.Random], str]
"""Does a fault to a store at a path, resumes the run, and says at what moment the fault came."""

SHARDS = 8


@dataclass(frozen=True)
class Disturbed(ScriptedMethod):
    """A method during whose work something happens.

    Attributes
    ----------
    happens
        Called before each batch.
    """

    happens: Callable[[], None] = lambda: None

    def reconstruct(self, cells: Sequence[Cell], num_samples: int, seed: int) -> NDArray[np.uint8]:
        """Let it happen, then go on."""
        self.happens()
        return super().reconstruct(cells, num_samples, seed)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system in memory."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _make_read_only(disk: Path) -> None:
    """Between two writings: a disk with an open file is told to be busy."""
    for _ in range(1000):
        with contextlib.suppress(subprocess.CalledProcessError):
            return _mount("-o", "remount,ro", str(disk))
        time.sleep(0.001)
    raise AssertionError("the disk was busy all the time")


def disk_full(place: Bench, out: Path, chance: random.Random) -> str:
    """Run out of space once or twice, get more each time."""
    kilobytes = chance.randint(4, 64)
    with small_disk(out.with_suffix(".disk"), kilobytes) as disk:
        moment = "never full"
        for _ in range(200):
            try:
                place.create(disk / "out.zarr", SHARDS, ScriptedMethod())
                place.run(disk / "out.zarr", method=ScriptedMethod())
            except StoreError as error:
                moment = _checked(error, ("full", "No space")) and "full"
                kilobytes += chance.randint(4, 40)
                _mount("-o", f"remount,size={kilobytes}k", str(disk))
            else:
                shutil.copytree(disk / "out.zarr", out)
                return moment
    raise AssertionError("the run never came to its end")


def read_only(place: Bench, out: Path, chance: random.Random) -> str:
    """Lose the right to write at a random batch, get it back."""
    with small_disk(out.with_suffix(".disk"), 40_000) as disk:
        place.create(disk / "out.zarr", SHARDS, ScriptedMethod())
        left = chance.randint(1, 20)

        def forbid() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                _make_read_only(disk)

        try:
            place.run(disk / "out.zarr", method=Disturbed(happens=forbid), cells_at_once=1)
            moment = "never"
        except StoreError as error:
            moment = _checked(error, ("Read-only",)) and "read-only"
        _mount("-o", "remount,rw", str(disk))
        place.run(disk / "out.zarr", method=ScriptedMethod())
        shutil.copytree(disk / "out.zarr", out)
    return moment


def input_deleted(place: Bench, out: Path, chance: random.Random) -> str:
    """Delete images while they are read, put them back, try the failed cells again."""
    away = place.folder / "away"
    away.mkdir(exist_ok=True)
    images = sorted((place.source / "image").iterdir())
    chosen = chance.sample(images, 5)

    def delete() -> None:
        for image in chosen[:2] if chance.random() < 0.5 else chosen:
            if image.exists():
                image.rename(away / image.name)

    place.create(out, SHARDS, ScriptedMethod())
    try:
        # The plan is made before the images go.
        place.run(out, method=Disturbed(happens=delete), cells_at_once=1)
    finally:
        for image in away.iterdir():
            image.rename(place.source / "image" / image.name)
    failed = open_store(out).progress().failed
    named = [row.status for row in open_store(out).cells if row.is_failed]
    assert all(any(image.name in status for image in chosen) for status in named), named
    place.run(out, method=ScriptedMethod(), retry_failed=True)
    return f"{failed} cells failed"


def torn(place: Bench, out: Path, chance: random.Random) -> str:
    """Cut a file of a finished store short, as a lost power supply does."""
    file = _damaged_file(place, out, chance)
    file.write_bytes(file.read_bytes()[: chance.randrange(file.stat().st_size)])
    return _mended(place, out)


def changed_bits(place: Bench, out: Path, chance: random.Random) -> str:
    """Change a few bits of a file of a finished store."""
    file = _damaged_file(place, out, chance)
    content = bytearray(file.read_bytes())
    for _ in range(chance.randint(1, 3)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return _mended(place, out)


def clock_jumps(place: Bench, out: Path, chance: random.Random) -> str:
    """Let the clock jump by up to ten years at each look, and the times of files with it."""
    place.create(out, SHARDS, ScriptedMethod())

    def jump() -> None:
        for file in out.rglob("*.json"):
            moment = time.monotonic_ns() + chance.randint(0, 10**17)
            os.utime(file, ns=(moment, moment))

    real = time.time
    with mock.patch("time.time", side_effect=lambda: real() + chance.uniform(-3e8, 3e8)):
        place.run(out, method=Disturbed(happens=jump))
    return "jumped"


def _damaged_file(place: Bench, out: Path, chance: random.Random) -> Path:
    place.create(out, SHARDS, ScriptedMethod())
    place.run(out, method=ScriptedMethod())
    files = [shard_file(out, shard) for shard in range(SHARDS)]
    files += [*(out / "dispr_rows").glob("*.json")]
    return chance.choice([file for file in files if file.exists()])


def _mended(place: Bench, out: Path) -> str:
    """Do what verify says: delete the damaged files, run the same command again."""
    damages = [damage for damage in verify_store(out).damages if "Delete this file" in damage.remedy]
    for damage in damages:
        damage.path.unlink()
    place.run(out, method=ScriptedMethod())
    return "noticed" if damages else "without meaning"


def _checked(error: StoreError, words: tuple[str, ...]) -> str:
    assert any(word in str(error) for word in words), error
    return str(error)


FAULTS: dict[str, tuple[str, Trial]] = {
    "disk_full": ("the disk is full in the middle, then gets more space", disk_full),
    "read_only": ("the disk turns read-only in the middle, then back", read_only),
    "input_deleted": ("images deleted while they are read, then --retry-failed", input_deleted),
    "torn": ("a shard or row file cut short, then verified and resumed", torn),
    "changed_bits": ("1 to 3 bits of a shard or row file changed, then verified and resumed", changed_bits),
    "clock_jumps": ("the clock and the times of files jump by years", clock_jumps),
}


def main() -> None:
    """Run the trials and keep their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FAULTS)
    given = parser.parse_args()
    with bench() as place:
        wanted = contents(place.run(place.folder / "calm.zarr", method=ScriptedMethod()))
        for name, (fault, trial) in FAULTS.items():
            if given.only not in (None, name):
                continue

            def once(
                number: int, chance: random.Random, name: str = name, trial: Trial = trial
            ) -> tuple[list[str], str | None]:
                out = place.folder / f"{name}-{number}.zarr"
                moment, lost = trial(place, out, chance), what_is_lost(out, wanted)
                shutil.rmtree(out, ignore_errors=True)
                return [moment], lost

            repeated(name, fault, given.trials, given.seed, once)


if __name__ == "__main__":
    main()
