"""``dispr demo``: the main job on the cells that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CELLS = Path(__file__).resolve().parent.parent / "demo_cells"


def demo(
    out: Annotated[Path, typer.Argument(help="Folder for the results.")] = Path("demo"),
) -> None:
    """Reconstruct the shipped phantom cells with the shipped weights, 5 samples each."""
    from dispr_cli.commands.reconstruct import reconstruct

    typer.echo(
        f"dispr reconstruct {CELLS.name}/ {out / 'cells.zarr'} --samples 5 --picture {out / 'cells.png'}",
        err=True,
    )
    out.mkdir(parents=True, exist_ok=True)
    reconstruct(CELLS, out / "cells.zarr", overwrite=True, picture=out / "cells.png", part="1/1")
