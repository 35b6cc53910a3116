"""Recipes by name: settings of a training as text, so that a search and the final training say them alike."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from dispr_cli.config import DenoiserConfig, TrainingConfig


def settings(changes: str) -> tuple[TrainingConfig, DenoiserConfig]:
    """Defaults with changes such as ``z_stretch=0.1 channels=(48,128)``."""
    training, denoiser = TrainingConfig(), DenoiserConfig()
    for change in changes.split():
        name, text = change.split("=", 1)
        value: Any = ast.literal_eval(text)
        if name in {field.name for field in dataclasses.fields(TrainingConfig)}:
            training = dataclasses.replace(training, **{name: value})
        else:
            denoiser = dataclasses.replace(denoiser, **{name: value})
    return training, denoiser
