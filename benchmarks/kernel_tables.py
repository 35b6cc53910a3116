"""The tables of the compiled kernels, made from results/ops-*.json and results/bench-*.json.

The latter is what ``dispr bench --json`` prints.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def kernel_tables() -> dict[str, str]:
    """Return the tables by their marks in docs/benchmarks.md, a part for each machine measured."""
    return {
        "operations": _of_all_machines("ops-*.json", operations_table),
        "parts": _of_all_machines("bench-*.json", parts_table),
    }


def _of_all_machines(pattern: str, table: Any) -> str:
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob(pattern))]
    return "\n\n".join(f"{_machine(result['machine'])}\n\n{table(result)}" for result in found)


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['threads']} thread{'s' * (machine['threads'] > 1)}, torch "
        f"{machine['torch']}, kernels: {machine['instruction_set']}; load {machine['load']} while it ran."
    )


def operations_table(result: dict[str, Any]) -> str:
    """List every operation: times, ratio to eager PyTorch, share of the machine's limit."""
    head = ("operation", "x", "eager, ms", "torch.compile, ms", "ours, ms", "eager : ours", "of the limit")
    return _table(head, (_operation(row) for row in result["rows"]))


def _operation(row: dict[str, Any]) -> tuple[str, ...]:
    compiled = row["compiled_ms"]
    return (
        row["operation"],
        f"{'x'.join(map(str, row['shape']))} {row['dtype']}",
        f"{row['eager_ms']:.2f}",
        "-" if compiled is None else f"{compiled:.2f}",
        f"{row['ours_ms']:.2f}",
        f"{row['speedup']:.2f}",
        f"{row['percent_of_limit']:.0f} % of {row['limit']:,.0f} {row['unit']}",
    )


def parts_table(result: dict[str, Any]) -> str:
    """List the denoiser call beside its products, a step, a cell, and the peers."""
    call, step, cells = result["denoiser_call"], result["sampler_step"], result["reconstruct"]
    overhead = call["overhead"]
    rows = [
        (f"denoiser call, {call['batch']} volumes", f"{call['call_ms']:.1f} ms"),
        ("its convolutions and matrix products alone", f"{call['products_ms']:.1f} ms"),
        ("call : products", f"{overhead['median']:.2f} ({overhead['low']:.2f} to {overhead['high']:.2f})"),
        ("call with plain PyTorch operations", f"{call['plain_ms']:.1f} ms"),
        ("call with torch.compile", _ms(call["compiled_ms"])),
        (f"step of {step['sampler']}, {step['batch']} volumes", f"{step['step_ms']:.1f} ms"),
        (
            f"cell, {cells['samples']} samples in {step['steps']} steps",
            f"{cells['seconds_per_cell']:.3f} s ({cells['cells_per_second']:.2f} cells a second)",
        ),
    ]
    for peer in result["peers"]:
        times = f"{peer['call_seconds']:.3f} s; {peer['calls_per_cell']:,} for a cell"
        rows.append((f"{peer['name']}, {peer['call']}", times))
        ratio = f"{peer['ratio']:,.0f}" if peer["ratio"] >= 10 else f"{peer['ratio']:.2f}"
        rows.append((f"{peer['name']} : ours, time for a cell", f"{ratio} : 1"))
    return _table(("part", "time"), rows)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
