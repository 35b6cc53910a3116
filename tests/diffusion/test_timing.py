"""What is timed is the work it is said to be; how long it takes is nobody's business here."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import nn

from dispr_cli.config import SamplerConfig
from dispr_cli.diffusion import contest, timing
from dispr_cli.diffusion.checkpoint import Checkpoint
from dispr_cli.diffusion.contest import Contender, compare
from dispr_cli.diffusion.ops import clock, group_norm_silu, kernels_status
from dispr_cli.diffusion.ops.clock import Spread, in_turns, ratios, spread
from dispr_cli.diffusion.ops.library import operations_by
from dispr_cli.diffusion.ops.timing_network import time_network_operations
from dispr_cli.diffusion.products import record_products
from dispr_cli.diffusion.reconstruction import DiffusionMethod
from dispr_cli.errors import ConfigError
from tests.diffusion.tiny import TINY, make_denoiser

CPU = torch.device("cpu")


@pytest.fixture
def method() -> DiffusionMethod:
    made = DiffusionMethod(Checkpoint(make_denoiser(), "0" * 64, {}), SamplerConfig("euler", 3), CPU, "fp32")
    made.micro_batch = 2
    return made


def test_runs_take_turns_and_warm_up_does_not_count() -> None:
    order: list[str] = []
    ticks = iter(range(1000))
    seconds = in_turns(
        [lambda: order.append("a"), lambda: order.append("b")], CPU, 3, 1, clock=lambda: float(next(ticks))
    )
    assert "".join(order) == "abbaabba"
    assert seconds == [[1.0] * 3, [1.0] * 3]


def test_time_is_that_of_the_run() -> None:
    (short,), (long,) = in_turns(
        [lambda: time.sleep(0.001), lambda: time.sleep(0.03)], CPU, 1, clock=time.perf_counter
    )
    assert short < long


def test_spread_is_median_and_quartiles() -> None:
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_products_of_a_network_are_all_there_and_counted() -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv3d(4, 8, 3, padding=1)
            self.linear = nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.relu(self.convolution(x)).mean((2, 3, 4)))

    network, x = Small(), torch.randn(3, 4, 5, 5, 5)
    with torch.no_grad():
        convolution, linear = record_products(network, x)
        assert torch.equal(convolution.run(), network.convolution(x))
    assert convolution.name == "convolution 3x3x3 to 3x8x5x5x5"
    assert convolution.gflop == pytest.approx(2 * 27 * 4 * 8 * 125 * 3 / 1e9)
    values = 3 * 4 * 125 + 8 * 4 * 27 + 8 + 3 * 8 * 125
    assert convolution.gigabytes == pytest.approx(4 * values / 1e9)
    assert linear.gflop == pytest.approx(2 * 3 * 8 * 2 / 1e9)


def test_a_call_holds_every_product_of_the_network(method: DiffusionMethod) -> None:
    call = timing.time_call(method, 2, repeats=2)
    names = [product.name.split()[0] for product in call.products]
    block, attention, between = ["convolution"] * 2, ["qkv", "scores", "mix", "projection"], "projection"
    assert names == [between, *block, between, *block, *attention, between, *block, between]
    tokens, C = 512, TINY.channels[1]
    in_attention = sum(product.gflop for product in call.products[6:10])
    assert in_attention == pytest.approx(2 * tokens * (8 * C * C + 4 * tokens * C) / 1e9)
    entering = method.denoiser.network.enter.weight.numel()
    assert call.products[0].gflop == pytest.approx(2 * 2 * 16**3 * entering / 1e9)
    assert call.overhead.low <= call.overhead.median <= call.overhead.high
    assert call.compiled_ms is None


def test_operations_are_those_of_the_network() -> None:
    rows = time_network_operations(TINY, 2, torch.float32, CPU, repeats=1)
    found = [(row.operation, row.shape) for row in rows]
    fine, coarse = (2, 16, 16, 16, 16), (2, 16, 8, 8, 8)
    film = "group_norm_silu + FiLM"
    norms = [("group_norm_silu", fine), (film, fine), ("group_norm_silu", coarse), (film, coarse)]
    volume = (2, 1, 64, 64, 64)
    convolutions = [("convolution_3d", fine), ("convolution_3d", coarse)]
    projections = [("patch_projection", volume), ("patch_projection", fine)]
    assert found == [
        *norms,
        ("attention_3d", coarse),
        *convolutions,
        *projections,
        ("normal_noise", volume),
    ]
    assert all(row.percent_of_limit > 0 for row in rows)
    values = 2 * 16 * 16**3
    assert rows[0].rate * rows[0].ours_ms * 1e6 == pytest.approx(3 * 4 * values)


def counted(monkeypatch: pytest.MonkeyPatch, target: Any, name: str) -> list[tuple[Any, ...]]:
    """Keep the arguments of every call of a method."""
    calls: list[tuple[Any, ...]] = []
    original = getattr(target, name)

    def kept(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(target, name, kept)
    return calls


@pytest.mark.parametrize(("sampler", "calls"), [("euler", 3), ("heun", 5), ("ddpm", 3)])
def test_a_sampler_is_timed_over_all_its_steps(
    method: DiffusionMethod, monkeypatch: pytest.MonkeyPatch, sampler: str, calls: int
) -> None:
    method.sampler = SamplerConfig(sampler, 3)
    made = counted(monkeypatch, type(method.denoiser), "denoise")
    ticks = iter([0.0, 6.0, 10.0, 22.0])
    monkeypatch.setattr(clock, "choose_clock", lambda: lambda: next(ticks))
    assert timing.time_steps(method, 2, repeats=1) == 4.0  # 12 s for 3 steps
    assert len(made) == 2 * calls
    assert all(len(x) == 2 for _, x, *_ in made)


def test_cells_fill_the_batches(method: DiffusionMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timing.cells_at_once(method) == 1
    method.micro_batch = 40
    assert timing.cells_at_once(method) == 8
    method.micro_batch = 2
    made = counted(monkeypatch, DiffusionMethod, "reconstruct")
    ticks = iter([0.0, 1.0, 10.0, 18.0])
    monkeypatch.setattr(clock, "choose_clock", lambda: lambda: next(ticks))
    assert timing.time_cells(method, repeats=1) == 8.0
    assert [(len(cells), samples) for _, cells, samples in made] == [(1, timing.NUM_SAMPLES)] * 2


def test_other_operations_run_within_the_block_and_no_longer() -> None:
    x = torch.randn(2, 8, 3, 3, 3)
    arguments = (x, 2, torch.ones(8), torch.zeros(8))
    ran: list[str] = []
    original = torch.nn.functional.silu

    def silu(*inputs: Any) -> torch.Tensor:
        ran.append("plain")
        return original(*inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispr_cli.diffusion.ops.plain.F.silu", silu)
        before = group_norm_silu(*arguments)
        outside = len(ran)
        with operations_by("plain"):
            by_plain = group_norm_silu(*arguments)
        assert len(ran) == outside + 1
        group_norm_silu(*arguments)
        assert len(ran) == outside + 1 + (0 if kernels_status()["built"] else 1)
    torch.testing.assert_close(before, by_plain)


def test_an_implementation_that_is_not_here() -> None:
    with pytest.raises(ConfigError, match="no implementation 'abacus' here"), operations_by("abacus"):
        pass


def test_contenders_run_in_turns_with_their_own_threads_and_operations(
    method: DiffusionMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, str]] = []
    used = ["compiled"]
    whole = contest.operations_by

    def watched(name: str) -> Any:
        used.append(name)
        return whole("plain")

    def work(_: DiffusionMethod) -> tuple[Any, int]:
        return lambda: seen.append((torch.get_num_threads(), used[-1])), 2

    monkeypatch.setattr(contest, "operations_by", watched)
    monkeypatch.setattr(contest, "_cells", work)
    before = torch.get_num_threads()
    rows = compare(Contender(method, 1, "plain"), Contender(method, 2, "generic"), repeats=2)
    assert torch.get_num_threads() == before
    assert seen == [(1, "plain"), (2, "generic"), (2, "generic"), (1, "plain"), (1, "plain"), (2, "generic")]
    assert [row.part.split(",")[0] for row in rows] == ["denoiser call", "sample", "cell with 5 samples"]
    assert all(row.ratio.low <= row.ratio.median <= row.ratio.high for row in rows)


def test_a_comparison_says_how_many_times_faster_b_is(
    method: DiffusionMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(method: DiffusionMethod) -> tuple[Any, int]:
        return (lambda: None), method.micro_batch

    def seconds(*_: Any, **__: Any) -> list[list[float]]:
        return [[4.0, 8.0, 4.0], [2.0, 1.0, 2.0]]

    for name in ("_call", "_sample", "_cells"):
        monkeypatch.setattr(contest, name, work)
    monkeypatch.setattr(contest, "in_turns", seconds)
    (row, *_) = compare(Contender(method, 1), Contender(method, 1))
    assert (row.a_ms, row.b_ms) == (2000.0, 1000.0)
    assert (row.ratio.low, row.ratio.median, row.ratio.high) == (2.0, 2.0, 5.0)
