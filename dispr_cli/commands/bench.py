"""``dispr bench``: how fast the parts of the main job are on this machine, and how far from its limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dispr_cli.commands.options import MACHINE, SAMPLING, Device, Json, Precision, Threads, Weights
from dispr_cli.config import SAMPLERS, ReconstructConfig, SamplerConfig
from dispr_cli.errors import ConfigError

_SAMPLER, _RUN = SamplerConfig(), ReconstructConfig()


def bench(
    ops: Annotated[bool, typer.Option("--ops", help="Time the fused operations alone.")] = False,
    compare: Annotated[
        Optional[tuple[str, str]],  # noqa: UP045 - typer reads it at run time
        typer.Option(
            "--compare",
            help="Time A and B in turns; each is a file of weights or settings such as steps=2,ops=plain.",
            metavar="A B",
        ),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--torch-compile/--no-torch-compile", help="Time torch.compile too.")
    ] = True,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Time the peers' networks too.")] = True,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns of each measurement.")] = 7,
    sampler: Annotated[
        str,
        typer.Option("--sampler", help=f"{', '.join(SAMPLERS)}.", rich_help_panel=SAMPLING, metavar="NAME"),
    ] = _SAMPLER.sampler,
    steps: Annotated[
        int, typer.Option("--steps", help="Noise levels visited.", rich_help_panel=SAMPLING)
    ] = _SAMPLER.num_steps,
    weights: Weights = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=0,
            help="Volumes in one call of the network; 0: the device's own.",
            rich_help_panel=MACHINE,
        ),
    ] = 0,
    device: Device = _RUN.device,
    precision: Precision = _RUN.precision,
    threads: Threads = None,
    roofline: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--roofline", help="Also draw speed against the machine's limits.", metavar="PNG"),
    ] = None,
    json_output: Json = False,
) -> None:
    """Time operations, denoiser, sampler and whole cells on this machine, beside its limits and the peers."""
    from dispr_cli.speed.settings import BenchSettings, settings_from

    if compare is not None and (ops or roofline):
        raise ConfigError("--compare times two settings and nothing else: leave out --ops and --roofline")
    settings = BenchSettings(weights, sampler, steps, batch_size, device, precision, threads or 0)
    sides = None if compare is None else [settings_from(side, settings) for side in compare]

    from dispr_cli.commands import bench_tables, watch
    from dispr_cli.speed.measure import measure, measure_against

    watch.warn_without_kernels()
    found: dict[str, Any]
    if sides is not None:
        found = measure_against(sides[0], sides[1], repeats)
    else:
        found = measure(settings, repeats, ops, compiled, peers)
    if json_output:
        typer.echo(json.dumps(found))
    else:
        (bench_tables.print_comparison if sides else bench_tables.print_measures)(found)
    if roofline is not None:
        from dispr_cli.speed.picture import draw_measures

        typer.echo(f"roofline: {draw_measures(found, roofline)}", err=json_output)
