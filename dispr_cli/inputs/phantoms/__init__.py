"""Synthetic red blood cells of nine shapes, with simulated images, masks and true volumes."""

from dispr_cli.inputs.phantoms.as_read import as_read
from dispr_cli.inputs.phantoms.generate import (
    PHANTOM_CLASSES,
    VOXEL_SIZE_UM,
    Phantom,
    generate_phantom,
    generate_phantoms,
)
from dispr_cli.inputs.phantoms.write import write_phantoms

__all__ = [
    "PHANTOM_CLASSES",
    "VOXEL_SIZE_UM",
    "Phantom",
    "as_read",
    "generate_phantom",
    "generate_phantoms",
    "write_phantoms",
]
