"""What has been made of frozen parameters, kept for as long as they live and do not change."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_Made = dict[Callable[[Tensor], Tensor], tuple[tuple[int, int], Tensor]]
_MADE: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # parameter -> _Made


def prepared(parameter: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``make(parameter)``, for a frozen parameter made anew only after it has changed.

    Nothing is kept of a parameter that takes a gradient: whoever trains it may change it in ways that leave
    no trace, ``parameter.data.mul_`` among them. Loaded weights are frozen (``load_denoiser``). Changes of a
    frozen one are told by its version and place in memory; after one through ``.data`` call :func:`forget`.
    Tensors made in inference mode have no version, and nothing of theirs is kept.

    Parameters
    ----------
    parameter
        A tensor that is used again and again, as a network's weights are.
    make
        A function of its own, not a lambda: what it made is found by it.
    """
    if parameter.requires_grad or parameter.is_inference():
        return make(parameter)
    state = (parameter._version, parameter.data_ptr())
    of_parameter: _Made = _MADE.setdefault(parameter, {})
    known = of_parameter.get(make)
    if known is None or known[0] != state:
        known = of_parameter[make] = (state, make(parameter))
    return known[1]


def forget(parameter: Tensor) -> None:
    """Drop what was made of a frozen parameter, after its values were changed behind PyTorch's back."""
    _MADE.pop(parameter, None)
