"""The operator library ``torch.ops.dispr``: the schemas, and which kernels run under their names here."""

from __future__ import annotations

import ctypes
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch

from dispr_cli.diffusion.ops import bf16, cuda, plain
from dispr_cli.errors import ConfigError

KERNELS_VARIABLE = "DISPR_KERNELS"
"""Environment variable: ``off`` for plain PyTorch, or the path of another build of the library."""

INSTRUCTION_SETS = ("amx", "avx512", "avx2", "generic")
"""Names of the CPU kernels that a build may hold, the most wanted first."""

_SCHEMAS_KNOWN = b"dispr_schemas_2"
"""What a library exports that was built for the schemas below; csrc/bindings.cpp."""

_TAGS = (torch.Tag.needs_fixed_stride_order, torch.Tag.pt2_compliant_tag)
_BLOCK = (
    "Tensor x, int num_heads, int num_groups, Tensor norm_weight, Tensor norm_bias, Tensor qkv_weight, "
    "Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, float eps"
)
_NORM = (
    "Tensor x, int num_groups, Tensor norm_weight, Tensor norm_bias, float eps, Tensor? scale, Tensor? shift"
)
_SCHEMAS: dict[Callable[..., Any], str] = {
    plain.group_norm_silu: "(Tensor x, int num_groups, Tensor weight, Tensor bias, float eps, "
    "Tensor? scale=None, Tensor? shift=None, Tensor? residual=None) -> (Tensor, Tensor, Tensor)",
    plain.group_norm_silu_backward: "(Tensor grad, Tensor x, Tensor mean, Tensor rstd, int num_groups, "
    "Tensor weight, Tensor bias, Tensor? scale=None, Tensor? shift=None) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    plain.attention_3d: f"({_BLOCK}) -> Tensor",
    plain.convolution_3d: "(Tensor x, Tensor weight, Tensor? bias, Tensor? residual) -> Tensor",
    plain.convolution_3d_bf16: "(Tensor x, Tensor weight, Tensor? bias, Tensor? residual) -> Tensor",
    plain.norm_convolution_3d_bf16: f"({_NORM}, Tensor weight, Tensor? bias, Tensor? residual) -> Tensor",
    plain.patch_projection: "(Tensor x, Tensor weight, Tensor? bias, int gather, int scatter, bool repeat, "
    "Tensor? scale, Tensor? residual, float bound, bool bf16, bool wide) -> Tensor",
    plain.linear_rows: "(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
    plain.normal_noise: "(Tensor streams, int count) -> Tensor",
    plain.attention_3d_backward: f"(Tensor grad, {_BLOCK}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
}


class KernelsStatus(TypedDict):
    """What runs under the names of the operations on this machine.

    Attributes
    ----------
    built
        Whether a compiled library is loaded; plain PyTorch runs otherwise.
    path
        The library's file, None when not built.
    instruction_set
        The CPU path chosen at run time, of :data:`INSTRUCTION_SETS`; ``torch`` when not built.
    cuda
        Whether compiled kernels run on a CUDA device here.
    reason
        Why no compiled kernels run, or none on the CUDA device that is there; None when nothing is amiss.
    """

    built: bool
    path: str | None
    instruction_set: str
    cuda: bool
    reason: str | None


def kernels_status() -> KernelsStatus:
    """Tell whether the compiled kernels are in use, and if not, why."""
    if _NATIVE is None:
        return {"built": False, "path": None, "instruction_set": "torch", "cuda": False, "reason": _REASON}
    why_not = _why_not_on_cuda(_NATIVE) if torch.cuda.is_available() else None
    return {
        "built": True,
        "path": _NATIVE._name,
        "instruction_set": _NATIVE.dispr_instruction_set().decode(),
        "cuda": torch.cuda.is_available() and why_not is None,
        "reason": why_not,
    }


