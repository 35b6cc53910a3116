"""The CUDA kernels beside float64 on the device; all run with ``make test-gpu`` on the first GPU there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dispr_cli.diffusion.ops import attention_3d, group_norm_silu, kernels_status, plain
from dispr_cli.errors import ConfigError
from tests.diffusion.ops import test_attention, test_group_norm
from tests.diffusion.ops.law import DTYPES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def _on_the_device() -> Iterator[None]:
    """Draw every tensor on the device, and let no matrix product round to tf32."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    with torch.device("cuda"):
        yield
    torch.backends.cuda.matmul.allow_tf32 = before


def test_compiled_kernels_run_and_agree_with_plain_pytorch() -> None:
    status = kernels_status()
    assert status["built"], status["reason"]
    assert status["cuda"], status["reason"]


@pytest.mark.parametrize(("shape", "groups"), [*test_group_norm.SHAPES, ((2, 64, 24, 24, 24), 4)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_group_norm_is_within_the_law(
    shape: tuple[int, ...], groups: int, dtype: torch.dtype, channels_last: bool
) -> None:
    if channels_last and len(shape) not in plain.CHANNELS_LAST:
        pytest.skip("this shape has one layout only")
    for options in ("", "stm"):
        case = test_group_norm.draw(shape, dtype, channels_last, options)
        test_group_norm.check_forward_and_backward(case, groups, (channels_last, dtype, options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_depend_neither_on_the_run_nor_on_the_batch(dtype: torch.dtype) -> None:
    for size in (6, 24):
        x, weight, bias, scale, shift, _ = test_group_norm.draw((4, 64, size, size, size), dtype, True)
        first = group_norm_silu(x, 4, weight, bias, 1e-5, scale, shift)
        for _ in range(3):
            assert torch.equal(first, group_norm_silu(x, 4, weight, bias, 1e-5, scale, shift))
        alone = group_norm_silu(x[2:3], 4, weight, bias, 1e-5, scale[2:3], shift[2:3])
        assert torch.equal(first[2:3], alone)


def test_parameters_on_the_cpu_are_refused() -> None:
    x, weight, bias = torch.randn(1, 8, 2, 2, 2), torch.ones(8), torch.ones(8, device="cpu")
    with pytest.raises(ConfigError, match="group_norm_silu: bias is on cpu, expected cuda:0"):
        group_norm_silu(x, 2, weight, bias)
    with pytest.raises(RuntimeError, match="group_norm_silu: bias is not on the device"):
        torch.ops.dispr.compiled_group_norm_silu(x, 2, weight, bias, 1e-5)


def test_operators_hold_to_the_contract_of_custom_operators() -> None:
    case = test_group_norm.draw((2, 8, 3, 4, 5), torch.float32, True)
    x, *rest = (tensor.requires_grad_() for tensor in case)
    torch.library.opcheck(torch.ops.dispr.group_norm_silu, (x, 4, *rest[:2], 1e-5, *rest[2:]))
    block = (
        tensor.requires_grad_() for tensor in test_attention.draw((2, 32, 2, 3, 2), torch.bfloat16, True)
    )
    x, *parameters = block
    torch.library.opcheck(torch.ops.dispr.attention_3d, (x, 2, 4, *parameters, 1e-5), rtol=0.05, atol=0.05)


def test_a_captured_graph_repeats_what_was_computed() -> None:
    x, weight, bias, *_ = test_group_norm.draw((2, 64, 8, 8, 8), torch.bfloat16, True)
    _, *parameters = test_attention.draw((2, 64, 8, 8, 8), torch.bfloat16, True)

    def step(volume: Tensor) -> Tensor:
        return attention_3d(group_norm_silu(volume, 4, weight, bias), 2, 4, *parameters)

    expected = step(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(x)
    graph.replay()
    assert torch.equal(captured, expected)
