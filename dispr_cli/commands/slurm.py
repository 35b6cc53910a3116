"""``dispr slurm``: a job-array script, ready to be handed in."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from dispr_cli.errors import ConfigError

_WALL_TIME = r"\d+(-\d{1,2}(:\d{2}){0,2})?|\d+(:\d{2}){1,2}"
_DECIDED_HERE = ("--part", "--dask", "--threads", "--overwrite", "--dry-run")


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
    """
    _check("--time", time, _WALL_TIME, "such as 12:00:00 or 1-00:00:00")
    _check("--memory", memory, r"\d+[KMGT]?", "such as 8G")
    _check("--job-name", job_name, r"[\w.-]+", "letters, digits and .-_")
    if partition is not None:
        _check("--partition", partition, r"[\w.,-]+", "letters, digits and .,-_")
    given = list(options or ())
    for name in _DECIDED_HERE:
        if any(option == name or option.startswith(f"{name}=") for option in given):
            raise ConfigError(f"{name} cannot be handed on to the tasks of an array: leave it out")
    wanted = {
        "job-name": job_name,
        "array": f"1-{parts}",
        "time": time,
        "cpus-per-task": str(cpus),
        "mem": memory,
        "gres": f"gpu:{gpus}" if gpus else None,
        "partition": partition,
        "output": f"{job_name}-%A_%a.log",
        # So long before the end the task is told, writes what it has and stops.
        "signal": "B:TERM@90",
    }
    typer.echo(_script({key: value for key, value in wanted.items() if value}, source, out, parts, given))


def _script(wanted: dict[str, str], source: Path, out: Path, parts: int, options: list[str]) -> str:
    command = ["dispr", "reconstruct", str(source), str(out), *options]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={value}" for key, value in wanted.items()),
        "",
        "# Every task does a share of the cells; all write one store. Hand the script in again after a",
        "# failure or a time limit: what is finished is not done again. A few tasks alone: --array=3,7",
        f"# How far it is: dispr status {shlex.quote(str(out))}",
        "set -euo pipefail",
        f'exec {shlex.join(command)} --part "$SLURM_ARRAY_TASK_ID/{parts}" --threads "$SLURM_CPUS_PER_TASK"',
    ]
    return "\n".join(lines)


def _check(option: str, value: str, pattern: str, expected: str) -> None:
    # What stands in a comment of the script must not end the comment.
    if re.fullmatch(pattern, value, re.ASCII) is None:
        raise ConfigError(f"{option} is {value!r}: expected {expected}")
