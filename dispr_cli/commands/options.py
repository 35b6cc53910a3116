"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

INPUT = "Input"
OUTPUT = "Output"
SAMPLING = "Sampling"
MACHINE = "Machine"

Weights = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads it at run time
    typer.Option(
        "--weights",
        help="Weights (.safetensors) instead of the shipped ones, or a folder with fold0, fold1 ... "
        "(each cell by the network that never saw it).",
        rich_help_panel=SAMPLING,
    ),
]
HeldOutOnly = Annotated[
    bool,
    typer.Option(
        "--held-out-only",
        help="Draw only cells that the weights record as held out of their training.",
        rich_help_panel=SAMPLING,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides the samples drawn.", rich_help_panel=SAMPLING)]
Device = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda or mps.", rich_help_panel=MACHINE, metavar="NAME")
]
Precision = Annotated[
    str, typer.Option("--precision", help="auto, fp32 or bf16.", rich_help_panel=MACHINE, metavar="NAME")
]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--threads", min=1, help="CPU threads [OMP_NUM_THREADS, all cores].", rich_help_panel=MACHINE
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the result and errors only.", rich_help_panel=OUTPUT)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=OUTPUT)
]
