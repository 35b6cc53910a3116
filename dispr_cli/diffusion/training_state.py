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
        Settings and cells as JSON; a file with others is of another training.
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
        if metadata["run"] != self._as_json():
            raise WeightsError(
                f"{path}: belongs to a training with other settings or cells. Remove it to start anew, "
                "or give --out another name."
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
