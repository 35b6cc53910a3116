"""Numbered trials, each with its own random numbers and kept when it ends: a stopped script goes on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dispr_cli import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "faults"
UNFINISHED = ROOT / "build" / "faults"


@dataclass
class Tally:
    """How trials of one fault went.

    Attributes
    ----------
    trials
        Those that ended.
    losses
        What was lost, and in which trial.
    counts
        What happened how often.
    """

    trials: int = 0
    losses: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, word: str, times: int = 1) -> None:
        """Count something that happened."""
        self.counts[word] = self.counts.get(word, 0) + times


Trial = Callable[[int, random.Random], tuple[Iterable[str], str | None]]
"""Takes a number and random numbers; returns what happened, and what was lost."""


def repeated(name: str, fault: str, trials: int, seed: int, trial: Trial) -> None:
    """Do trials of one fault, those that an earlier run did not end, and keep the result."""
    unfinished = Unfinished(name, seed)
    tally = unfinished.tally
    while (number := tally.trials) < trials:
        happened, lost = trial(number, random.Random(f"{name}/{seed}/{number}"))
        for word in happened:
            tally.count(word)
        if lost:
            tally.losses.append(f"trial {number}: {lost}")
        tally.trials += 1
        unfinished.keep()
    record(name, fault, tally)
    unfinished.forget()


class Unfinished:
    """The tally of a script that may be stopped; begun anew when the program has changed.

    Attributes
    ----------
    tally
        Of the trials so far.
    """

    def __init__(self, name: str, seed: int) -> None:
        self._file = UNFINISHED / f"{name}.json"
        self._key = f"{seed} {digest_of_program()}"
        self.tally = Tally()
        if self._file.exists():
            content = json.loads(self._file.read_text())
            if content["key"] == self._key:
                self.tally = Tally(**content["tally"])
                print(f"{name}: going on after {self.tally.trials} trials", flush=True)

    def keep(self) -> None:
        """Keep the tally as it is now."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({"key": self._key, "tally": asdict(self.tally)}))
        partial.replace(self._file)

    def forget(self) -> None:
        """Begin anew the next time."""
        self._file.unlink(missing_ok=True)


def digest_of_program() -> str:
    """Return a digest of every file of the program and of the faults."""
    found = hashlib.sha256()
    for folder in (ROOT / "dispr_cli", Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def record(name: str, fault: str, tally: Tally, **details: Any) -> None:
    """Write one line of docs/reliability.md, and print it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {
        "fault": fault,
        "trials": tally.trials,
        "lost": len(tally.losses),
        "losses": tally.losses[:20],
        "command": command(),
        "details": {**tally.counts, **details},
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "version": __version__},
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{fault}: {tally.trials} trials, {len(tally.losses)} lost {result['details']}", flush=True)
    for loss in tally.losses[:5]:
        print(f"   {loss}", flush=True)


def command() -> str:
    """Return the command that this script was called with."""
    module = ".".join(Path(sys.argv[0]).resolve().with_suffix("").parts[-3:])
    return " ".join(["python -m", module, *sys.argv[1:]])
