"""Options about what is read, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.options import INPUT
from dispr_cli.errors import ConfigError
from dispr_cli.inputs.settings import GRID_VOXEL_SIZE_UM

PixelSize = Annotated[
    Optional[float],  # noqa: UP045 - typer reads it at run time
    typer.Option("--pixel-size", help="Side of a pixel in um; wins over the files.", rich_help_panel=INPUT),
]
Masks = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--masks", help="File or folder of masks, if they are not beside the images.", rich_help_panel=INPUT
    ),
]
MaskFrom = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--mask-from",
        help="otsu: segment images that have no mask.",
        metavar="NAME",
        rich_help_panel=INPUT,
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        help="What a mask holds: auto, single, components or values.",
        metavar="KIND",
        rich_help_panel=INPUT,
    ),
]
Border = Annotated[
    str,
    typer.Option(
        "--border",
        help="keep or drop cells cut by the image's border.",
        metavar="KIND",
        rich_help_panel=INPUT,
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        "--scale",
        help="auto, physical (one voxel size) or fit (each cell to the size of the training cells).",
        metavar="KIND",
        rich_help_panel=INPUT,
    ),
]
GridVoxelSize = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--grid-voxel-size",
        help=f"Side of the network's voxels in um ({GRID_VOXEL_SIZE_UM}, or what the weights record).",
        rich_help_panel=INPUT,
    ),
]
Channel = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--channel", help="Channel that shows the cells, from 0.", rich_help_panel=INPUT),
]
Plane = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--plane",
        help="Plane of a stack in which the cells are in focus, from 0, or middle.",
        metavar="N|middle",
        rich_help_panel=INPUT,
    ),
]
Invert = Annotated[
    bool,
    typer.Option(
        "--invert", help="Cells are dark on a bright ground: turn images round.", rich_help_panel=INPUT
    ),
]
MinCellPixels = Annotated[
    int,
    typer.Option("--min-cell-pixels", help="Smaller regions are specks, not cells.", rich_help_panel=INPUT),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels", help="Images of more pixels are refused before decoding.", rich_help_panel=INPUT
    ),
]
TruthVoxelSize = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--truth-voxel-size",
        help="Sides of the ground truths' voxels in um: one number, or z,y,x. Wins over the files.",
        metavar="UM",
        rich_help_panel=INPUT,
    ),
]


def sides_of(text: str | None) -> tuple[float, float, float] | None:
    """Read ``--truth-voxel-size``.

    Raises
    ------
    ConfigError
        If it is neither one length nor three.
    """
    if text is None:
        return None
    try:
        sides = [float(word) for word in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 3) or not all(0 < side < float("inf") for side in sides):
        raise ConfigError(f"--truth-voxel-size is {text!r}: expected one length in um, or three (z,y,x)")
    z, y, x = sides * 3 if len(sides) == 1 else sides
    return z, y, x
