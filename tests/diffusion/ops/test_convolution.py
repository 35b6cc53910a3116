"""convolution_3d against float64, in shapes that hurt, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dispr_cli.diffusion.ops import convolution_3d, library, plain
from dispr_cli.errors import ConfigError
from tests.diffusion.ops.law import DTYPES, as_float64, assert_law, laid_out

SHAPES = [
    ((2, 32, 8, 8, 8), 32),
    ((1, 24, 6, 4, 10), 40),  # outputs not a whole panel
    ((2, 7, 3, 5, 7), 9),  # odd sizes, channels narrower than a vector
    ((3, 17, 1, 1, 1), 5),  # one voxel, all border
    ((1, 3, 2, 1, 9), 16),  # a line
    ((17, 1, 2, 3, 2), 1),  # one channel, a large odd batch
    ((5, 48, 7, 7, 7), 33),  # more tiles than a task holds, the last task not full
    ((0, 8, 2, 2, 2), 8),  # an empty batch
]


def draw(
    shape: tuple[int, ...], outputs: int, dtype: torch.dtype, channels_last: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, weight, bias and residual."""
    of = plain.statistics_dtype(dtype)
    weight = torch.randn(outputs, shape[1], 3, 3, 3, dtype=of) / (27 * shape[1]) ** 0.5
    residual = torch.randn(shape[0], outputs, *shape[2:]).to(dtype)
    x = laid_out(torch.randn(shape).to(dtype), channels_last)
    return x, laid_out(weight, channels_last), torch.randn(outputs, dtype=of), residual


@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
def test_error_is_within_the_law(shape: tuple[int, ...], outputs: int, instruction_set: str) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True):
        for dtype in DTYPES:
            case = draw(shape, outputs, dtype, channels_last)
            for inputs in (case, (*case[:2], None, None)):
                y = torch.ops.dispr.convolution_3d(*inputs)
                by_plain, truth = plain.convolution_3d(*inputs), plain.convolution_3d(*as_float64(*inputs))
                assert y.is_contiguous(memory_format=plain.output_format(inputs[0]))
                assert_law(y, by_plain, truth, (channels_last, dtype, inputs[2] is None))


def test_weights_may_lie_anyhow(instruction_set: str) -> None:
    torch.manual_seed(0)
    x, weight, *_ = draw((2, 12, 4, 4, 4), 20, torch.float32, True)
    expected = convolution_3d(x, weight)
    strided = torch.empty(20, 12, 3, 3, 6)[..., ::2].copy_(weight)
    turned = weight.permute(1, 0, 4, 3, 2).contiguous().permute(1, 0, 4, 3, 2)
    for other in (weight.contiguous(), strided, turned):
        assert torch.equal(convolution_3d(x, other), expected)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_huge_and_tiny_values_and_constants(scale: float, instruction_set: str) -> None:
    torch.manual_seed(1)
    x, weight, _, _ = draw((1, 16, 5, 5, 5), 16, torch.float32, True)
    for given in (x * scale, torch.full_like(x, scale)):
        truth = plain.convolution_3d(given.double(), weight.double())
        ours, by_plain = convolution_3d(given, weight), plain.convolution_3d(given, weight)
        assert_law(ours / scale, by_plain / scale, truth / scale, scale)


def test_results_depend_neither_on_threads_nor_on_the_batch(instruction_set: str) -> None:
    torch.manual_seed(2)
    x, weight, bias, residual = draw((5, 16, 7, 6, 7), 24, torch.float32, True)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(convolution_3d(x, weight, bias, residual))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    alone = [convolution_3d(x[n : n + 1], weight, bias, residual[n : n + 1]) for n in range(5)]
    assert torch.equal(torch.cat(alone), results[0])


def test_every_element_of_the_result_is_written(instruction_set: str) -> None:
    x, weight, bias, _ = draw((2, 20, 3, 5, 7), 12, torch.float32, True)
    for _ in range(3):
        poison = [torch.full((2, 12, 3, 5, 7), float("nan")) for _ in range(6)]
        del poison
        assert convolution_3d(x, weight, bias).isfinite().all()


