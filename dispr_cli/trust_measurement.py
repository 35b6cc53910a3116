"""What a training's held-out cells say of its weights, written beside them for ``dispr reconstruct``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dispr_cli.config import FOREGROUND, SamplerConfig
from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.dataset import TrainingCells
from dispr_cli.diffusion.familiarity import fit_familiarity
from dispr_cli.diffusion.intervals import IntervalCalibration, fit_intervals
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.trust import (
    QUANTITIES,
    MeasuredIntervals,
    Trust,
    sampling_settings,
    trust_file,
    write_trust,
)
from dispr_cli.shape.unmeshed_area import unmeshed_area

COVERAGE = 0.8
"""Share of new cells that an interval is to hold."""

FEWEST_HELD_OUT = 20
"""Of fewer held-out cells the outer tenths are one or two cells: no interval is written."""

MOST_HELD_OUT = 200
SAMPLES = 10


def measure_trust(
    weights: Path,
    learned: TrainingCells,
    held_out: TrainingCells | None,
    device: torch.device,
    notify: Callable[[str], None] = lambda message: None,
    advice: str = "",
) -> Trust:
    """Draw the held-out cells with finished weights, and write what that says of new cells.

    Parameters
    ----------
    weights
        A denoiser that was trained on ``learned`` and not on ``held_out``.
    learned
        What the training cells look like decides ``unlike_training``.
    held_out
        Their true volumes and surfaces calibrate the intervals, for the default sampler; at most
        :data:`MOST_HELD_OUT` of them, spread over all.
    notify
        Called with a sentence if there will be no intervals, or no ``unlike_training``.
    advice
        How to hold out more cells, the end of that sentence.

    Raises
    ------
    WeightsError
        If the weights cannot be read, or the file beside them cannot be written.
    """
    checkpoint = load_denoiser(weights)
    method = DiffusionMethod(checkpoint, SamplerConfig(), device)
    familiarity = fit_familiarity([learned.cell(index) for index in range(len(learned))])
    if familiarity is None:
        notify(f"{len(learned)} training cells are too few to say which new cells are unlike them")
    intervals = {} if held_out is None else _intervals(method, held_out)
    if not intervals:
        count = 0 if held_out is None else len(held_out)
        few = f"too few for intervals of volume and surface ({FEWEST_HELD_OUT} do)"
        notify(f"{count} cells held out: {few}{advice}")
    settings = sampling_settings(method.identity())
    measured = (MeasuredIntervals(settings, intervals),) if intervals else ()
    trust = Trust(checkpoint.sha256, measured, familiarity)
    write_trust(trust_file(weights), trust)
    return trust


def _intervals(method: DiffusionMethod, held_out: TrainingCells) -> dict[str, IntervalCalibration]:
    if len(held_out) < FEWEST_HELD_OUT:
        return {}
    count = min(len(held_out), MOST_HELD_OUT)
    found: dict[str, list[list[float]]] = {quantity: [] for quantity in QUANTITIES}
    for index in np.linspace(0, len(held_out) - 1, count).astype(int):
        shapes = [held_out.occupancy(index), *method.reconstruct([held_out.cell(index)], SAMPLES, seed=0)[0]]
        measured = {
            "volume": [float((shape >= FOREGROUND).sum()) for shape in shapes],
            "surface": [unmeshed_area(shape) for shape in shapes],
        }
        for quantity, values in measured.items():
            if all(value > 0.0 for value in values):
                found[quantity].append(values)
    tables = {quantity: np.array(rows) for quantity, rows in found.items()}
    return {
        quantity: fit_intervals(table[:, 1:], table[:, 0], COVERAGE, balance=method.sampler.balance)
        for quantity, table in tables.items()
        if len(table) >= FEWEST_HELD_OUT
    }
