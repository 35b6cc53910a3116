"""The state of an unfinished training, whatever is trained: networks, optimisers, step; one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dispr_cli.diffusion.checkpoint import read_tensors, write_tensors
from dispr_cli.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Origin:
    """What a training is made of beside its settings; a state of another origin is not gone on from.

    Attributes
    ----------
    learned, held_out
        Digest of all that is known of the cells, names, pixels and shapes
        (:meth:`dispr_cli.diffusion.dataset.TrainingCells.fingerprint`); None where there are none.
    start
        SHA-256 of the weights it starts from; None for random ones.
    """

    learned: str
    held_out: str | None = None
    start: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Return the digests by name."""
        return {"learned": self.learned, "held_out": self.held_out, "start": self.start}


@dataclass(frozen=True)
class TrainingState:
    """What has to be kept of a training for it to go on as if it had not been stopped.

    Attributes
    ----------
    format
        Of the file.
    networks, optimizers
        By a name without a dot; their state is read into them.
    run
        Settings, cells and start as JSON, see :data:`_OTHER`; a file with others is of another training.
    """

    format: str
    networks: Mapping[str, torch.nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    run: Mapping[str, Any]

    def save(self, path: Path, step: int) -> None:
        """Write everything, whole or not at all.

        Raises
        ------
        WeightsError
            If it cannot be written.
        """
        tensors: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in values.items()}
        write_tensors(path, tensors, {"format": self.format, "step": step, "run": self._as_json()})

    def resume(self, path: Path) -> int:
        """Read everything back; returns the step.

        Raises
        ------
        WeightsError
            If the file is damaged or belongs to a training with other settings.
        """
        tensors, metadata = read_tensors(path, self.format)
        if others := _differences(metadata.get("run"), self._as_json()):
            raise WeightsError(
                f"{path}: belongs to a training with other {', other '.join(others)}. Give the same to "
                "go on, remove it to start anew, or give --out another name."
            )
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            part, key = name.split(".", 1)
            parts.setdefault(part, {})[key] = value
        for name, network in self.networks.items():
            network.load_state_dict(parts[name])
        for name, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            state["state"] = {}
            for key, value in parts.get(name, {}).items():
                index, field = key.split(".", 1)
                state["state"].setdefault(int(index), {})[field] = value
            optimizer.load_state_dict(state)
        return int(metadata["step"])

    def _as_json(self) -> Any:
        # Through JSON and back, tuples become lists: compare what a file would hold.
        return json.loads(json.dumps(self.run))


_OTHER = {
    "learned": "cells to learn from",
    "held_out": "held-out cells",
    "start": "weights to start from",
    "odds": "odds of its cells",
}
"""What the parts of a run are called; all others are settings."""


def _differences(kept: Any, now: Mapping[str, Any]) -> list[str]:
    if not isinstance(kept, dict):
        return ["settings"]
    differing = [
        key for key in {**now, **kept} if kept.get(key) != now.get(key) or (key in kept) != (key in now)
    ]
    return list(dict.fromkeys(_OTHER.get(key, "settings") for key in differing))
