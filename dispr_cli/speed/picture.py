"""What was measured, as points under the machine's roofs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dispr_cli.report.roofline import Point, Roofs, draw_roofline

FEWEST_GFLOP = 0.01
"""Products of the network below this are too small to be drawn."""


def draw_measures(found: dict[str, Any], out: Path) -> Path:
    """Draw what :func:`dispr_cli.speed.measure.measure` found.

    Raises
    ------
    StoreError
        If the picture cannot be written.
    """
    limits = found["limits"]
    roofs = Roofs(limits["copy_gb_s"], limits["cached_copy_gb_s"], limits["matmul_gflop_s"])
    machine = found["machine"]
    title = f"{machine['processor']}, {machine['threads']} threads, {machine['precision']}"
    draw_roofline([*_operations(found), *_call(found)], roofs, out, title)
    return out


def _operations(found: dict[str, Any]) -> list[Point]:
    return [
        _point(f"{row['operation']} {_by(row['shape'])}", "ours", row, row["ours_ms"])
        for row in found["operations"]
    ]


def _call(found: dict[str, Any]) -> list[Point]:
    call = found.get("denoiser_call")
    if call is None:
        return []
    products = {product["name"]: product for product in call["products"] if product["gflop"] >= FEWEST_GFLOP}
    points = [_point(name, "PyTorch's", product, product["ms"]) for name, product in products.items()]
    sums = {key: sum(product[key] for product in call["products"]) for key in ("gflop", "gigabytes")}
    return [*points, _point(f"denoiser call, {call['batch']} volumes", "whole", sums, call["call_ms"])]


def _by(shape: list[int] | tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _point(name: str, kind: str, work: dict[str, Any], ms: float) -> Point:
    return Point(name, kind, work["gflop"] / work["gigabytes"], work["gflop"] / ms * 1e3)
