"""What is kept of weights is never older than the weights, however they change."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from dispr_cli.diffusion.checkpoint import load_denoiser
from dispr_cli.diffusion.ops import convolution_3d
from dispr_cli.diffusion.ops.prepared import _MADE, forget, prepared


def doubled(tensor: Tensor) -> Tensor:
    return 2 * tensor


def through_state_dict(parameter: Parameter) -> None:
    holder = torch.nn.Module()
    holder.weight = parameter
    holder.load_state_dict({"weight": torch.full_like(parameter, 5.0)})


def averaged(parameter: Parameter) -> None:
    """As a training averages its weights."""
    with torch.no_grad():
        torch._foreach_lerp_([parameter], [torch.full_like(parameter, 9.0)], 0.5)


def in_place(parameter: Parameter) -> None:
    with torch.no_grad():
        parameter.mul_(3.0)


def in_inference_mode(parameter: Parameter) -> None:
    with torch.inference_mode():
        parameter.mul_(3.0)


def elsewhere(parameter: Parameter) -> None:
    parameter.data = parameter.data.clone() + 1.0


@pytest.mark.parametrize(
    "change", [through_state_dict, averaged, in_place, in_inference_mode, elsewhere], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("trained", [False, True])
def test_a_change_is_seen(change: Callable[[Parameter], None], trained: bool) -> None:
    parameter = Parameter(torch.ones(4), requires_grad=trained)
    before = prepared(parameter, doubled)
    change(parameter)
    assert not torch.equal(prepared(parameter, doubled), before)
    assert torch.equal(prepared(parameter, doubled), 2 * parameter)


def test_a_change_through_data_is_seen_in_training_and_after_forgetting() -> None:
    trained, frozen = Parameter(torch.ones(4)), Parameter(torch.ones(4), requires_grad=False)
    for parameter in (trained, frozen):
        prepared(parameter, doubled)
        parameter.data.mul_(3.0)
    assert torch.equal(prepared(trained, doubled), 6 * torch.ones(4))
    forget(frozen)
    assert torch.equal(prepared(frozen, doubled), 6 * torch.ones(4))
    forget(trained)  # of which nothing is kept


def test_a_trained_convolution_follows_its_weights_through_data() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Conv3d(32, 32, 3, padding=1), torch.randn(1, 32, 4, 4, 4)

    def run() -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return convolution_3d(x, layer.weight).float()

    first = run()
    layer.weight.data.mul_(2.0)
    assert torch.equal(run(), 2 * first)


def test_frozen_weights_are_prepared_once_and_go_with_their_parameter() -> None:
    parameter = Parameter(torch.ones(4), requires_grad=False)
    assert prepared(parameter, doubled) is prepared(parameter, doubled)
    kept = len(_MADE)
    del parameter
    gc.collect()
    assert len(_MADE) == kept - 1


def test_loaded_weights_are_frozen() -> None:
    assert not any(parameter.requires_grad for parameter in load_denoiser().denoiser.parameters())