def test_a_voxel_reaches_its_neighbours_and_nobody_else(instruction_set: str) -> None:
    x = torch.zeros(2, 1, 6, 6, 6)
    x[0, 0, 0, 3, 5] = 1.0
    weight = torch.arange(1.0, 28.0).reshape(1, 1, 3, 3, 3)
    y = convolution_3d(x, weight)
    reached = y[0, 0, :2, 2:5, 4:]
    torch.testing.assert_close(reached, weight[0, 0].flip(0, 1, 2)[1:, :, :2])
    assert y.square().sum() == pytest.approx(reached.square().sum().item(), rel=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(3)
    for channels_last in (False, True):
        inputs = [t.requires_grad_() for t in draw((2, 3, 2, 1, 3), 2, torch.float64, channels_last)]
        inputs[3] = inputs[3].detach().double().requires_grad_()
        inputs[0] = inputs[0].detach().double().requires_grad_()
        assert torch.autograd.gradcheck(convolution_3d, inputs)


def test_gradients_are_those_of_pytorch_and_only_those_wanted() -> None:
    torch.manual_seed(4)
    case = [tensor.requires_grad_() for tensor in draw((2, 16, 4, 6, 5), 24, torch.float32, True)]
    grad = torch.randn(2, 24, 4, 6, 5)
    ours = torch.autograd.grad(convolution_3d(*case), case, grad)
    theirs = torch.autograd.grad(F.conv3d(*case[:3], padding=1) + case[3], case, grad)
    torch.testing.assert_close(ours, theirs)
    (alone,) = torch.autograd.grad(convolution_3d(case[0].detach(), *case[1:]), case[1], grad)
    torch.testing.assert_close(alone, theirs[1])


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    for channels_last in (False, True):
        case = [t.requires_grad_() for t in draw((2, 5, 3, 2, 4), 6, torch.float32, channels_last)]
        torch.library.opcheck(torch.ops.dispr.convolution_3d, tuple(case))
        torch.library.opcheck(torch.ops.dispr.convolution_3d, (*case[:2], None, None))


@pytest.mark.parametrize(("shape", "outputs"), [*SHAPES, ((2, 40, 3, 5, 16), 48), ((1, 32, 2, 3, 32), 32)])
def test_error_of_bfloat16_is_within_the_law(
    shape: tuple[int, ...], outputs: int, instruction_set: str
) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True):
        for dtype in (torch.float32, torch.bfloat16):
            case = draw(shape, outputs, dtype, channels_last)
            for inputs in (case, (*case[:2], None, None)):
                y = torch.ops.dispr.convolution_3d_bf16(*inputs)
                by_plain = plain.convolution_3d_bf16(*inputs)
                truth = plain.convolution_3d(*as_float64(*inputs))
                assert y.dtype == torch.bfloat16
                assert y.is_contiguous(memory_format=plain.output_format(inputs[0]))
                assert_law(y, by_plain, truth, (channels_last, dtype, inputs[2] is None))


def test_bfloat16_depends_neither_on_threads_nor_on_the_batch_nor_on_calls_before() -> None:
    torch.manual_seed(5)
    x, weight, bias, residual = draw((5, 40, 7, 6, 7), 24, torch.bfloat16, True)
    run = torch.ops.dispr.convolution_3d_bf16
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(x, weight, bias, residual))
            assert (
                run(torch.full_like(x, torch.nan), weight, None, None).isnan().all()
            )  # and stays in no memory used again
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    if not library.convolves_bf16():
        return  # PyTorch's own chooses by batch
    alone = [run(x[n : n + 1], weight, bias, residual[n : n + 1]) for n in range(5)]
    assert torch.equal(torch.cat(alone), results[0])


def test_weights_prepared_once_follow_their_parameter() -> None:
    torch.manual_seed(6)
    x, weight, *_ = draw((1, 8, 4, 4, 4), 8, torch.float32, True)
    run, parameter = torch.ops.dispr.convolution_3d_bf16, torch.nn.Parameter(weight.clone(), False)
    with torch.no_grad():
        first = run(x, parameter, None, None)
        assert torch.equal(run(x, parameter, None, None), first)
        parameter.mul_(2.0)
        assert torch.equal(run(x, parameter, None, None), 2 * first)
        parameter.data = -2 * parameter.data.contiguous()
        assert torch.equal(run(x, parameter, None, None), -4 * first)
    with torch.inference_mode():
        assert torch.equal(run(x, weight.clone(), None, None), first)


def test_autocast_on_the_cpu_takes_bfloat16_with_gradients_and_without() -> None:
    torch.manual_seed(7)
    x, weight, bias, residual = draw((2, 8, 4, 4, 4), 8, torch.float32, True)
    weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        expected = residual + F.conv3d(x, weight, bias, padding=1)
        assert torch.equal(convolution_3d(x, weight, bias, residual), expected)
        with torch.no_grad():
            y = convolution_3d(x, weight, bias, residual)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)


def test_the_operator_for_bfloat16_holds_to_the_contract() -> None:
    for channels_last in (False, True):
        case = draw((2, 5, 3, 2, 4), 6, torch.bfloat16, channels_last)
        torch.library.opcheck(torch.ops.dispr.convolution_3d_bf16, case)


def test_its_arithmetic_is_counted_as_the_definition_has_it() -> None:
    x, weight, bias, _ = draw((2, 8, 4, 5, 6), 16, torch.float32, True)
    with FlopCounterMode(display=False) as counter:
        convolution_3d(x, weight, bias)
    with FlopCounterMode(display=False) as plain_counter:
        F.conv3d(x, weight, bias, padding=1)
    assert counter.get_total_flops() == plain_counter.get_total_flops() == 2 * 27 * 8 * 16 * 240


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1, r"weight has shape \(6,\), expected \(6, 8, 3, 3, 3\)"),
        (2, r"bias has shape \(1,\), expected \(6,\)"),
        (3, r"residual has shape \(1,\), expected \(1, 6, 2, 2, 2\)"),
    ],
)
def test_wrong_shapes_are_named(wrong: int, message: str) -> None:
    case = list(draw((1, 8, 2, 2, 2), 6, torch.float32, False))
    case[wrong] = torch.zeros(6 if wrong == 1 else 1)
    with pytest.raises(ConfigError, match=message):
        convolution_3d(*case)
