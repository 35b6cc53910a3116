"""Unsound files of every kind: each must be read or refused in a sentence, quickly, in bounded memory.

python -m benchmarks.faults.fuzz --inputs 50000

Every input is read in a process of its own kind, which may take no more than a gibibyte above what it
starts with. A crash, a hang, an error that is none of ours, or anything on stderr counts as a loss.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.faults import seeds
from benchmarks.faults.harness import record
from benchmarks.faults.mutation import mutated, with_right_sums
from dispr_cli.baselines.public_weights import read_public_tensors
from dispr_cli.config import TrainingConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.errors import DisprError
from dispr_cli.inputs.plan import plan_cells, read_cells
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.training_settings import read_settings, settings_of
from dispr_cli.volumes.create import create_or_resume
from dispr_cli.volumes.store import open_store
from dispr_cli.volumes.table import read_table
from dispr_cli.volumes.verify import verify_store

SECONDS = 20
"""An input that takes longer hangs; generous, for machines that do other things too."""

MEMORY = 2**30
MAX_PIXELS = 1_000_000
SETTINGS = InputSettings(max_pixels=MAX_PIXELS)
CHUNK = 250
_IMAGE, _MASK = seeds.tiffs()[0], seeds.tiffs()[-1]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    sound
        Sound files, by name where that matters.
    read
        Writes an unsound file into a folder and reads it.
    text, head
        How it is mutated, see :func:`benchmarks.faults.mutation.mutated`.
    """

    sound: list[tuple[str, bytes]]
    read: Callable[[Path, str, bytes], None]
    text: bool = False
    head: int = 256


