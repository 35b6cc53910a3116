"""The whole method on a CUDA device; all run with ``make test-gpu`` on the first GPU there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.contest import Contender, compare
from dispr_cli.diffusion.ops.clock import captured
from dispr_cli.diffusion.ops.limits import measure_limits
from dispr_cli.diffusion.ops.timing_network import time_network_operations
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.diffusion.timing import time_call, time_cells, time_steps
from dispr_cli.inputs.cell import Cell
from tests.diffusion.tiny import TINY, make_denoiser

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def make_method(device: str, precision: str = "fp32") -> DiffusionMethod:
    checkpoint = Checkpoint(make_denoiser(), "0" * 64, {})
    return DiffusionMethod(checkpoint, SamplerConfig("euler", 3), torch.device(device), precision)


def test_shapes_are_those_of_the_cpu(cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    on_cpu = make_method("cpu").reconstruct(cells[:2], 2, seed=0)
    on_gpu = make_method("cuda").reconstruct(cells[:2], 2, seed=0)
    assert ((on_cpu > 127) == (on_gpu > 127)).mean() > 0.999


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_samples_depend_neither_on_the_run_nor_on_company(cells: list[Cell], precision: str) -> None:
    method = make_method("cuda", precision)
    together = method.reconstruct(cells, 2, seed=3)
    assert (together == method.reconstruct(cells, 2, seed=3)).all()
    alone = np.concatenate([method.reconstruct([cell], 2, seed=3) for cell in cells])
    assert (together == alone).all()


def test_a_graph_repeats_its_run() -> None:
    device = torch.device("cuda")
    x = torch.zeros(4, device=device)
    replay, calls = captured(lambda: x.add_(1.0), device)
    x.zero_()
    replay()
    assert x.tolist() == [float(calls)] * 4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_everything_can_be_timed(precision: str) -> None:
    method = make_method("cuda", precision)
    dtype = method.autocast or torch.float32
    limits = measure_limits(dtype, method.device)
    assert limits.cached_copy_gb_s > 0 < limits.matmul_gflop_s
    rows = time_network_operations(TINY, 4, dtype, method.device, repeats=2)
    assert all(row.ours_ms > 0 for row in rows)
    call = time_call(method, 4, repeats=2)
    assert call.call_ms > 0 < call.products_ms
    assert time_steps(method, 4, repeats=1) > 0 < time_cells(method, repeats=1)
    (first, *_) = compare(Contender(method, 1), Contender(method, 1, "plain"), repeats=2)
    assert first.ratio.median > 0
