"""``dispr reconstruct``: the main job."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand

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
    Scale,
)
from dispr_cli.commands.options import (
    MACHINE,
    OUTPUT,
    Device,
    HeldOutOnly,
    Json,
    Precision,
    Quiet,
    Seed,
    Threads,
    Weights,
)
from dispr_cli.commands.sampling_options import (
    Independent,
    MethodName,
    QualityName,
    Sampler,
    Samples,
    Spread,
    Steps,
    Variant,
)
from dispr_cli.config import METHODS as NAMES
from dispr_cli.config import ReconstructConfig, SamplerConfig
from dispr_cli.errors import EXIT_SOME_CELLS_FAILED, ConfigError
from dispr_cli.inputs.settings import InputSettings, plane_of
from dispr_cli.quality import spend

_RUN = ReconstructConfig()
_SAMPLER = SamplerConfig()
_INPUTS = InputSettings()


class OneSource(TyperCommand):
    """Answers what a shell makes of ``*.tif`` in a sentence."""

    allow_extra_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises
        ------
        ConfigError
            If there are more files than a source and a store.
        """
        rest = super().parse_args(ctx, args)
        if ctx.args:
            first, last = ctx.params["source"], ctx.args[-1]
            raise ConfigError(
                f"{2 + len(ctx.args)} files or folders were given ({first} ... {last}), expected one source "
                "and one store: give the folder, or a manifest (a CSV table of the columns image and mask)"
            )
        return rest


