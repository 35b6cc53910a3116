"""What has been made of parameters, kept for as long as they live and do not change."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_State = tuple[int, int]
_MADE: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def prepared(parameter: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``make(parameter)``, made anew only after the parameter has changed.

    Changes are told by the tensor's version and place in memory. Tensors made in inference mode have no
    version, and nothing of theirs is kept.

    Parameters
    ----------
    parameter
        A tensor that is used again and again, as a network's weights are.
    make
        Always the same function for the same parameter.
    """
    if parameter.is_inference():
        return make(parameter)
    state: _State = (parameter._version, parameter.data_ptr())
    known = _MADE.get(parameter)
    if known is None or known[0] != state:
        known = (state, make(parameter))
        _MADE[parameter] = known
    made: Tensor = known[1]
    return made
