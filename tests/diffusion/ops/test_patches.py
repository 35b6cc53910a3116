"""patch_projection against float64 and against the operations it stands for, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dispr_cli.diffusion.ops import patch_projection, plain
from dispr_cli.errors import ConfigError
from tests.diffusion.ops.law import DTYPES, assert_law, laid_out

CASES: list[tuple[tuple[int, ...], int, dict[str, Any]]] = [
    ((2, 1, 8, 8, 8), 32, {"gather": 4}),  # a volume becomes tokens
    ((2, 32, 4, 4, 4), 64, {"scatter": 4}),  # and back
    ((2, 24, 4, 6, 2), 20, {"gather": 2}),
    ((3, 40, 3, 2, 5), 17, {"scatter": 2, "repeat": True}),
    ((1, 3, 6, 3, 9), 54, {"gather": 3, "scatter": 3}),
    ((1, 5, 7, 7, 7), 7, {}),  # tasks that are not full, channels narrower than a vector
    ((17, 1, 1, 1, 1), 1, {}),  # one voxel, a large odd batch
    ((0, 4, 2, 2, 2), 8, {"gather": 2}),  # an empty batch
]


def draw(
    shape: tuple[int, ...], outputs: int, options: dict[str, Any], dtype: torch.dtype, channels_last: bool
) -> dict[str, Any]:
    """Arguments by name: everything that may be there is."""
    of, side = plain.statistics_dtype(dtype), options.get("gather", 1)
    values = side**3 * shape[1]
    scatter = options.get("scatter", 1)
    channels = outputs if options.get("repeat") else outputs // scatter**3
    residual = torch.randn(shape[0], channels, *(size // side * scatter for size in shape[2:]))
    return {
        "x": laid_out(torch.randn(shape).to(dtype), channels_last),
        "weight": torch.randn(outputs, values, dtype=of) / values**0.5,
        "bias": torch.randn(outputs, dtype=of),
        "scale": torch.rand(shape[0], dtype=of) + 0.5,
        "residual": residual.to(dtype),
        **options,
    }


def run(op: Any, given: dict[str, Any]) -> Tensor:
    """Call an operator, whose arguments have neither names nor defaults."""
    defaults = {"bias": None, "gather": 1, "scatter": 1, "repeat": False}
    defaults |= {"scale": None, "residual": None, "bound": -1.0, "bf16": False, "wide": False}
    y: Tensor = op(given["x"], given["weight"], *({**defaults, **given}[name] for name in defaults))
    return y


@pytest.mark.parametrize(("shape", "outputs", "options"), CASES)
def test_error_is_within_the_law(
    shape: tuple[int, ...], outputs: int, options: dict[str, Any], instruction_set: str
) -> None:
    torch.manual_seed(sum(shape))
    for channels_last in (False, True):
        for dtype in DTYPES:
            whole = draw(shape, outputs, options, dtype, channels_last) | {"bound": 1.5}
            bare = {name: whole[name] for name in ("x", "weight", *options)}
            for given in (whole, bare):
                exact = {n: v.double() if isinstance(v, Tensor) else v for n, v in given.items()}
                y, by_plain = (run(ops.patch_projection, given) for ops in (torch.ops.dispr, plain))
                truth = run(plain.patch_projection, exact)
                assert y.is_contiguous(memory_format=torch.channels_last_3d)
                assert_law(y, by_plain, truth, (channels_last, dtype, len(given)))


@pytest.mark.parametrize(("shape", "outputs", "options"), CASES)
def test_error_with_factors_of_bfloat16_is_within_the_law(
    shape: tuple[int, ...], outputs: int, options: dict[str, Any], instruction_set: str
) -> None:
    torch.manual_seed(sum(shape))
    for wide in (False, True):
        for dtype in (torch.float32, torch.bfloat16):
            whole = draw(shape, outputs, options, dtype, True) | {"bound": 1.5, "bf16": True, "wide": wide}
            whole["residual"] = whole["residual"].to(torch.float32 if wide else torch.bfloat16)
            bare = {name: whole[name] for name in ("x", "weight", "bf16", "wide", *options)}
            for given in (whole, bare):
                exact = {n: v.double() if isinstance(v, Tensor) else v for n, v in given.items()}
                y, by_plain = (run(ops.patch_projection, given) for ops in (torch.ops.dispr, plain))
                assert y.dtype == (torch.float32 if wide else torch.bfloat16)
                # A wide result keeps what bfloat16 has left of the factors.
                terms = 2.0**16 / 2 * y.abs().max().item() if wide and y.numel() else 0.0
                assert_law(y, by_plain, run(plain.patch_projection, exact), (wide, dtype, len(given)), terms)


def test_it_is_the_convolutions_it_stands_for(instruction_set: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 4, 6)
    kernel, bias = torch.randn(16, 3, 2, 2, 2), torch.randn(16)
    rows = kernel.permute(0, 2, 3, 4, 1).flatten(1)  # channels innermost
    torch.testing.assert_close(patch_projection(x, rows, bias, gather=2), F.conv3d(x, kernel, bias, stride=2))
    turned = torch.randn(3, 2, 4, 4, 4)
    rows = turned.permute(2, 3, 4, 1, 0).flatten(0, 3)
    expected = F.conv_transpose3d(x, turned, stride=4)
    torch.testing.assert_close(patch_projection(x, rows, scatter=4), expected)
    point = torch.randn(5, 3)
    expected = F.interpolate(F.conv3d(x, point[..., None, None, None]), scale_factor=2.0)
    torch.testing.assert_close(patch_projection(x, point, scatter=2, repeat=True), expected)


def test_scale_spares_the_bias_and_the_bound_is_kept(instruction_set: str) -> None:
    x, weight, bias = torch.ones(2, 1, 2, 2, 2), torch.ones(1, 8), torch.tensor([0.25])
    scale = torch.tensor([0.5, -1.0])
    y = patch_projection(x, weight, bias, gather=2, scale=scale)
    assert y.flatten().tolist() == [4.25, -7.75]
    bounded = patch_projection(x, weight, bias, gather=2, scale=scale, bound=5.0)
    assert bounded.flatten().tolist() == [4.25, -5.0]


def test_results_depend_neither_on_threads_nor_on_the_batch(instruction_set: str) -> None:
    torch.manual_seed(1)
    given = draw((5, 12, 4, 6, 4), 24, {"gather": 2, "scatter": 2}, torch.float32, True)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(patch_projection(**given))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    alone = []
    for n in range(5):
        own = {name: given[name][n : n + 1] for name in ("x", "scale", "residual")}
        alone.append(patch_projection(**(given | own)))
    assert torch.equal(torch.cat(alone), results[0])


def test_every_element_of_the_result_is_written(instruction_set: str) -> None:
    given = draw((2, 5, 3, 5, 2), 27, {"scatter": 3}, torch.float32, True)
    for _ in range(3):
        poison = [torch.full((2, 1, 9, 15, 6), float("nan")) for _ in range(6)]
        del poison
        assert patch_projection(**given).isfinite().all()


@pytest.mark.parametrize("options", [{"gather": 2}, {"scatter": 2}, {"scatter": 2, "repeat": True}])
def test_gradients_are_those_of_finite_differences(options: dict[str, Any]) -> None:
    torch.manual_seed(2)
    given = draw((2, 2, 2, 2, 2), 8, options, torch.float64, True)
    names = ("x", "weight", "bias", "residual")
    leaves = [given[name].double().requires_grad_() for name in names]

    def of_leaves(*values: Tensor) -> Tensor:
        return patch_projection(**(given | dict(zip(names, values, strict=True))))

    assert torch.autograd.gradcheck(of_leaves, leaves)


def test_a_bounded_result_has_no_gradient() -> None:
    x = torch.ones(1, 1, 2, 2, 2, requires_grad=True)
    y = patch_projection(x, torch.ones(1, 1), bound=1.0)
    with pytest.raises(RuntimeError, match="no gradient where its result is bounded"):
        y.sum().backward()


def test_operator_holds_to_the_contract_of_custom_operators() -> None:
    def check(*arguments: Any) -> Tensor:
        torch.library.opcheck(torch.ops.dispr.patch_projection, arguments)
        return torch.empty(0)

    for options in ({"gather": 2}, {"scatter": 2}, {"scatter": 2, "repeat": True}):
        given = draw((2, 3, 2, 4, 2), 8, options, torch.float32, True)
        for name in ("x", "weight", "bias", "residual"):
            given[name].requires_grad_()
        run(check, given)
        run(check, given | {"bf16": True, "wide": True})


def test_lower_precision_follows_autocast() -> None:
    given = draw((2, 4, 4, 4, 4), 8, {"gather": 2}, torch.float32, True)
    with torch.autocast("cpu", torch.bfloat16):
        y = patch_projection(given["x"], given["weight"], given["bias"], gather=2)
    assert y.dtype == torch.bfloat16
    full = patch_projection(given["x"], given["weight"], given["bias"], gather=2)
    torch.testing.assert_close(y.float(), full, rtol=0.05, atol=0.05)


def test_gradients_in_lower_precision_are_those_of_float32_rounded() -> None:
    torch.manual_seed(3)
    given = draw((2, 4, 4, 4, 4), 8, {"gather": 2}, torch.float32, True)
    names = ("x", "weight", "bias", "residual")
    gradients = []
    for enabled in (False, True):
        leaves = {name: given[name].clone().requires_grad_() for name in names}
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = patch_projection(**(given | leaves))
        grad = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
        gradients.append(torch.autograd.grad(y, list(leaves.values()), grad.to(y.dtype)))
    for bf16, full in zip(*reversed(gradients), strict=True):
        assert bf16.dtype == full.dtype
        torch.testing.assert_close(bf16, full, rtol=0.05, atol=0.02 * full.abs().max().item())


def test_its_arithmetic_is_counted() -> None:
    given = draw((2, 4, 4, 4, 4), 8, {"gather": 2}, torch.float32, True)
    with FlopCounterMode(display=False) as counter:
        patch_projection(**given)
    assert counter.get_total_flops() == 2 * (2 * 8) * 8 * (8 * 4)


@pytest.mark.parametrize(
    ("options", "wrong", "message"),
    [
        ({"gather": 3}, {}, r"patches of side 3 do not fill \(4, 4, 4\)"),
        ({"scatter": 3}, {}, "8 outputs cannot be spread over 3³ voxels"),
        ({"gather": 2}, {"weight": torch.zeros(8, 4)}, r"weight has shape \(8, 4\), expected \(8, 32\)"),
        ({}, {"bias": torch.zeros(1)}, r"bias has shape \(1,\), expected \(8,\)"),
        ({}, {"scale": torch.zeros(8)}, r"scale has shape \(8,\), expected \(2,\)"),
        ({}, {"residual": torch.zeros(1)}, r"residual has shape \(1,\), expected \(2, 8, 4, 4, 4\)"),
    ],
)
def test_wrong_shapes_are_named(options: dict[str, Any], wrong: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"x": torch.zeros(2, 4, 4, 4, 4), "weight": torch.zeros(8, 4)}
    with pytest.raises(ConfigError, match=message):
        patch_projection(**(given | options | wrong))
