"""What a person sees of a run: a progress bar on a terminal, rare plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from dispr_cli.commands.following import SHOWN_FAILURES, Following, pace
from dispr_cli.commands.scale_notes import count_scaled
from dispr_cli.inputs.plan import Plan
from dispr_cli.inputs.settings import InputSettings
from dispr_cli.scale.parts import Part
from dispr_cli.volumes.cells import Progress as Counts
from dispr_cli.volumes.rows import CellRow
from dispr_cli.volumes.store import VolumeStore

if TYPE_CHECKING:
    from dispr_cli.diffusion.held_out_metrics import HeldOut
    from dispr_cli.diffusion.resumable_run import Progress as TrainingStep


class RunProgress(Following):
    """Follow a run on stderr; see :class:`dispr_cli.scale.shards.Events`."""

    def __init__(self, quiet: bool) -> None:
        super().__init__("cells", quiet, TextColumn("{task.fields[rate]}"), rate="")
        self.total, self.finished, self._new = 0, 0, 0
        self._since = time.monotonic()

    @property
    def failures(self) -> int:
        """Cells that failed in this run."""
        return self._failures

    def started(self, store: VolumeStore, progress: Counts) -> None:
        """Say what an earlier run left."""
        self.finished = progress.done + progress.failed
        self.total = self.finished + progress.pending
        self._since = time.monotonic()
        if progress.done:
            self.message(
                f"{progress.done} of {self.total} cells were finished before; going on with the rest"
            )
        self._show()

    def reconstructed(self, done: int, failed: Sequence[tuple[str, str]]) -> None:
        """Move on."""
        self._new += done + len(failed)
        self.finished += done + len(failed)
        for name, reason in failed:
            self.say_failure(f"Failed: {name}: {reason}")
            if self.failures == SHOWN_FAILURES + 1:
                self.message("Further failures are in cells.csv of the store.")
        self._show()

    def _show(self) -> None:
        def line() -> str:
            return pace(self.finished, self.total, self._new, self._since, self.things, "cells/s")

        rate = self._new / max(time.monotonic() - self._since, 1e-9)
        self.show(self.finished, self.total, line, rate=f"{rate:.2f} cells/s" if self._new else "")


class TrainingProgress(Following):
    """Follow a training on stderr; see :class:`dispr_cli.diffusion.resumable_run.TrainingEvents`."""

    def __init__(self, quiet: bool) -> None:
        super().__init__("examples", quiet)
        self._first: tuple[int, float] | None = None
        self._loss = 0.0

    def progress(self, step: TrainingStep) -> None:
        """Move on by one step."""
        self._loss = step.loss if self._first is None else 0.98 * self._loss + 0.02 * step.loss
        first = self._first = self._first or (step.examples, step.seconds)

        def line() -> str:
            of_one = (step.seconds - first[1]) / max(step.examples - first[0], 1)
            left = (step.total - step.examples) * of_one / 60.0
            return (
                f"{step.examples} of {step.total} examples, loss {self._loss:.3f}, about {left:.0f} min left"
            )

        self.show(step.examples, step.total, line, description=f"loss {self._loss:.3f}")

    def held_out(self, step: TrainingStep, metrics: HeldOut) -> None:
        """Show how the average does on held-out cells."""
        self.message(
            f"held out after {step.examples} examples: IoU {metrics.iou:.3f}, "
            f"volume error {100 * metrics.volume_error:.1f} %, "
            f"IoU between two samples {metrics.sample_iou:.3f}"
        )


def print_plan(plan: Plan, inputs: InputSettings, as_json: bool) -> None:
    """Print the cells a run would reconstruct, those that would fail, and what it would leave out."""
    if as_json:
        cells = [
            {
                "name": ref.name,
                "image": str(ref.image),
                "mask": None if ref.mask is None else str(ref.mask),
                "label": ref.label,
                "bounding_box": ref.bounding_box,
                "touches_border": ref.touches_border,
                "voxel_size_um": ref.voxel_size_um,
                "voxel_size_px": ref.voxel_size_px,
                "scaled": ref.scaled,
                "problem": ref.problem,
            }
            for ref in plan.cells
        ]
        left = [{"path": str(item.path), "reason": item.reason} for item in plan.left_out]
        notes = [{"path": str(note.path), "note": note.text} for note in plan.notes]
        typer.echo(json.dumps({"cells": cells, "left_out": left, "notes": notes}))
        return
    table = Table(box=None, header_style="bold")
    for title in ("cell", "image", "mask", "size (px)", "pixel size", "note"):
        table.add_column(title, overflow="fold")
    for ref in plan.cells:
        box = ref.bounding_box
        size = "" if box is None else f"{box[2] - box[0]} x {box[3] - box[1]}"
        pixel = (
            "unknown" if ref.pixel_size is None else f"{ref.pixel_size.x_um:.4g} um ({ref.pixel_size.source})"
        )
        words = ref.problem or ("cut by the border" if ref.touches_border else "")
        mask = "segmented (otsu)" if ref.mask is None else ref.mask.name
        # Names and paths may hold brackets, which are no markup.
        table.add_row(*map(Text, (ref.name, ref.image.name, mask, size, pixel, words)))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for item in plan.left_out:
        typer.echo(f"left out: {item.path}: {item.reason}")
    for noted in plan.notes:
        typer.echo(f"note: {noted.path}: {noted.text}")
    failing = sum(ref.problem is not None for ref in plan.cells)
    would = _cells(len(plan.cells) - failing) + " would be reconstructed"
    would += f", {failing} would fail" if failing else ""
    unused = "1 file or label" if len(plan.left_out) == 1 else f"{len(plan.left_out)} files or labels"
    typer.echo(f"{would}, {unused} left out")
    for note in count_scaled(ref for ref in plan.cells if ref.problem is None).notes(inputs.scale):
        typer.echo(note)


def count_of_work(cells: int, samples: int) -> str:
    """Return such as ``2 cells, 5 samples each``."""
    return f"{_cells(cells)}, {'1 sample' if samples == 1 else f'{samples} samples'} each"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def print_left_out(plan: Plan) -> None:
    """Say on stderr what of the input is not used, and what should be looked at; never silently."""
    for item in plan.left_out[:SHOWN_FAILURES]:
        typer.echo(f"Left out: {item.path}: {item.reason}", err=True)
    if len(plan.left_out) > SHOWN_FAILURES:
        typer.echo(f"... and {len(plan.left_out) - SHOWN_FAILURES} more; --dry-run lists all", err=True)
    for note in plan.notes[:SHOWN_FAILURES]:
        typer.echo(f"Note: {note.path}: {note.text}", err=True)
    if len(plan.notes) > SHOWN_FAILURES:
        typer.echo(f"... and {len(plan.notes) - SHOWN_FAILURES} more notes; --dry-run lists all", err=True)


def print_result(
    store: VolumeStore,
    progress: Counts,
    pictures: Sequence[Path],
    as_json: bool,
    part: Part,
    quiet: bool = False,
) -> None:
    """Print where everything is, the store last; what else is to be known of this part's cells before it."""
    table = store.path / "cells.csv"

    def done() -> Iterator[CellRow]:
        for shard in part.shards_of(store.grid.num_shards):
            yield from (row for row in store.cells.of_shard(shard) if row.is_done)

    unlike = sum((row.unlike_training or 0.0) > 1.0 for row in done())
    scaled = count_scaled(done())
    if as_json:
        result = {
            "store": str(store.path),
            "table": str(table) if table.exists() else None,
            "pictures": [str(path) for path in pictures],
            "done": progress.done,
            "failed": progress.failed,
            "pending": progress.pending,
            "part": str(part),
            "unlike_training": unlike,
            "of_unknown_size": scaled.of_unknown_size,
            "fitted": scaled.fitted,
        }
        typer.echo(json.dumps(result))
        return
    total = progress.done + progress.failed + progress.pending
    if progress.failed:
        typer.echo(f"{progress.failed} of {total} cells failed; the reasons are in the table", err=True)
    if unlike and not quiet:
        looks = "cells looks" if unlike == 1 else "cells look"
        typer.echo(
            f"Look with care: {unlike} of {total} {looks} unlike those the network was trained on "
            "(unlike_training above 1 in the table); its measured accuracy does not hold there.",
            err=True,
        )
    for note in () if quiet else scaled.notes(store.configuration.get("inputs", {}).get("scale", "")):
        typer.echo(note, err=True)
    for picture in pictures:
        typer.echo(f"picture: {picture}")
    typer.echo(f"table:   {table}" if table.exists() else "table:   written by the part that ends last")
    typer.echo(f"store:   {store.path}")
    if not part.is_whole and (part.is_assumed or not quiet):
        typer.echo(f"Part {part}: {progress.done} of its {total} cells are done.", err=True)
        if not store.is_complete():
            typer.echo(f"Other parts are pending, see dispr status {store.path}", err=True)


def warn_of_assumed_part(part: Part) -> None:
    """Say, also when quiet, that a share is done though nobody asked for one."""
    typer.echo(
        f"Note: {part.origin} makes this part {part}: only its share of the cells is done here, the array's "
        "other tasks do the rest of the same store; --part 1/1 does all cells.",
        err=True,
    )


def set_threads(threads: int | None) -> None:
    """Let torch use as many CPU threads as asked for, here or in the environment, or all there are."""
    import torch

    from dispr_cli.threads import available_threads

    torch.set_num_threads(threads or available_threads())


def warn_without_kernels() -> None:
    """Say once that the compiled kernels are missing."""
    from dispr_cli.diffusion.ops import kernels_status

    status = kernels_status()
    if not status["built"]:
        typer.echo(
            f"Note: the compiled kernels are not in use ({status['reason']}); running on plain torch.",
            err=True,
        )