def _why_not_on_cuda(native: ctypes.CDLL) -> str | None:
    if not native.dispr_has_cuda():
        return "the kernels were built without CUDA; install nvcc, then reinstall dispr with DISPR_BUILD=cuda"
    differs = cuda.disagreement()
    return differs and f"on this CUDA device plain PyTorch stands in for the kernels: {differs}"


def choose_instruction_set(name: str) -> bool:
    """Run the CPU kernels of another instruction set (``""``: the best); for tests and benchmarks.

    Returns
    -------
    bool
        False if this processor or this build has none of that name; nothing changes then.
    """
    return _NATIVE is not None and bool(_NATIVE.dispr_choose_instruction_set(name.encode()))


def convolves_bf16() -> bool:
    """Tell whether the kernels chosen have a convolution in bfloat16 of their own."""
    return _NATIVE is not None and bool(_NATIVE.dispr_convolves_bf16())


@contextmanager
def operations_by(name: str) -> Iterator[None]:
    """Run another implementation of the operations within the block; for tests and comparisons.

    Parameters
    ----------
    name
        ``compiled``, ``plain`` (PyTorch), or the CPU kernels of one instruction set.

    Raises
    ------
    ConfigError
        If this processor or this build has no such implementation.
    """
    if name == "plain":
        with _plain_operations():
            yield
        return
    if _NATIVE is None or not choose_instruction_set("" if name == "compiled" else name):
        raise ConfigError(
            f"the operations have no implementation {name!r} here: expected plain, or with kernels that were "
            f"built compiled or an instruction set of this processor ({', '.join(INSTRUCTION_SETS)})"
        )
    try:
        yield
    finally:
        choose_instruction_set("")


@contextmanager
def _plain_operations() -> Iterator[None]:
    overriding = torch.library.Library("dispr", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that kernels are overridden is what is wanted
        for implementation in _SCHEMAS:
            for key in ("CPU", "CUDA"):
                overriding.impl(implementation.__name__, implementation, key, allow_override=True)
    try:
        yield
    finally:
        overriding._destroy()


def _define_operators() -> torch.library.Library:
    library = torch.library.Library("dispr", "DEF")
    for implementation, schema in _SCHEMAS.items():
        library.define(implementation.__name__ + schema, tags=_TAGS)
        library.impl(implementation.__name__, implementation, "CompositeExplicitAutograd")
    return library


def _load_native() -> tuple[ctypes.CDLL | None, str | None]:
    """Put the compiled kernels in the place of the plain ones; return them, or why there are none."""
    wanted = os.environ.get(KERNELS_VARIABLE, "")
    if wanted == "off":
        return None, f"the compiled kernels are switched off by {KERNELS_VARIABLE}=off"
    # Absolute: a bare name is looked for among the system's libraries.
    path = Path(wanted).absolute() if wanted else Path(__file__).parents[2] / "_kernels.so"
    if not path.exists():
        return None, _why_not_built(path)
    try:
        built = path.read_bytes()
        if b"dispr_instruction_set" not in built:
            return None, f"{path} holds no kernels of dispr; reinstall dispr"
        if _SCHEMAS_KNOWN not in built:
            return None, f"{path} was built for another version of dispr; reinstall dispr"
        torch.ops.load_library(str(path))
        native = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"{path} cannot be loaded ({error}); reinstall dispr"
    native.dispr_instruction_set.restype = ctypes.c_char_p
    bf16.register(LIBRARY, convolves_bf16)
    if native.dispr_has_cuda():
        cuda.register(LIBRARY, _SCHEMAS)
    return native, None


def _why_not_built(path: Path) -> str:
    if not any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")):
        return f"{path.name} was not built, and no C++ compiler is found: install one, then reinstall dispr"
    return (
        f"{path.name} was not built; reinstall dispr with DISPR_BUILD=require in the environment to see why"
    )


LIBRARY = _define_operators()
_NATIVE, _REASON = _load_native()
