"""``dispr benchmark-peers``: all methods trained and tried on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.options import Device, Json, Quiet, Threads
from dispr_cli.config import METHODS

CHEAP = tuple(name for name in METHODS if name != "dispr2022")


def benchmark_peers(
    data: Annotated[Path, typer.Argument(help="Folder with image/, mask/ and obj/.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for weights, stores and tables.", show_default=False)],
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            help="Which, with commas; NAME:VARIANT for a variant, NAME:LABEL for other weights. "
            "dispr2022 takes days on a CPU.",
            metavar="NAMES",
        ),
    ] = ",".join(CHEAP),
    folds: Annotated[int, typer.Option("--folds", help="Parts that are held out in turn.")] = 5,
    samples: Annotated[int, typer.Option("--samples", "-n", help="Shapes for each cell.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Decides the samples drawn.")] = 0,
    weights: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--weights",
            help="Use weights of folds that are trained already; once for each of --methods, labels too.",
            metavar="METHOD=FOLDER",
        ),
    ] = None,
    volumes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--volumes",
            help="Take samples that were drawn elsewhere, *.samples.npz; once for each method. With a name "
            "of your own: predictions of another program, as dispr evaluate reads them.",
            metavar="METHOD=FOLDER",
        ),
    ] = None,
    never_seen: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--never-seen",
            help="You say that the program behind these predictions was trained on none of their cells.",
            metavar="METHOD",
        ),
    ] = None,
    settings: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", help="TOML file with a table of training settings for each method."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Train each method in folds by cell, reconstruct the held-out cells, and compare.

    No cell is reconstructed by a network that was trained on it; of predictions that you bring, you have to
    see to that. A run that was stopped goes on where it
    stopped when the same command is given again.
    """
    from dispr_cli.commands import watch
    from dispr_cli.commands.watch_evaluation import EvaluationProgress, print_evaluation
    from dispr_cli.peers import PeerStudy, compare_peers, parse_folders
    from dispr_cli.training_settings import read_settings

    watch.set_threads(threads)
    study = PeerStudy(
        methods=tuple(name.strip() for name in methods.split(",") if name.strip()),
        num_folds=folds,
        num_samples=samples,
        seed=seed,
        settings=read_settings(settings),
        weights=parse_folders(weights or [], "--weights"),
        volumes=parse_folders(volumes or [], "--volumes"),
        never_seen=tuple(never_seen or ()),
        device=device,
    )
    silent = quiet or json_output
    with watch.TrainingProgress(silent) as training:
        found = compare_peers(data, out, study, training, None, EvaluationProgress(silent))
    print_evaluation(found, quiet=quiet, as_json=json_output)
