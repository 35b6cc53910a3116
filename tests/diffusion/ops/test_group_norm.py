"""group_norm_silu against float64, in shapes and values that hurt, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dispr_cli.diffusion.ops import group_norm_silu, plain
from dispr_cli.errors import ConfigError
from tests.diffusion.ops.law import DTYPES, as_float64, assert_law, laid_out

SHAPES = [
    ((2, 8, 3, 4, 5), 4),  # nothing a multiple of the vector width but C
    ((3, 12, 5, 7), 3),  # the 2D encoder's tensors
    ((2, 7, 1, 1, 1), 7),  # one voxel, and a group for every channel: no spread at all
    ((5, 16, 9), 1),  # one group
    ((1, 1, 3, 3, 3), 1),  # one channel
    ((17, 33, 5, 3, 2), 11),  # a large odd batch, C not a multiple of the vector width
    ((1, 40, 16, 16, 17), 8),  # several tasks and blocks in every sample
    ((2, 6), 2),  # no voxels at all beside the channels
    ((0, 8, 2, 2, 2), 2),  # an empty batch
]

Case = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]


def draw(shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, options: str = "stm") -> Case:
    """x, weight, bias and those of scale, shift and residual that `options` names."""
    N, C = shape[:2]
    of = plain.statistics_dtype(dtype)
    x, residual = (laid_out(torch.randn(shape).to(dtype), channels_last) for _ in range(2))
    weight, bias, scale, shift = (torch.randn(size, dtype=of) for size in (C, C, (N, C), (N, C)))
    kept = [
        tensor if letter in options else None
        for letter, tensor in zip("stm", (scale, shift, residual), strict=True)
    ]
    return x, weight, bias, *kept


def check_forward_and_backward(case: Case, groups: int, what: object) -> None:
    x, weight, bias, scale, shift, residual = case
    given = (weight, bias, 1e-5, scale, shift, residual)
    exact = (*as_float64(weight, bias), 1e-5, *as_float64(scale, shift, residual))
    ours = torch.ops.dispr.group_norm_silu(x, groups, *given)
    plains = plain.group_norm_silu(x, groups, *given)
    truth = plain.group_norm_silu(x.double(), groups, *exact)
    assert ours[0].stride() == plains[0].stride(), what
    assert_law(ours[0], plains[0], truth[0], what)
    grad = torch.randn(x.shape).to(x.dtype)
    parameters, exact_parameters = (weight, bias, scale, shift), as_float64(weight, bias, scale, shift)
    back = torch.ops.dispr.group_norm_silu_backward(grad, x, *ours[1:], groups, *parameters)
    plain_back = plain.group_norm_silu_backward(grad, x, *plains[1:], groups, *parameters)
    true_back = plain.group_norm_silu_backward(
        grad.double(), x.double(), *truth[1:], groups, *exact_parameters
    )
    names = ("x", "weight", "bias", "scale", "shift")
    # Rounding is measured by the summands: those of dx cancel where a group hardly varies, those of the
    # parameters' gradients by chance.
    summand = grad.abs().max().item() * max(1.0, weight.abs().max().item()) if x.numel() else 0.0
    terms = {"x": summand * ours[2].abs().max().item()} if x.numel() else {}
    for name, of, by_plain, true in zip(names, back, plain_back, true_back, strict=True):
        assert_law(of, by_plain, true, (what, name), terms.get(name, summand))


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_error_is_within_the_law(shape: tuple[int, ...], groups: int, instruction_set: str) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True)[: 1 + (len(shape) in plain.CHANNELS_LAST)]:
        for dtype in DTYPES:
            for options in ("", "stm") if dtype == torch.float32 else ("stm",):
                case = draw(shape, dtype, channels_last, options)
                check_forward_and_backward(case, groups, (channels_last, dtype, options))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("mean", "spread"),
    [(0, 1e18), (0, 1e30), (0, 1e-20), (1e4, 1), (-3e5, 1), (7.25, 0)],
    ids=["huge", "squares overflow", "tiny", "large mean", "very large mean", "constant"],
)
def test_statistics_survive_extreme_values(
    mean: float, spread: float, channels_last: bool, instruction_set: str
) -> None:
    torch.manual_seed(0)
    x, weight, bias, *_ = draw((2, 24, 9, 8, 8), torch.float32, channels_last)
    x = laid_out(x * spread + mean, channels_last)
    y = group_norm_silu(x, 3, weight, bias)
    truth = plain.group_norm_silu(x.double(), 3, *as_float64(weight, bias), 1e-5)[0]
    # The spread is known to the rounding of x itself, no better.
    rounding = 1e-6 * (1 + abs(mean) / 1e4 / spread if spread else 1)
    torch.testing.assert_close(y.double(), truth, rtol=0, atol=8 * rounding)


def test_a_spike_in_the_first_voxel_does_not_spoil_the_variance(instruction_set: str) -> None:
    x = torch.randn(1, 8, 16, 16, 16).contiguous(memory_format=torch.channels_last_3d)
    x[..., 0, 0, 0] = 1e4
    weight, bias = torch.ones(8), torch.zeros(8)
    truth = plain.group_norm_silu(x.double(), 2, weight.double(), bias.double(), 1e-5)[0]
    torch.testing.assert_close(group_norm_silu(x, 2, weight, bias).double(), truth, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("first", [64, 128, 300, 511])
@pytest.mark.parametrize("inside", [1.0, 1e3, 1e6])
def test_background_before_the_cell_does_not_spoil_the_variance(
    first: int, inside: float, instruction_set: str
) -> None:
    """Deviations of later voxels are taken from the mean of those before, which says nothing of them."""
    torch.manual_seed(0)
    x, weight, bias, *_ = draw((2, 32, 8, 8, 16), torch.float32, channels_last=True)
    flat = torch.zeros(2, 32, 1024)
    flat[:, :, first:] = x.flatten(2)[:, :, first:] + inside
    x = laid_out(flat.view(2, 32, 8, 8, 16), channels_last=True)
    truth = plain.group_norm_silu(x.double(), 2, *as_float64(weight, bias), 1e-5)[0]
    theirs = F.silu(F.group_norm(x.contiguous(), 2, weight, bias))
    assert_law(group_norm_silu(x, 2, weight, bias), theirs, truth, (first, inside))


def test_nan_and_infinity_stay_in_their_group(instruction_set: str) -> None:
    for channels_last in (False, True):
        for poison in (float("nan"), float("inf")):
            x, weight, bias, *_ = draw((2, 16, 4, 4, 4), torch.float32, channels_last)
            x[1, 5, 2, 1, 3] = poison
            y = group_norm_silu(x, 4, weight, bias)
            assert y[1, 4:8].isnan().all()
            assert y[0].isfinite().all()
            assert y[1, :4].isfinite().all()
            assert y[1, 8:].isfinite().all()


def test_non_contiguous_inputs_give_what_their_copies_give(instruction_set: str) -> None:
    torch.manual_seed(1)
    weight, bias = torch.randn(2, 16)[0].expand(16), torch.randn(32)[::2]
    for x in (torch.randn(2, 16, 6, 6, 12)[..., ::2], torch.randn(16, 2, 4, 4, 4).transpose(0, 1)):
        residual = torch.randn(1, 16, 1, 1, 1).expand(x.shape)
        scale = torch.randn(16, 2).t()
        given = group_norm_silu(x, 4, weight, bias, 1e-5, scale, None, residual)
        copied = group_norm_silu(
            *(
                x.contiguous(),
                4,
                weight.clone(),
                bias.clone(),
                1e-5,
                scale.contiguous(),
                None,
                residual.contiguous(),
            )
        )
        assert torch.equal(given, copied)
        assert given.is_contiguous()


@pytest.mark.parametrize("channels_last", [False, True])
def test_results_depend_neither_on_threads_nor_on_the_batch(
    channels_last: bool, instruction_set: str
) -> None:
    torch.manual_seed(2)
    x, weight, bias, scale, shift, residual = draw((5, 48, 16, 16, 12), torch.float32, channels_last)
    before = torch.get_num_threads()
    op, back = torch.ops.dispr.group_norm_silu, torch.ops.dispr.group_norm_silu_backward
    results = []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            y, mean, rstd = op(x, 6, weight, bias, 1e-5, scale, shift, residual)
            results.append((y, mean, rstd, *back(residual, x, mean, rstd, 6, weight, bias, scale, shift)))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
    for n in range(5):
        one = slice(n, n + 1)
        alone = op(x[one], 6, weight, bias, 1e-5, scale[one], shift[one], residual[one])
        assert torch.equal(alone[0], results[0][0][one])


def test_every_element_of_the_results_is_written(instruction_set: str) -> None:
    """Freed memory full of NaN is what the next allocation of the same size receives."""
    for channels_last in (False, True):
        x, weight, bias, scale, shift, residual = draw((3, 20, 7, 6, 5), torch.float32, channels_last)
        for _ in range(3):
            poison = [
                torch.full(size, float("nan"))
                for size in (x.shape, x.shape, (3, 20), (3, 5), (20,))
                for _ in range(4)
            ]
            del poison
            y, mean, rstd = torch.ops.dispr.group_norm_silu(x, 5, weight, bias, 1e-5, scale, shift, residual)
            back = torch.ops.dispr.group_norm_silu_backward(x, x, mean, rstd, 5, weight, bias, scale, shift)
            assert all(tensor.isfinite().all() for tensor in (y, mean, rstd, *back))


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(3)
    for channels_last in (False, True):
        case = draw((2, 6, 2, 3, 2), torch.float64, channels_last)
        inputs = [tensor.requires_grad_() for tensor in case]
        assert torch.autograd.gradcheck(
            lambda x, w, b, s, t, r: group_norm_silu(x, 3, w, b, 1e-5, s, t, r), inputs
        )


def test_operators_hold_to_the_contract_of_custom_operators() -> None:
    torch.manual_seed(4)
    for channels_last in (False, True):
        x, *rest = (tensor.requires_grad_() for tensor in draw((2, 8, 3, 4, 5), torch.float32, channels_last))
        torch.library.opcheck(torch.ops.dispr.group_norm_silu, (x, 4, *rest[:2], 1e-5, *rest[2:]))
        strided = x.detach()[..., ::2].requires_grad_()
        torch.library.opcheck(torch.ops.dispr.group_norm_silu, (strided, 4, *rest[:2], 1e-5))


def test_plain_version_is_what_pytorch_composes() -> None:
    torch.manual_seed(5)
    x, weight, bias, scale, shift, residual = draw((2, 12, 3, 4, 5), torch.float64, False)
    u = F.group_norm(x, 3, weight, bias, 1e-5)
    expected = F.silu(u * (1 + scale[..., None, None, None]) + shift[..., None, None, None]) + residual
    y, mean, rstd = plain.group_norm_silu(x, 3, weight, bias, 1e-5, scale, shift, residual)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(mean, x.reshape(2, 3, -1).mean(2))
    torch.testing.assert_close(rstd, (x.reshape(2, 3, -1).var(2, correction=0) + 1e-5).rsqrt())


@pytest.mark.parametrize(
    ("groups", "shapes", "message"),
    [
        (3, {}, "8 channels cannot be split into 3 groups"),
        (0, {}, "8 channels cannot be split into 0 groups"),
        (2, {"weight": (7,)}, r"weight has shape \(7,\), expected \(8,\)"),
        (2, {"scale": (8,)}, r"scale has shape \(8,\), expected \(2, 8\)"),
        (2, {"residual": (2, 8, 1)}, r"residual has shape \(2, 8, 1\), expected \(2, 8, 3\)"),
    ],
)
def test_wrong_shapes_are_named(groups: int, shapes: dict[str, tuple[int, ...]], message: str) -> None:
    tensors = {name: torch.zeros(shapes.get(name, (8,))) for name in ("weight", "bias")}
    tensors |= {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(ConfigError, match=message):
        group_norm_silu(torch.zeros(2, 8, 3), groups, **tensors)
