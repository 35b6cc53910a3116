"""Write the tables of docs/trust.md from ``benchmarks/results/trust.json``.

python -m benchmarks.trust_tables
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results/trust.json")
PAGE = Path("docs/trust.md")


def percent(share: float, ends: list[float]) -> str:
    """Write a share with its interval."""
    return f"{100 * share:.0f} % ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})"


def intervals(result: dict[str, Any]) -> str:
    """Coverage by quantity and number of samples."""
    lines = [
        "| quality | quantity, samples | measured coverage (nominal 80 %) | raw mean ± 1.28 sd | "
        "width / mean | rank correlation of spread and error |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = (
        (quality, quantity, size, row)
        for measured, quality in (("intervals", "standard"), ("intervals_high", "high"))
        for quantity, table in result[measured].items()
        for size, row in table["by_samples"].items()
    )
    for quality, quantity, size, row in rows:
        raw = row.get("uncalibrated")
        told = "-" if raw is None else percent(raw["coverage"], raw["interval"])
        related = row.get("spread_and_error", "-")
        covered = percent(row["coverage"], row["interval"])
        lines.append(
            f"| {quality} | {quantity}, {size} | {covered} | {told} | {row['width']:.2f} | {related} |"
        )
    return "\n".join(lines)


def classes(result: dict[str, Any]) -> str:
    """Coverage from five samples by class."""
    tables = {quantity: table["by_samples"]["5"] for quantity, table in result["intervals"].items()}
    lines = ["| class (n) | volume | surface |", "| --- | --- | --- |"]
    for name, row in tables["volume"]["by_class"].items():
        other = tables["surface"]["by_class"][name]
        cells = [percent(each["coverage"], each["interval"]) for each in (row, other)]
        lines.append(f"| {name[2:].replace('_', ' ')} ({row['n']}) | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def voxels(result: dict[str, Any]) -> str:
    """Claimed against true shares."""
    five, one = (result["voxel_probability"][name] for name in ("five", "one"))
    claimed = " | ".join(f"{share:g}" for share in five["claimed"])
    observed = " | ".join(f"{share:.2f}" for share in five["observed"])
    score = "; ".join(
        f"{name}: {table['brier'][0]:.3f} ({table['brier'][1]:.3f} to {table['brier'][2]:.3f})"
        for name, table in (("five samples", five), ("one sample", one))
    )
    error = five["calibration_error"]
    return (
        f"| probability | {claimed} |\n| --- |{' --- |' * len(five['claimed'])}\n"
        f"| truly inside | {observed} |\n\n"
        f"Brier score over the grid (mean and 95 % interval over cells): {score}.\n"
        "Mean gap between the two rows over the voxels that any sample has: "
        f"{error[0]:.3f} ({error[1]:.3f} to {error[2]:.3f})."
    )


def unlike(result: dict[str, Any]) -> str:
    """Scores by kind."""
    lines = ["| what | n | above 1 | median score | AUROC |", "| --- | --- | --- | --- | --- |"]
    for kind, row in result["unlike_training"].items():
        above = percent(row["above_1"], row["above_1_interval"])
        lines.append(f"| {kind} | {row['n']} | {above} | {row['quartiles'][1]:g} | {row.get('auroc', '-')} |")
    return "\n".join(lines)


def main() -> None:
    """Put each table between its marks."""
    result, page = json.loads(RESULTS.read_text()), PAGE.read_text(encoding="utf-8")
    for make in (intervals, classes, voxels, unlike):
        start, end = f"<!-- {make.__name__} -->\n", "<!-- end -->"
        before, mark, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not (mark and closed):
            raise SystemExit(f"{PAGE}: has no place for the table {make.__name__}")
        page = f"{before}{start}{make(result)}\n{end}{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
