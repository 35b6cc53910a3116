"""``dispr study``: from a folder of cells with known shapes to what predicted shapes add, in one command."""

from __future__ import annotations

import dataclasses
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dispr_cli.commands.options import INPUT, Device, Json, Precision, Quiet, Threads

if TYPE_CHECKING:
    from dispr_cli.commands.counting import Counting
    from dispr_cli.commands.watch import RunProgress, TrainingProgress

NETWORKS = "Networks"
STUDY = "Study"


def study(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with image/, mask/ and obj/, classes in the names.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.")] = Path("study"),
    small: Annotated[
        bool,
        typer.Option(
            "--small", help="Few folds, examples, shapes and trees: 8 minutes for 108 cells on one thread."
        ),
    ] = False,
    labels: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--labels",
            help="CSV file with the columns cell and class; else names tell.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    voxel_size: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--voxel-size", help="Side of a voxel in um; wins over the files.", rich_help_panel=INPUT
        ),
    ] = None,
    weights_dir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--weights-dir",
            help="Folder with fold0.safetensors and so on, instead of training.",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    init: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--init",
            help="Weights every training starts from; they must not have seen these cells.",
            rich_help_panel=NETWORKS,
        ),
    ] = None,
    never_seen: Annotated[
        bool,
        typer.Option(
            "--never-seen",
            help="You say that the weights of --init saw none of these cells.",
            rich_help_panel=NETWORKS,
        ),
    ] = False,
    folds: Annotated[Optional[int], typer.Option(help="Folds.", rich_help_panel=STUDY)] = None,  # noqa: UP045
    examples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Augmented examples each network learns from.", rich_help_panel=STUDY),
    ] = None,
    samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Shapes of each cell by the network that never saw it.", rich_help_panel=STUDY),
    ] = None,
    known_samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Shapes of each cell by each network that saw it.", rich_help_panel=STUDY),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Denoising steps.", rich_help_panel=STUDY),
    ] = None,
    repeats: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Repetitions of the classification.", rich_help_panel=STUDY),
    ] = None,
    trees: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Trees of each forest.", rich_help_panel=STUDY),
    ] = None,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published", help="Show what the published, leaking protocol reports.", rich_help_panel=STUDY
        ),
    ] = False,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of folds, trainings and shapes.", rich_help_panel=STUDY),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Find out what predicted shapes add to a classification of your cells.

    Deals the cells into folds, trains a network for each, reconstructs, measures and classifies. A study that
    was stopped goes on where it stopped when the same command is given again.
    """
    from dispr_cli.commands import watch
    from dispr_cli.inputs.settings import InputSettings
    from dispr_cli.study.forest import ForestConfig
    from dispr_cli.threads import available_threads
    from dispr_cli.whole_study.run import run_study
    from dispr_cli.whole_study.settings import SMALL, Machine, StudyConfig

    base = SMALL if small else StudyConfig()
    forest = base.classify.forest if trees is None else ForestConfig(trees)
    chosen = _given(num_repeats=repeats) | {"forest": forest, "as_published": as_published}
    given = _given(num_folds=folds, num_examples=examples, num_steps=steps, seed=seed)
    given |= _given(num_samples=samples, num_known_samples=known_samples)
    classify = dataclasses.replace(base.classify, **chosen)
    config = dataclasses.replace(base, classify=classify, never_seen=never_seen, **given)
    watch.set_threads(threads)
    summary = run_study(
        data,
        out,
        config,
        Machine(device, precision, threads or available_threads()),
        _Events(quiet or json_output),
        inputs=InputSettings(pixel_size_um=voxel_size),
        labels=labels,
        weights=weights_dir,
        init=init,
    )
    if json_output:
        typer.echo(json.dumps({"study": str(out), "summary": str(summary)}))
        return
    typer.echo(f"summary: {summary}")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


class _Events:
    """Show each stage as its own command does; see :class:`dispr_cli.whole_study.settings.StudyEvents`."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def message(self, text: str) -> None:
        """Print a sentence worth knowing."""
        if not self._quiet:
            typer.echo(text, err=True)

    def training(self) -> AbstractContextManager[TrainingProgress]:
        """Follow one training."""
        from dispr_cli.commands.watch import TrainingProgress

        return TrainingProgress(self._quiet)

    def reconstruction(self) -> AbstractContextManager[RunProgress]:
        """Follow one store being filled."""
        from dispr_cli.commands.watch import RunProgress

        return RunProgress(self._quiet)

    def features(self) -> AbstractContextManager[Counting]:
        """Follow one table being measured."""
        from dispr_cli.commands.counting import Counting

        return Counting("shapes", self._quiet)

    def classification(self) -> AbstractContextManager[Counting]:
        """Follow the forests."""
        from dispr_cli.commands.counting import Counting

        return Counting("forests", self._quiet)