@dataclass
class Outcome:
    """How a kind fared."""

    trials: int = 0
    read: int = 0
    refused: int = 0
    most_memory: int = 0
    losses: list[str] = field(default_factory=list)


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file the program reads from strangers."""

    def unnamed(found: list[bytes]) -> list[tuple[str, bytes]]:
        return [("", content) for content in found]

    return {
        "tiff": Kind(unnamed(seeds.tiffs()), _read_image(".tif")),
        "png": Kind(unnamed(seeds.pngs()), _read_image(".png"), head=64),
        "manifest": Kind(unnamed(seeds.manifests()), _read_manifest, text=True),
        "store": Kind(list(seeds.store_files(folder / "seed.zarr")), _read_store, text=True),
        "weights": Kind(unnamed(seeds.weights(folder)), _read_weights, text=True, head=2048),
        "checkpoint": Kind(unnamed(seeds.checkpoints()), _read_checkpoint),
        "toml": Kind(unnamed(seeds.tomls()), _read_toml, text=True),
    }


def _read_image(suffix: str) -> Callable[[Path, str, bytes], None]:
    sound = {"image": _IMAGE, "mask": _MASK}

    def read(folder: Path, name: str, content: bytes) -> None:
        # The image in one half of the cases, the mask in the other.
        hit = ("image", "mask")[zlib.crc32(content) & 1]
        for part in ("image", "mask"):
            (folder / part).mkdir(exist_ok=True)
            (folder / part / f"a{'.tif' if part != hit else suffix}").write_bytes(
                content if part == hit else sound[part]
            )
        if content.startswith(b"\x89PNG"):
            (folder / hit / f"a{suffix}").write_bytes(with_right_sums(content))
        plan = plan_cells(folder, SETTINGS)
        for _, cell in read_cells(plan.cells[:20], SETTINGS):
            if isinstance(cell, DisprError):
                _check_sentence(cell)

    return read


def _read_manifest(folder: Path, name: str, content: bytes) -> None:
    (folder / "a.tif").write_bytes(_IMAGE)
    (folder / "m.tif").write_bytes(_MASK)
    (folder / "table.csv").write_bytes(content)
    plan = plan_cells(folder / "table.csv", SETTINGS)
    for ref in plan.cells:
        assert not set(ref.name) & set('/\\:*?"<>|\x00\n'), ref.name
    for _, cell in read_cells(plan.cells[:20], SETTINGS):
        if isinstance(cell, DisprError):
            _check_sentence(cell)


def _read_store(folder: Path, name: str, content: bytes) -> None:
    store = folder / "out.zarr"
    for other, sound in _sound_store():
        (store / other).parent.mkdir(parents=True, exist_ok=True)
        (store / other).write_bytes(content if other == name else sound)
    failed: list[DisprError] = []
    for read in (_read_cells_of, verify_store, _resume, lambda path: [*read_table(path / "cells.csv")]):
        try:
            read(store)
        except DisprError as error:
            _check_sentence(error)
            failed.append(error)
    if failed:
        raise failed[0]


_store: list[tuple[str, bytes]] = []


def _sound_store() -> list[tuple[str, bytes]]:
    if not _store:
        with tempfile.TemporaryDirectory() as folder:
            _store.extend(seeds.store_files(Path(folder) / "seed.zarr"))
    return _store


def _read_cells_of(path: Path) -> None:
    store = open_store(path)
    store.progress()
    for index in range(min(store.num_cells, 4)):
        try:
            store.read(index)
        except DisprError as error:
            _check_sentence(error)


def _resume(path: Path) -> None:
    create_or_resume(path, **seeds.STORE).pending_shards()


def _read_weights(folder: Path, name: str, content: bytes) -> None:
    (folder / "w.safetensors").write_bytes(content)
    load_denoiser(folder / "w.safetensors")


def _read_checkpoint(folder: Path, name: str, content: bytes) -> None:
    (folder / "w.pt").write_bytes(content)
    read_public_tensors(folder / "w.pt")


def _read_toml(folder: Path, name: str, content: bytes) -> None:
    (folder / "t.toml").write_bytes(content)
    settings_of(TrainingConfig, read_settings(folder / "t.toml"))


def _check_sentence(error: DisprError) -> None:
    text = str(error)
    assert 10 < len(text) < 2000, f"a message of {len(text)} characters"
    assert "memory" not in text or "too large" not in text, text


def fuzz(name: str, kind: Kind, inputs: int, seed: int, folder: Path) -> Outcome:
    """Read so many unsound files of a kind, in processes that may die."""
    # What sound files have compiled on the way need not be compiled in each process.
    words = [_one(kind, sound, folder / "files", number) for number, sound in enumerate(kind.sound)]
    assert any(word == "read" for word, _, _ in words), words
    assert all(word != "error" for word, _, _ in words), words
    outcome, at = Outcome(), 0
    while at < inputs:
        end = min(at + CHUNK, inputs)
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            _work(name, kind, range(at, end), seed, folder, writer)
        writer.close()
        last = at
        for message in _messages(reader):
            last = _take(outcome, message, last)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status != 0:
            what = "hang" if status == -signal.SIGALRM else f"crash ({status})"
            outcome.losses.append(f"{name} {last}: {what}")
            end = last + 1
        at = end
    outcome.trials = inputs
    return outcome


def _messages(reader: Connection) -> Iterator[tuple[str, int, str]]:
    while True:
        try:
            yield reader.recv()
        except EOFError:
            return


def _take(outcome: Outcome, message: tuple[str, int, str], last: int) -> int:
    word, number, text = message
    match word:
        case "begin":
            return number
        case "read":
            outcome.read += 1
        case "refused":
            outcome.refused += 1
        case "memory":
            outcome.most_memory = max(outcome.most_memory, number)
        case _:
            outcome.losses.append(f"{number}: {text}")
    return last


def _work(name: str, kind: Kind, numbers: range, seed: int, folder: Path, writer: Connection) -> None:
    """Read a chunk of unsound files; ends this process."""
    place = Path(tempfile.mkdtemp(dir=folder))
    heard = (place / "stderr").open("w+b")
    os.dup2(heard.fileno(), 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    try:
        for number in numbers:
            writer.send(("begin", number, ""))
            signal.alarm(SECONDS)
            writer.send((*_one(kind, unsound(name, kind, number, seed), place / "files", number),))
            signal.alarm(0)
        heard.seek(0)
        noise = heard.read().decode(errors="replace")
        if noise:
            writer.send(("noise", numbers.start, f"on stderr: {noise[:500]}"))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        writer.send(("memory", grown * 1024, ""))
    finally:
        shutil.rmtree(place, ignore_errors=True)
        writer.close()
        os._exit(0)


def unsound(name: str, kind: Kind, number: int, seed: int) -> tuple[str, bytes]:
    """Make unsound file number so-and-so; the same for the same seed."""
    chance = random.Random(int.from_bytes(hashlib.sha256(f"{name}/{seed}/{number}".encode()).digest()[:8]))
    file, content = chance.choice(kind.sound)
    other = chance.choice(kind.sound)[1] or b"x"
    return file, mutated(content, chance, other, kind.text, kind.head)


def _one(kind: Kind, file: tuple[str, bytes], folder: Path, number: int) -> tuple[str, int, str]:
    folder.mkdir()
    try:
        kind.read(folder, *file)
    except DisprError as error:
        try:
            _check_sentence(error)
        except AssertionError as wrong:
            return "error", number, str(wrong)
        return "refused", number, ""
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
        return "error", number, text
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "read", number, ""


def main() -> None:
    """Fuzz every kind and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        found = kinds(Path(name))
        shares = {kind: kinds for kind, kinds in found.items() if given.only in (None, kind)}
        for kind, description in shares.items():
            outcome = fuzz(kind, description, -(-given.inputs // len(shares)), given.seed, Path(name))
            reasons = Counter(loss.split(": ", 1)[-1][:90] for loss in outcome.losses)
            for reason, count in reasons.most_common(12):
                print(f"   {count} x {reason}", file=sys.stderr)
            record(
                f"fuzz_{kind}",
                f"unsound files: {kind}",
                outcome.trials,
                outcome.losses,
                read=outcome.read,
                refused=outcome.refused,
                megabytes_grown=round(outcome.most_memory / 1e6),
            )


if __name__ == "__main__":
    main()
