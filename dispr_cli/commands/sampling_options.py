"""Options of how shapes are drawn, of ``dispr reconstruct``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dispr_cli.commands.options import SAMPLING
from dispr_cli.config import METHODS as NAMES
from dispr_cli.config import SAMPLERS, ReconstructConfig, SamplerConfig
from dispr_cli.quality import QUALITIES

_RUN = ReconstructConfig()
_SAMPLER = SamplerConfig()

Samples = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--samples",
        "-n",
        help=f"Shapes for each cell [{_RUN.num_samples}; 1 of methods with one answer].",
        rich_help_panel=SAMPLING,
    ),
]
QualityName = Annotated[
    str,
    typer.Option(
        "--quality",
        help="fast: 1 shape, the best single guess; standard; high: 10 shapes that differ more. "
        "--samples, --steps and --spread win.",
        metavar="|".join(QUALITIES),
        rich_help_panel=SAMPLING,
    ),
]
MethodName = Annotated[
    str,
    typer.Option("--method", help=", ".join(NAMES) + ".", metavar="NAME", rich_help_panel=SAMPLING),
]
Variant = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--variant",
        help="cylinder, ellipsoid: height published or full; nearest: copy or mean-of-5.",
        metavar="NAME",
        rich_help_panel=SAMPLING,
    ),
]
Steps = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--steps", help=f"Denoising steps [{_SAMPLER.num_steps}].", rich_help_panel=SAMPLING),
]
Sampler = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--sampler",
        help=f"{', '.join(SAMPLERS)} [{_SAMPLER.sampler}].",
        metavar="NAME",
        rich_help_panel=SAMPLING,
    ),
]
Independent = Annotated[
    bool,
    typer.Option(
        "--independent",
        help="Samples independent of each other, not balanced in fives.",
        rich_help_panel=SAMPLING,
    ),
]
Spread = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--spread",
        help="How different the shapes of a cell are: 1 as calibrated, 0 all the best guess [1].",
        rich_help_panel=SAMPLING,
    ),
]
