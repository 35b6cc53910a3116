"""``dispr train``: a denoiser, or a peer to compare with, from a folder of cells with known 3D shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dispr_cli.commands.input_options import (
    Border,
    Channel,
    GridVoxelSize,
    Invert,
    Labels,
    MaskFrom,
    Masks,
    MaxPixels,
    MinCellPixels,
    PixelSize,
    Plane,
    TruthVoxelSize,
    sides_of,
)
from dispr_cli.commands.options import INPUT, Device, Precision, Quiet, Threads
from dispr_cli.config import FINE_TUNING_RATE, METHODS, TrainingConfig
from dispr_cli.errors import ConfigError
from dispr_cli.inputs.settings import InputSettings, plane_of

_DEFAULT = TrainingConfig()
_INPUTS = InputSettings()
LEARNING = "Learning"


def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with image/, mask/ and obj/ (volumes, axes z, y, x); those of test/ beside train/ "
            "are held out.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Weights to write (.safetensors).", show_default=False)
    ],
    method: Annotated[
        str, typer.Option("--method", help="dispr, shapr, shapr-topo, dispr2022 or nearest.", metavar="NAME")
    ] = METHODS[0],
    init: Annotated[
        Optional[str],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--init",
            help="Weights to start from: the word default for the shipped ones, or a file. Random if not "
            "given.",
            metavar="default|FILE",
        ),
    ] = None,
    never_seen: Annotated[
        bool,
        typer.Option("--never-seen", help="You say that the weights of --init saw none of these cells."),
    ] = False,
    settings: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--config",
            help="TOML file of settings by the names of the options below (examples = 5000) or of others "
            "that the method has; options win.",
        ),
    ] = None,
    examples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help=f"Augmented examples to learn from [{_DEFAULT.num_examples}].", rich_help_panel=LEARNING
        ),
    ] = None,
    batch_size: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help=f"Examples in a step [{_DEFAULT.batch_size}].", rich_help_panel=LEARNING),
    ] = None,
    learning_rate: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help=f"Of AdamW, falling to 0 [{_DEFAULT.learning_rate}; with --init {FINE_TUNING_RATE}].",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    ema_half_life: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help=f"Examples over which the weights are averaged [{_DEFAULT.ema_half_life:g}].",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    validation_fraction: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help=f"Share of the cells held out for metrics and intervals [{_DEFAULT.validation_fraction}]; 0 "
            "for none.",
            rich_help_panel=LEARNING,
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            help=f"Minutes between checkpoints [{_DEFAULT.checkpoint_minutes:g}].", rich_help_panel=LEARNING
        ),
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help=f"Of everything random [{_DEFAULT.seed}].", rich_help_panel=LEARNING),
    ] = None,
    truth: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--truth",
            help="Folder of ground truths named like the cells, if they are not in obj/.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    truth_voxel_size: TruthVoxelSize = None,
    pixel_size: PixelSize = None,
    masks: Masks = None,
    mask_from: MaskFrom = None,
    labels: Labels = "auto",
    border: Border = "keep",
    grid_voxel_size: GridVoxelSize = None,
    channel: Channel = None,
    plane: Plane = None,
    invert: Invert = False,
    min_cell_pixels: MinCellPixels = _INPUTS.min_cell_pixels,
    max_pixels: MaxPixels = _INPUTS.max_pixels,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace weights that are there.")] = False,
    device: Device = _DEFAULT.device,
    precision: Precision = _DEFAULT.precision,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Train on your own cells, or go on with a training that was stopped.

    The state of an unfinished training lies beside the weights; give the same command again to go on.
    Images and masks are read as by dispr reconstruct; ground truths of any size and voxel size are laid on
    the grid of their cell. Defaults of learning are those of dispr: each method has its own, and settings of
    its own for --config; a name it does not know is answered with the list.
    On several GPUs: torchrun --nproc-per-node 4 -m dispr_cli train ...; they share every batch.
    """
    from dispr_cli.commands import watch
    from dispr_cli.diffusion.folder import TrainingInput
    from dispr_cli.diffusion.grid_choice import choose_grid
    from dispr_cli.diffusion.processes import launched
    from dispr_cli.diffusion.resumable_run import state_file
    from dispr_cli.inputs.cell_truth import TruthSource
    from dispr_cli.training import train_on_folder
    from dispr_cli.training_settings import read_settings

    if out.suffix != ".safetensors":
        raise ConfigError(f"--out is {out}: expected a name that ends in .safetensors")
    if out.exists() and not overwrite and not state_file(out).exists():
        raise ConfigError(f"{out}: is there already; give --overwrite to train it anew, or another name")
    options: dict[str, Any] = {
        "num_examples": examples,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "ema_half_life": ema_half_life,
        "validation_fraction": validation_fraction,
        "checkpoint_minutes": checkpoint_minutes,
        "seed": seed,
        "device": device if device != _DEFAULT.device else None,
        "precision": precision if precision != _DEFAULT.precision else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    start = None if init in (None, "default") else Path(str(init))
    inputs = InputSettings(
        channel=channel,
        plane=None if plane is None else plane_of(plane),
        invert=invert,
        pixel_size_um=pixel_size,
        mask_from=mask_from,  # type: ignore[arg-type]
        labels=labels,  # type: ignore[arg-type]
        border=border,  # type: ignore[arg-type]
        grid_voxel_size_um=choose_grid(start, grid_voxel_size).voxel_size_um,
        min_cell_pixels=min_cell_pixels,
        max_pixels=max_pixels,
    )
    reading = TrainingInput(inputs, masks, TruthSource(truth, sides_of(truth_voxel_size)))
    watch.set_threads(threads)
    speaks = launched().is_first
    if speaks:
        watch.warn_without_kernels()
    with watch.TrainingProgress(quiet or not speaks) as events:
        values = {**read_settings(settings), **given}
        train_on_folder(method, data, out, values, init, events, never_seen, reading)
    if speaks:
        typer.echo(f"weights: {out}")
