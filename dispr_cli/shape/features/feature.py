"""What is known of a feature besides its value: name, unit, formula, source, invariances."""

from __future__ import annotations

from dataclasses import dataclass

SHIFT, TURN, ROTATION, FLIP, UPSIDE, SCALE = "shift", "turn", "rotation", "flip", "upside down", "scale"
"""What may happen to a shape without changing a feature, as far as the grid allows.

``shift``: along any axis. ``turn``: about the optical axis z; ``rotation``: about any axis. ``flip``: mirror
images in the plane; ``upside down``: mirror images along z. ``scale``: size.
"""

PLACED = frozenset[str]()
IN_PLANE = frozenset({TURN, FLIP})
ABOUT_Z = frozenset({SHIFT, TURN, FLIP})
ABOUT_PLANE = ABOUT_Z | {UPSIDE}
ANY_POSE = frozenset({SHIFT, TURN, ROTATION, FLIP, UPSIDE})
FORM = ANY_POSE | {SCALE}
"""The usual sets: nothing; the pose in the plane; also the place; also upside down; any pose; also size."""

NOTEBOOK = "SHAPR notebook, Waibel et al. 2022"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes
    ----------
    name
        Its column in the tables.
    unit
        ``voxel`` and its powers where the grid counts, ``L`` and its powers for lengths, which are
        micrometres where the size of a voxel is known and voxels where not, ``1`` for pure numbers.
    formula
        How it is computed, in words or symbols.
    source
        Who described it.
    invariances
        What may happen to the shape without changing it.
    published
        Its column in the notebooks of SHAPR, where it has one.
    """

    name: str
    unit: str
    formula: str
    source: str
    invariances: frozenset[str]
    published: str = ""
