"""The tables that ``dispr bench`` prints."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 120
"""Columns where the output is no terminal."""


def print_measures(found: dict[str, Any]) -> None:
    """Print what :func:`dispr_cli.speed.measure.measure` found."""
    console = _console()
    machine, limits = found["machine"], found["limits"]
    console.print(
        f"{machine['processor']}, {machine['threads']} threads, {machine['precision']}, "
        f"torch {machine['torch']}, kernels: {machine['instruction_set']}; load {machine['load']}"
    )
    console.print(
        f"limits: copy {limits['copy_gb_s']:.0f} GB/s, in cache {limits['cached_copy_gb_s']:.0f} GB/s, "
        f"matrix product {limits['matmul_gflop_s']:.0f} GFLOP/s\n"
    )
    console.print(_operations(found["operations"]))
    if "denoiser_call" in found:
        console.print()
        console.print(_whole(found))


def _operations(rows: list[dict[str, Any]]) -> Table:
    table = Table("operation", "on", box=None, header_style="bold")
    for title in ("eager ms", "compile ms", "ours ms", "eager : ours", "per second", "of the limit"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row["operation"],
            "x".join(map(str, row["shape"])),
            f"{row['eager_ms']:.2f}",
            _or_dash(row["compiled_ms"], ".2f"),
            f"{row['ours_ms']:.2f}",
            f"{row['speedup']:.2f}",
            f"{row['rate']:.1f} {row['unit']}",
            f"{row['percent_of_limit']:.0f} %",
        )
    return table


def _whole(found: dict[str, Any]) -> Table:
    call, step, cells = found["denoiser_call"], found["sampler_step"], found["reconstruct"]
    overhead = call["overhead"]
    table = Table(show_header=False, box=None)
    table.add_row(f"denoiser call, {call['batch']} volumes", f"{call['call_ms']:.1f} ms")
    table.add_row("  its convolutions and matrix products alone", f"{call['products_ms']:.1f} ms")
    table.add_row(
        "  call : products", f"{overhead['median']:.2f} ({overhead['low']:.2f} to {overhead['high']:.2f})"
    )
    table.add_row("  with plain PyTorch operations", f"{call['plain_ms']:.1f} ms")
    table.add_row("  with torch.compile", f"{_or_dash(call['compiled_ms'], '.1f')} ms")
    table.add_row(f"{step['sampler']} step, {step['batch']} volumes", f"{step['step_ms']:.1f} ms")
    table.add_row(
        f"cells a second, {cells['samples']} samples in {step['steps']} steps",
        f"{cells['cells_per_second']:.2f} ({cells['seconds_per_cell']:.3f} s a cell)",
    )
    for peer in found["peers"]:
        ratio = f"{peer['ratio']:,.0f}" if peer["ratio"] >= 10 else f"{peer['ratio']:.2f}"
        table.add_row(
            f"{peer['name']}, {peer['call']} (x {peer['calls_per_cell']:,} for a cell)",
            f"{peer['call_seconds']:.3f} s; {peer['name']} : ours = {ratio} : 1",
        )
    return table


def print_comparison(found: dict[str, Any]) -> None:
    """Print what :func:`dispr_cli.speed.measure.measure_against` found."""
    console = _console()
    console.print(f"{found['machine']['processor']}, load {found['machine']['load']}")
    for side in ("a", "b"):
        differing = {
            name: value for name, value in found[side].items() if found["a"][name] != found["b"][name]
        }
        named = ", ".join(f"{name.replace('_', '-')}={value}" for name, value in differing.items())
        console.print(f"{side.upper()}: {named or 'the same settings'}")
    table = Table("", box=None, header_style="bold")
    for title in ("A ms", "B ms", "A : B", "quartiles"):
        table.add_column(title, justify="right")
    for row in found["rows"]:
        ratio = row["ratio"]
        table.add_row(
            row["part"],
            f"{row['a_ms']:.1f}",
            f"{row['b_ms']:.1f}",
            f"{ratio['median']:.2f}",
            f"{ratio['low']:.2f} to {ratio['high']:.2f}",
        )
    console.print(table)


def _console() -> Console:
    console = Console(soft_wrap=True)
    return console if console.is_terminal else Console(soft_wrap=True, width=PLAIN_WIDTH)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
