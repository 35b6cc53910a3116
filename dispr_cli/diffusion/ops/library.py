"""The operator library ``torch.ops.dispr``, and what runs under its names on this machine."""

from __future__ import annotations

from typing import TypedDict

import torch

TAGS = (torch.Tag.needs_fixed_stride_order, torch.Tag.pt2_compliant_tag)

LIBRARY = torch.library.Library("dispr", "DEF")


class KernelsStatus(TypedDict):
    """What runs under the names of the operations on this machine.

    Attributes
    ----------
    built
        Whether a compiled library is loaded; plain PyTorch runs otherwise.
    path
        The library's file, None when not built.
    instruction_set
        The CPU path chosen at run time: ``avx2``, ``generic``, or ``torch`` when not built.
    cuda
        Whether the library holds kernels for CUDA devices.
    reason
        Why no compiled kernels run, and what to do; None when they do.
    """

    built: bool
    path: str | None
    instruction_set: str
    cuda: bool
    reason: str | None


def kernels_status() -> KernelsStatus:
    """Tell whether the compiled kernels are in use, and if not, why."""
    return {
        "built": False,
        "path": None,
        "instruction_set": "torch",
        "cuda": False,
        "reason": "this installation has no compiled kernels; install a C++ compiler and reinstall dispr",
    }
