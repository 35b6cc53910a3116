"""``dispr classify``: what shapes, true and predicted, tell about classes of cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.options import OUTPUT, Json, Quiet
from dispr_cli.errors import ConfigError

STUDY = "Study"


def classify(
    features: Annotated[
        Path, typer.Argument(help="Table of true shapes by dispr features.", show_default=False)
    ],
    labels: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option("--labels", help="CSV file with the columns cell and class."),
    ] = None,
    labels_from_name: Annotated[
        bool, typer.Option("--labels-from-name", help="A cell's class is its name up to the number.")
    ] = False,
    augment: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            "--augment", help="Table of predicted shapes of these cells; may be given several times."
        ),
    ] = None,
    augment_classes: Annotated[
        str,
        typer.Option(
            "--augment-classes",
            help="Classes filled up with predicted shapes, with commas; auto takes the smaller half.",
            metavar="NAMES",
        ),
    ] = "auto",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for tables and figures.", rich_help_panel=OUTPUT)
    ] = Path("classification"),
    folds: Annotated[
        int,
        typer.Option("--folds", help="Folds, where no network decides them.", rich_help_panel=STUDY),
    ] = 5,
    repeats: Annotated[int, typer.Option("--repeats", help="Repetitions.", rich_help_panel=STUDY)] = 5,
    trees: Annotated[int, typer.Option("--trees", help="Trees of each forest.", rich_help_panel=STUDY)] = 300,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="Show what the published, leaking protocol reports too.",
            rich_help_panel=STUDY,
        ),
    ] = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Classify cells by their shapes, and compare ways to make up for small classes.

    True shapes only, with predicted shapes of small classes added, with copies, SMOTE and class weights;
    image and mask only; predicted shapes only. A tested cell never trains, nor does a shape by a network that
    saw it.
    """
    if (labels is None) == (not labels_from_name):
        raise ConfigError("the cells' classes are needed: give either --labels FILE or --labels-from-name")
    from dispr_cli.classification.classify import ClassifyConfig, classify_tables
    from dispr_cli.classification.report import as_json, write_classification
    from dispr_cli.commands.counting import Counting
    from dispr_cli.study.forest import ForestConfig

    chosen = None if augment_classes == "auto" else _names(augment_classes)
    config = ClassifyConfig(folds, repeats, chosen, as_published, ForestConfig(trees))
    with Counting("forests", quiet or json_output) as events:
        found = classify_tables(features, augment or [], labels, config, events)
    files = write_classification(found, config, out)
    if json_output:
        typer.echo(json.dumps(as_json(found, config)))
        return
    if not quiet:
        for name, scores in found.scores.items():
            low, high = scores.macro_f1_interval
            typer.echo(f"{name:28s} macro F1 {scores.macro_f1.mean():.3f} ({low:.3f} to {high:.3f})")
    typer.echo(f"page: {files[-1]}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ConfigError(f"--augment-classes is {text!r}: expected names of classes with commas, or auto")
    return names
