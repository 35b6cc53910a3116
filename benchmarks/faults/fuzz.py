"""Unsound files of every kind: each must be read or refused in a sentence, quickly, in bounded memory.

python -m benchmarks.faults.fuzz --inputs 50000

Every input is read in a process of its own kind, which may take no more than a gibibyte above what it
starts with. A crash, a hang, an error that is none of ours, or anything on stderr counts as a loss.
A run that was stopped goes on where it stopped.
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
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.faults.mutation import mutated
from benchmarks.faults.readers import Kind, check_sentence, kinds
from benchmarks.faults.trials import Tally, Unfinished, record
from dispr_cli.errors import DisprError

SECONDS = 20
"""An input that takes longer hangs; generous, for machines that do other things too."""

MEMORY = 2**30
GROWN = "MB grown at most"
CHUNK = 250


def fuzz(
    name: str,
    kind: Kind,
    inputs: int,
    seed: int,
    folder: Path,
    tally: Tally | None = None,
    keep: Callable[[], None] = lambda: None,
) -> Tally:
    """Read so many unsound files of a kind, in processes that may die.

    Parameters
    ----------
    tally
        Of the first files, which are not read again.
    keep
        Called after each chunk.
    """
    tally = tally or Tally()
    # What sound files have compiled on the way need not be compiled in each process.
    words = [_one(kind, sound, folder / "files", number) for number, sound in enumerate(kind.sound)]
    assert any(word == "read" for word, _, _ in words), words
    assert all(word != "error" for word, _, _ in words), words
    while (at := tally.trials) < inputs:
        end = min(at + CHUNK, inputs)
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            _work(name, kind, range(at, end), seed, folder, writer)
        writer.close()
        last = at
        for message in _messages(reader):
            last = _take(tally, message, last)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status != 0:
            what = "hang" if status == -signal.SIGALRM else f"crash ({status})"
            tally.losses.append(f"{name} {last}: {what}")
            end = last + 1
        tally.trials = end
        keep()
    return tally


def _messages(reader: Connection) -> Iterator[tuple[str, int, str]]:
    while True:
        try:
            yield reader.recv()
        except EOFError:
            return


def _take(tally: Tally, message: tuple[str, int, str], last: int) -> int:
    word, number, text = message
    match word:
        case "begin":
            return number
        case "read" | "refused":
            tally.count(word)
        case "memory":
            tally.counts[GROWN] = max(tally.counts.get(GROWN, 0), round(number / 1e6))
        case _:
            tally.losses.append(f"{number}: {text}")
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
            check_sentence(error)
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
            unfinished = Unfinished(f"fuzz_{kind}", given.seed)
            share = -(-given.inputs // len(shares))
            settings = (kind, description, share, given.seed, Path(name))
            tally = fuzz(*settings, unfinished.tally, unfinished.keep)
            reasons = Counter(loss.split(": ", 1)[-1][:90] for loss in tally.losses)
            for reason, count in reasons.most_common(12):
                print(f"   {count} x {reason}", file=sys.stderr)
            record(f"fuzz_{kind}", f"unsound files: {kind}", tally)
            unfinished.forget()


if __name__ == "__main__":
    main()
