"""``dispr slurm``: a job-array script, ready to be handed in."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Optional, get_args, get_type_hints

import typer

from dispr_cli.commands.reconstruct import OneSource, reconstruct
from dispr_cli.errors import ConfigError

_WALL_TIME = r"\d+(-\d{1,2}(:\d{2}){0,2})?|\d+(:\d{2}){1,2}"
_MEMORY = r"(\d+)(?:([KMGT])(?:i?B)?)?"
_DECIDED_HERE = ("part", "dask", "threads", "overwrite", "dry_run")


def slurm(
    source: Annotated[Path, typer.Argument(help="Folder, CSV manifest or image file.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Store to write, such as out.zarr.", show_default=False)],
    parts: Annotated[int, typer.Option("--parts", help="Tasks of the array.", min=1, show_default=False)],
    options: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads it at run time
        typer.Argument(help="After --: further options of dispr reconstruct.", show_default=False),
    ] = None,
    time: Annotated[str, typer.Option("--time", help="Wall time of a task.", metavar="TIME")] = "12:00:00",
    cpus: Annotated[int, typer.Option("--cpus", help="CPU threads of a task.", min=1)] = 8,
    memory: Annotated[str, typer.Option("--memory", help="Memory of a task.", metavar="SIZE")] = "8G",
    gpus: Annotated[int, typer.Option("--gpus", help="GPUs of a task: 0 or 1.", min=0, max=1)] = 0,
    partition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--partition", help="Partition of the cluster.", metavar="NAME"),
    ] = None,
    job_name: Annotated[str, typer.Option("--job-name", help="Name of the job.", metavar="NAME")] = "dispr",
) -> None:
    """Print a SLURM job array that reconstructs a folder in parts.

    dispr slurm cells/ out.zarr --parts 16 -- --samples 10 > job.sh; sbatch job.sh

    Program and paths are written as seen from here, absolute.
    """
    _check("--time", time, _WALL_TIME, "such as 12:00:00 or 1-00:00:00")
    _check("--memory", memory, _MEMORY, "such as 8G")
    _check("--job-name", job_name, r"[\w.-]+", "letters, digits and .-_")
    if partition is not None:
        _check("--partition", partition, r"[\w.,-]+", "letters, digits and .,-_")
    for path in (source, out):
        if not str(path).isprintable():
            raise ConfigError(f"{str(path)!r}: a job script cannot hold a name with line breaks or the like")
    if not source.exists():
        typer.echo(f"Note: {source.absolute()} is not there, as seen from this machine.", err=True)
    command = [sys.executable, "-m", "dispr_cli", "reconstruct", str(source.absolute()), str(out.absolute())]
    command += _checked(options or (), source, out)
    wanted = {
        "job-name": job_name,
        "array": f"1-{parts}",
        "time": time,
        "cpus-per-task": str(cpus),
        "mem": re.sub(r"i?B$", "", memory, flags=re.IGNORECASE),
        "gres": f"gpu:{gpus}" if gpus else None,
        "partition": partition,
        "output": f"{job_name}-%A_%a.log",
        # So long before the end the task is told, writes what it has and stops.
        "signal": "B:TERM@90",
    }
    typer.echo(_script({key: value for key, value in wanted.items() if value}, command, out, parts, cpus))


def _checked(options: Sequence[str], source: Path, out: Path) -> Iterator[str]:
    """Yield options of ``dispr reconstruct`` as that command reads them, paths absolute.

    Raises
    ------
    ConfigError
        If one is decided by the script; what the command does not know it refuses itself.
    """
    app = typer.Typer(add_completion=False)
    app.command(cls=OneSource)(reconstruct)
    command = typer.main.get_command(app)
    context = command.make_context(
        "dispr reconstruct", [str(source.absolute()), str(out.absolute()), *options]
    )
    kinds = get_type_hints(reconstruct)
    for option in command.params:
        name, said = str(option.name), context.get_parameter_source(str(option.name))
        if option.param_type_name == "argument" or said is None or said.name != "COMMANDLINE":
            continue
        if name in _DECIDED_HERE:
            raise ConfigError(f"{option.opts[0]} cannot be handed on to the tasks of an array: leave it out")
        yield option.opts[0]
        value = context.params[name]
        if kinds[name] is not bool:
            is_path = Path in (kinds[name], *get_args(kinds[name]))
            yield str(Path(value).absolute()) if is_path else str(value)


def _script(wanted: dict[str, str], command: list[str], out: Path, parts: int, cpus: int) -> str:
    task, threads = "${SLURM_ARRAY_TASK_ID:?submit with sbatch}", f"${{SLURM_CPUS_PER_TASK:-{cpus}}}"
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={value}" for key, value in wanted.items()),
        "",
        "# Every task does a share of the cells; all write one store. Hand the script in again after a",
        "# failure or a time limit: what is finished is not done again. A few tasks alone: --array=3,7",
        "# How far it is, with exit code 0 when all is done:",
        f"# {shlex.join(command[:3])} status {shlex.quote(str(out.absolute()))}",
        "set -euo pipefail",
        f'exec {shlex.join(command)} --part "{task}/{parts}" --threads "{threads}"',
    ]
    return "\n".join(lines)


def _check(option: str, value: str, pattern: str, expected: str) -> None:
    # What stands in a comment of the script must not end the comment.
    if re.fullmatch(pattern, value, re.ASCII | re.IGNORECASE) is None:
        raise ConfigError(f"{option} is {value!r}: expected {expected}")