def reconstruct(
    source: Annotated[Path, typer.Argument(help="Folder, CSV manifest or image file.", show_default=False)],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Argument(help="Store to write, an OME-Zarr folder such as out.zarr.", show_default=False),
    ] = None,
    samples: Samples = None,
    quality: QualityName = "standard",
    seed: Seed = _RUN.seed,
    method_name: MethodName = NAMES[0],
    variant: Variant = None,
    steps: Steps = None,
    sampler: Sampler = None,
    independent: Independent = False,
    spread: Spread = None,
    weights: Weights = None,
    held_out_only: HeldOutOnly = False,
    pixel_size: PixelSize = None,
    masks: Masks = None,
    mask_from: MaskFrom = None,
    labels: Labels = "auto",
    border: Border = "keep",
    scale: Scale = "auto",
    grid_voxel_size: GridVoxelSize = None,
    channel: Channel = None,
    plane: Plane = None,
    invert: Invert = False,
    min_cell_pixels: MinCellPixels = _INPUTS.min_cell_pixels,
    max_pixels: MaxPixels = _INPUTS.max_pixels,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be read and left out; write nothing.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start anew where a store is already.", rich_help_panel=OUTPUT),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Try cells again that failed in an earlier run.", rich_help_panel=OUTPUT
        ),
    ] = False,
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--picture", help="Also draw the first 20 cells into this PNG.", rich_help_panel=OUTPUT),
    ] = None,
    trajectory: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--save-trajectory",
            help="Draw the denoising steps of this cell into NAME.trajectory.png beside the store.",
            metavar="CELL",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    cells_at_once: Annotated[
        str,
        typer.Option(
            "--batch-size",
            help="Cells done together, auto or a number: more take more memory. No shape depends on it.",
            metavar="N",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    part: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--part",
            help="Do part i of N, from 1. A task of a SLURM job array (SLURM_ARRAY_TASK_ID, _COUNT) does its "
            "part of one store unasked: give 1/1 where it is to do all cells.",
            metavar="i/N",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    dask: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--dask",
            help="Share the cells out by a Dask scheduler, or by N processes here.",
            metavar="ADDRESS|local:N",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    shard_timeout: Annotated[
        float,
        typer.Option(
            "--shard-timeout",
            help="With --dask: end a worker that has had one shard in hand for so many seconds.",
            metavar="SECONDS",
            rich_help_panel=MACHINE,
        ),
    ] = 1800.0,
    device: Device = _RUN.device,
    precision: Precision = _RUN.precision,
    threads: Threads = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Reconstruct the 3D shapes of all cells in a folder.

    Masks from Cellpose, StarDist and others are found by their names. A run that was stopped goes on where
    it stopped when the same command is given again.
    """
    from dispr_cli.commands import watch
    from dispr_cli.commands.interruption import keeping_work
    from dispr_cli.diffusion.grid_choice import choose_grid
    from dispr_cli.durable import explained
    from dispr_cli.held_out import cells_to_draw
    from dispr_cli.inputs.plan import plan_cells
    from dispr_cli.methods import MethodOptions, load_method, load_with_held_out
    from dispr_cli.scale.parts import WHOLE, choose_part

    if dask is not None and part is not None:
        raise ConfigError("--part and --dask both share the cells out: give one of them")
    share = choose_part(part, os.environ) if dask is None else WHOLE
    if overwrite and not share.is_whole:
        raise ConfigError(
            f"--overwrite with part {share}, as {share.origin} says: parts would remove each other's work. "
            "Remove the store once, or give --part 1/1 to do all cells here."
        )
    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigError(f"--picture is {str(picture)!r}: expected the name of a .png file")
    if out is not None and out.name in ("", ".."):
        raise ConfigError(f"{out}: is no name for a store; expected that of a folder to write, as out.zarr")
    if out is not None and re.match(r"[a-z][a-z0-9+.-]+:/", str(out)):
        raise ConfigError(f"{out} is an address: a store is written to a local folder and copied afterwards")
    samples, steps, spread = spend(quality, method_name, samples, steps, spread)
    run = ReconstructConfig(samples, seed, _cells_at_once(cells_at_once), device, precision)
    grid = choose_grid(weights, grid_voxel_size)
    inputs = InputSettings(
        channel=channel,
        plane=None if plane is None else plane_of(plane),
        invert=invert,
        pixel_size_um=pixel_size,
        mask_from=mask_from,  # type: ignore[arg-type]
        labels=labels,  # type: ignore[arg-type]
        border=border,  # type: ignore[arg-type]
        scale=scale,  # type: ignore[arg-type]
        grid_voxel_size_um=grid.voxel_size_um,
        min_cell_pixels=min_cell_pixels,
        max_pixels=max_pixels,
    )
    plan = plan_cells(source, inputs, masks=masks)
    if not (quiet or json_output) and (said := grid.sentence_about(plan.cells)):
        typer.echo(said, err=True)
    options = MethodOptions(weights, sampler, steps, independent or None, spread, variant, run)
    if dry_run:
        if held_out_only or (weights is not None and weights.is_dir()):
            method, held_out = load_with_held_out(method_name, options)
            plan = cells_to_draw(plan, method, held_out, held_out_only=held_out_only)
        watch.print_plan(plan, inputs, json_output)
        return
    if out is None:
        raise ConfigError("no store was named: dispr reconstruct INPUT OUT.zarr (or --dry-run)")
    watch.print_left_out(plan)
    followed = None if trajectory is None else plan.cell(trajectory)
    if picture is not None:
        with explained(picture, "draw the picture"):
            picture.parent.mkdir(parents=True, exist_ok=True)

    from dispr_cli.diffusion.trust import trust_of
    from dispr_cli.pipeline import choose_cells_at_once, reconstruct_to_store
    from dispr_cli.scale.shards import Job
    from dispr_cli.shape.unmeshed_area import unmeshed_area

    watch.set_threads(threads)
    watch.warn_without_kernels()
    events = watch.RunProgress(quiet or json_output)
    if trajectory is not None and (method_name != NAMES[0] or (weights is not None and weights.is_dir())):
        raise ConfigError(
            f"--save-trajectory needs --method {NAMES[0]} with one file of weights, whose steps it draws"
        )
    method, held_out = load_with_held_out(method_name, options, events.message)
    plan = cells_to_draw(plan, method, held_out, held_out_only=held_out_only, notify=events.message)
    events.message(
        watch.count_of_work(len(plan.cells), samples) + f", by {method.name} on {method.describe()}"
    )
    if share.is_assumed:
        watch.warn_of_assumed_part(share)
    elif not share.is_whole:
        events.message(f"part {share}, as {share.origin} says")
    trust_of(method, events.message)  # Says what the table will lack; the columns are filled shard by shard.
    at_once = run.cells_at_once or choose_cells_at_once(method, samples)
    job = Job(inputs, seed, at_once, retry_failed, unmeshed_area)
    with keeping_work(out), events:
        if dask is not None:
            from dispr_cli.scale.cluster import ClusterOptions, reconstruct_on_cluster
            from dispr_cli.threads import asked_threads

            cluster = ClusterOptions(dask, shard_timeout, threads or asked_threads())
            load = partial(load_method, method_name, options)
            store, progress = reconstruct_on_cluster(
                *(plan, out, load, job, samples, cluster),
                overwrite=overwrite,
                events=events,
                notify=events.message,
            )
        else:
            store, progress = reconstruct_to_store(
                plan,
                out,
                method,
                inputs=inputs,
                num_samples=samples,
                seed=seed,
                cells_at_once=job.cells_at_once,
                overwrite=overwrite,
                part=share,
                retry_failed=retry_failed,
                events=events,
            )
    pictures = []
    if picture is not None and progress.done:
        from dispr_cli.pictures import draw_store

        pictures.append(draw_store(store, plan, inputs, picture))
    if followed is not None:
        from dispr_cli.diffusion.reconstruction import DiffusionMethod
        from dispr_cli.inputs.plan import read_cell
        from dispr_cli.pictures import draw_steps

        assert isinstance(method, DiffusionMethod)
        drawn = out.with_name(f"{out.stem}.trajectory.png")
        pictures.append(draw_steps(method, read_cell(followed, inputs), seed, drawn))
    watch.print_result(store, progress, pictures, json_output, share, quiet)
    if progress.failed:
        raise typer.Exit(EXIT_SOME_CELLS_FAILED)


def _cells_at_once(text: str) -> int:
    if text == "auto":
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--batch-size is {text!r}: expected auto or a whole number from 1 to 4096")
    return int(text)
