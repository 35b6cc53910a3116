"""Options about what is read, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.commands.options import INPUT
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
