"""What every method's training is given, and what is said of it to whoever follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from dispr_cli.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from dispr_cli.diffusion.dataset import TrainingCells
    from dispr_cli.diffusion.held_out_metrics import HeldOut
    from dispr_cli.diffusion.known_cells import KnownCells
    from dispr_cli.diffusion.resumable_run import Progress, Start, TrainingEvents

Config = TypeVar("Config")
Network = TypeVar("Network")

NOTABLE_IOU, NOTABLE_VOLUME_ERROR = 0.01, 0.005
"""Two trainings of the same network differ by so much, and two seeds of noise (docs/model_log.md)."""


MOST_HELD_OUT_SHARE = 0.5
"""More than half of the cells to measure the rest is no training."""


class TrainingWatcher(Protocol):
    """Who follows a training."""

    def message(self, text: str) -> None:
        """Take a sentence worth knowing."""

    def progress(self, step: Progress) -> None:
        """Take one optimiser step."""

    def held_out(self, step: Progress, metrics: HeldOut) -> None:
        """Take the metrics on held-out cells."""


@dataclass(frozen=True)
class TrainingJob(Generic[Config]):
    """What every method's training is given.

    Attributes
    ----------
    learned, held_out
        Cells to learn from, and cells kept out of the training for the metrics.
    out
        Weights to write.
    config
        Settings of the method's training, as :data:`dispr_cli.training.SETTINGS` builds them.
    init
        Weights to start from: ``default``, a path, or None for random ones.
    data
        Name of the folder, for the record.
    events
        Who is told how it goes.
    never_seen
        The user says that the weights to start from learned from none of the held-out cells.
    held_in
        The folder that held-out cells come from; empty if they are a share of all.
    """

    learned: TrainingCells
    held_out: TrainingCells | None
    out: Path
    config: Config
    init: str | None
    data: str
    events: TrainingWatcher
    never_seen: bool = False
    held_in: str = ""

    def start(self, network: Network, known: KnownCells) -> Start[Network]:
        """Begin with weights that know some cells, as far as the user does not know better."""
        from dispr_cli.diffusion.resumable_run import Start

        if self.never_seen and self.held_out is not None:
            seen = int((~known.never_learned(self.held_out)).sum()) if known.learned is not None else 0
            if seen:
                raise ConfigError(
                    f"--never-seen: the weights to start from record that they learned from {seen} of the "
                    f"{len(self.held_out)} held-out cells; leave it out"
                )
            known = known.unaware_of(self.held_out)
        return Start(network, known)

    def announce(
        self, device: torch.device, autocast: torch.dtype | None, start: Start[Any] | None = None
    ) -> None:
        """Say how many cells are learned from, on what, and which of the others are not new to the start."""
        from dispr_cli.diffusion.device import describe
        from dispr_cli.diffusion.known_cells import NOTHING
        from dispr_cli.diffusion.resumable_run import never_learned

        held = 0 if self.held_out is None else len(self.held_out)
        self.events.message(
            f"{len(self.learned)} cells to learn from, {held} held out; {describe(device, autocast)}"
        )
        known = NOTHING if start is None else start.known
        kept = never_learned(known, self.learned, self.held_out)
        if lost := held - (0 if kept is None else len(kept)):
            self.events.message(_not_new(known, lost, held))

    def how_to_hold_out(self, fewest: int, start: Start | None = None) -> str:
        """Say what to do for more held-out cells that are new to the weights; empty if they are enough."""
        from dispr_cli.diffusion.known_cells import NOTHING
        from dispr_cli.diffusion.resumable_run import never_learned

        known = NOTHING if start is None else start.known
        held = 0 if self.held_out is None else len(self.held_out)
        kept = never_learned(known, self.learned, self.held_out)
        new = 0 if kept is None else len(kept)
        if new >= fewest:
            return ""
        if self.held_in:
            return f"; put more cells into {self.held_in}"
        cells = len(self.learned) + held
        # Of more held-out cells the same share is new to the weights, as far as anybody knows.
        wanted = math.ceil(fewest * held / new) if new else fewest
        share = math.ceil(100 * wanted / cells) / 100
        if (held and not new) or share > MOST_HELD_OUT_SHARE:
            return f", which takes more cells than these {cells}" if new == held else ""
        return f"; --validation-fraction {share:g} holds out {math.floor(share * cells + 0.5)} of {cells}"

    def heard(self) -> TrainingEvents:
        """Whom a training tells what."""
        from dispr_cli.diffusion.resumable_run import TrainingEvents

        say = self.events.message
        return TrainingEvents(
            self.events.progress,
            self.events.held_out,
            resumed=lambda examples: say(f"going on after {examples:,} examples"),
            before=lambda metrics: say(f"before training: {_written(metrics)}"),
            after=lambda before, metrics: say(_compared(before, metrics)),
            stopping=lambda: say("stopping after this step; Ctrl-C again ends at once, without saving"),
        )


def _not_new(known: KnownCells, lost: int, held: int) -> str:
    if known.sha256 is None:
        who = "the cells to learn from hold, under other names,"
    elif known.learned is None:
        who = "the weights to start from do not record that they were kept from"
    else:
        who = "the weights to start from have learned from"
    if lost < held:
        return f"{who} {lost} of the {held} held-out cells: these count as held out nowhere"
    said = "; give --never-seen if you know that they saw none" if known.learned is None else ""
    return (
        f"{who} all {held} held-out cells: metrics are of cells that may have been seen, none is recorded as "
        f"held out, and no interval of volume and surface can be calibrated{said}"
    )


def _written(metrics: HeldOut) -> str:
    error = f"volume error {100 * metrics.volume_error:.1f} %"
    return f"IoU {metrics.iou:.3f}, {error} ({metrics.num_cells} held-out cells)"


def _gain(less: tuple[float, ...], more: tuple[float, ...], notable: float) -> tuple[float, bool]:
    """Return how much more of each cell, in notable steps, and whether that is beyond chance (two errors)."""
    each = [b - a for a, b in zip(less, more, strict=True)]
    if len(each) < 2:
        return sum(each) / notable, False
    return mean(each) / notable, abs(mean(each)) > 2.0 * stdev(each) / math.sqrt(len(each))


def _compared(before: HeldOut, after: HeldOut) -> str:
    """Say whether a training was worth it, with the numbers and of how many cells."""
    gained = [
        _gain(before.ious, after.ious, NOTABLE_IOU),
        _gain(after.volume_errors, before.volume_errors, NOTABLE_VOLUME_ERROR),
    ]
    told = [gain for gain, sure in gained if sure]
    better, worse = any(gain > 1.0 for gain in told), any(gain < -1.0 for gain in told)
    if not better and not worse and any(abs(gain) > 1.0 for gain, _ in gained):
        verdict = "too few to tell it from the weights it started from; dispr evaluate compares both"
    elif better and worse:
        verdict = "better in one and worse in the other than the weights it started from"
    elif worse:
        verdict = (
            "worse than the weights it started from: use those, or learn from more cells, from more "
            "examples, or with a lower --learning-rate"
        )
    elif better:
        verdict = "better than the weights it started from"
    else:
        verdict = "about as good as the weights it started from"
    return (
        f"after training: IoU {after.iou:.3f} (before: {before.iou:.3f}), volume error "
        f"{100 * after.volume_error:.1f} % (before: {100 * before.volume_error:.1f} %), {after.num_cells} "
        f"held-out cells: {verdict}"
    )
