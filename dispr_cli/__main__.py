"""The ``dispr`` command: the list of commands, and what happens to an error."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from dispr_cli import __version__
from dispr_cli.commands import bench, doctor, evaluate, export, phantom, reconstruct, slurm, status, train
from dispr_cli.commands import benchmark_peers as peers_command
from dispr_cli.commands import classify as classify_command
from dispr_cli.commands import demo as demo_command
from dispr_cli.commands import features as features_command
from dispr_cli.commands import study as study_command
from dispr_cli.commands import verify as verify_command
from dispr_cli.errors import EXIT_BAD_INPUT, EXIT_BUG, DisprError, RunInterruptedError
from dispr_cli.threads import bound_spinning


class Commands(TyperGroup):
    """The list of commands in plain text: drawing it with rich would take longer than all the rest.

    The commands' own help keeps its panels.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer itself would end an interrupted one without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise RunInterruptedError("Interrupted.") from None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help without loading rich."""
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)


app = typer.Typer(
    name="dispr",
    cls=Commands,
    help="From one 2D microscope image of a cell: what the cell looks like in 3D.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dispr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """From one 2D microscope image of a cell: what the cell looks like in 3D."""


def _add(
    function: Callable[..., Any], panel: str, summary: str, command: type[TyperCommand] | None = None
) -> None:
    app.command(cls=command, rich_help_panel=panel, short_help=summary)(function)


_add(
    *(reconstruct.reconstruct, "Main job", "2D images to 3D shapes, in an OME-Zarr store."),
    command=reconstruct.OneSource,
)
_add(export.export, "Main job", "Cells as OME-TIFF, mesh or array.")
_add(evaluate.evaluate, "Main job", "Shapes against known ones; compare methods.")
_add(features_command.features, "Morphology", "Measure shapes: one row of features each.")
_add(classify_command.classify, "Morphology", "What shapes tell about cell classes.")
_add(study_command.study, "Morphology", "Folds to figures: the whole study at once.")
_add(status.status, "Many cells", "What of a store is done, failed, pending.")
_add(status.merge_tables, "Many cells", "Write the table of a store anew.")
_add(verify_command.verify, "Many cells", "Check every part of a store.")
_add(slurm.slurm, "Many cells", "Print a SLURM job array.")
_add(train.train, "Training", "Train on your own cells.")
_add(peers_command.benchmark_peers, "Training", "All methods on the same held-out cells.")
_add(phantom.phantom, "Training", "Make synthetic red blood cells.")
_add(doctor.doctor, "Help", "Device, versions, kernels, weights.")
_add(bench.bench, "Help", "How fast every part is on this machine.")
_add(demo_command.demo, "Help", "Reconstruct the shipped phantom cells.")


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    # A scheduler's SIGTERM ends a run as Ctrl-C does: what is finished is kept.
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; errors end in one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    bound_spinning()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        app()
    except RunInterruptedError as stopped:
        typer.echo(f"\n{stopped}", err=True)
        sys.exit(stopped.exit_code)
    except DisprError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            with suppress(OSError):
                typer.echo("Error: what is printed cannot be written, its disk is full", err=True)
            with suppress(OSError):
                # What is left in the buffer would be tried again at the end, and Python choose the exit code.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BAD_INPUT)
        import traceback

        traceback.print_exc()
        typer.echo(
            f"This is a bug in dispr {__version__} ({type(error).__name__}); please report the lines above.",
            err=True,
        )
        sys.exit(EXIT_BUG)


if __name__ == "__main__":
    main()
