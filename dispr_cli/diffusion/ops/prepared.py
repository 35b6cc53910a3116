"""What has been made of parameters, kept for as long as they live and do not change."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_Made = dict[Callable[[Tensor], Tensor], tuple[tuple[int, int], Tensor]]
_MADE: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # parameter -> _Made


def prepared(parameter: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``make(parameter)``, made anew only after the parameter has changed.

    Changes are told by the tensor's version and place in memory. Tensors made in inference mode have no
    version, and nothing of theirs is kept.

    Parameters
    ----------
    parameter
        A tensor that is used again and again, as a network's weights are.
    make
        A function of its own, not a lambda: what it made is found by it.
    """
    if parameter.is_inference():
        return make(parameter)
    state = (parameter._version, parameter.data_ptr())
    of_parameter: _Made = _MADE.setdefault(parameter, {})
    known = of_parameter.get(make)
    if known is None or known[0] != state:
        known = of_parameter[make] = (state, make(parameter))
    return known[1]
