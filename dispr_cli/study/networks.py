"""What a network has seen, as data that travels with every shape it made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """Which cells were kept out of a network's training.

    Attributes
    ----------
    held_out
        Names of cells it was not trained on, as its weights record; None if they record nothing.
    never_seen
        It has seen none of the cells of its table: it needs no training (a cylinder), or its user says so.
    reason
        Who says so.
    """

    held_out: frozenset[str] | None = None
    never_seen: bool = False
    reason: str = ""

    def may_serve(self, test_cells: Collection[str]) -> bool:
        """Tell whether its shapes may train a classifier that is tested on these cells."""
        if self.never_seen:
            return True
        return self.held_out is not None and self.held_out.issuperset(test_cells)

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` takes."""
        held_out = None if self.held_out is None else sorted(self.held_out)
        return {"held_out": held_out, "never_seen": self.never_seen, "reason": self.reason}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> NetworkRecord:
        """Rebuild a record."""
        held_out = content.get("held_out")
        names = None if held_out is None else frozenset(str(name) for name in held_out)
        return cls(names, bool(content.get("never_seen")), str(content.get("reason", "")))


def network_of(cell: str, networks: Mapping[str, NetworkRecord]) -> str | None:
    """Find the first of several networks that was not trained on a cell; None if there is none.

    The one rule of who draws a cell, and of who is recorded to have drawn it.
    """
    return next((name for name, record in networks.items() if record.may_serve([cell])), None)
