"""The ``dispr`` command: the list of commands, and what happens to an error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer

from dispr_cli import __version__
from dispr_cli.commands import demo as demo_command
from dispr_cli.commands import doctor, export, phantom, reconstruct, train
from dispr_cli.errors import EXIT_BUG, EXIT_INTERRUPTED, DisprError

app = typer.Typer(
    name="dispr",
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


def _add(function: Callable[..., Any], panel: str) -> None:
    app.command(rich_help_panel=panel)(function)


_add(reconstruct.reconstruct, "Main job")
_add(export.export, "Main job")
_add(train.train, "Training")
_add(phantom.phantom, "Training")
_add(doctor.doctor, "Help")
_add(demo_command.demo, "Help")


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    # A scheduler's SIGTERM ends a run as Ctrl-C does: what is finished is kept.
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; errors end in one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except DisprError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        import traceback

        traceback.print_exc()
        typer.echo(
            f"This is a bug in dispr {__version__} ({type(error).__name__}); please report the lines above.",
            err=True,
        )
        sys.exit(EXIT_BUG)


if __name__ == "__main__":
    main()
