"""Write the tables of docs/benchmarks.md and of the model card from benchmarks/results.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.kernel_tables import kernel_tables
from benchmarks.peer_tables import peer_tables
from dispr_cli.diffusion.checkpoint import DEFAULT_WEIGHTS, load_denoiser
from dispr_cli.quality import QUALITIES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CARD = DEFAULT_WEIGHTS.parent / "README.md"

MEASURES = {
    "iou_vote": ("IoU of the vote", 1.0, "{:.3f}"),
    "iou_one": ("IoU of one sample", 1.0, "{:.3f}"),
    "iou_between_samples": ("IoU between two samples", 1.0, "{:.3f}"),
    "volume_error_one": ("volume error, one sample", 100.0, "{:.1f} %"),
    "volume_error_median": ("volume error, median of 5", 100.0, "{:.1f} %"),
    "volume_bias": ("volume bias", 100.0, "{:+.1f} %"),
    "volume_crps": ("fair CRPS of volume, relative", 100.0, "{:.1f} %"),
    "volume_covered": ("volume between the extremes of 5 (honest: 75 %)", 100.0, "{:.0f} %"),
    "surface_error_one": ("surface error, one sample", 100.0, "{:.1f} %"),
    "slice_iou": ("IoU of the focal slice with the truth's", 1.0, "{:.3f}"),
}

OF_SAMPLES = {
    "iou_vote": ("IoU of the vote", 1.0, "{:.3f}"),
    "volume_error_vote": ("volume error of the vote", 100.0, "{:.1f} %"),
    "volume_error_median": ("volume error of the median", 100.0, "{:.1f} %"),
    "surface_error_median": ("surface error of the median", 100.0, "{:.1f} %"),
}


def count_of(result: dict[str, Any], counted: str) -> str:
    """Write how many of what is counted a result is of: ``1 step``, ``2 steps``."""
    number = result[f"{counted}s"]
    return f"{number} {counted}{'s' * (number != 1)}"


def spread_of(result: dict[str, Any]) -> str:
    """Write the spread of a result, and the quality that draws with it."""
    named = [name for name, quality in QUALITIES.items() if quality.spread == result["spread"]]
    return f"spread {result['spread']:g}{f' ({named[0]})' if named else ''}"


def scores_table(
    result_file: str, head: Callable[[dict[str, Any]], str], measures: dict[str, tuple[str, float, str]]
) -> str:
    """Held-out scores, a column for each result of a file."""
    results: list[dict[str, Any]] = json.loads((RESULTS / f"{result_file}.json").read_text())["results"]
    lines = ["| measure: mean (interval); median | " + " | ".join(map(head, results)) + " |"]
    lines.append("| --- |" + " --- |" * len(results))
    for key, (title, factor, form) in measures.items():
        columns = []
        for result in results:
            low, high = (form.format(factor * x) for x in result[key]["interval"])
            mean, median = (form.format(factor * result[key][name]) for name in ("mean", "median"))
            middle = "" if key == "volume_covered" else f"; {median}"
            columns.append(f"{mean} ({low} to {high}){middle}")
        lines.append(f"| {title} | " + " | ".join(columns) + " |")
    return "\n".join(lines)


def phantoms_table() -> str:
    """Ours and two rules on fresh phantoms, a row for each shape."""
    methods: dict[str, Any] = json.loads((RESULTS / "phantoms.json").read_text())["methods"]
    shown = ("iou_vote", "volume_error_one", "volume_bias")
    heads = [f"{method}: {MEASURES[key][0]}" for key in shown for method in methods]
    heads.append("dispr: between the extremes of 5 (honest: 75 %)")
    lines = [f"| shape (n) | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    shapes = list(methods["dispr"]["by_class"])
    for shape in [*shapes, "all"]:
        rows = {name: found["by_class"].get(shape, found["all"]) for name, found in methods.items()}
        cells = [_form(key, row[key]["mean"]) for key in shown for row in rows.values()]
        cells.append(_form("volume_covered", rows["dispr"]["volume_covered"]["mean"]))
        lines.append(f"| {shape.replace('_', ' ')} ({rows['dispr']['n']}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _form(measure: str, value: float) -> str:
    _, factor, form = MEASURES[measure]
    return form.format(factor * value)


def main_job_table() -> str:
    """Time and memory of the main job."""
    r = json.loads((RESULTS / "main_job.json").read_text())
    rows = {
        "cells x samples, steps": f"{r['cells']} x {r['samples']}, {r['steps']}",
        "machine": f"{r['machine']['cores']} cores, {r['cpu_capability']}, torch {r['torch']}",
        "seconds per cell (whole command)": f"{r['seconds_per_cell']:.2f}",
        "peak memory": f"{r['peak_memory_gb']:.2f} GB",
        "GFLOP of a sample: encoder, one denoiser call": f"{r['gflop_encoder']:.2f}, {r['gflop_call']:.2f}",
        "DISPR-2022 : ours, GFLOP": f"{r['flop_ratio_dispr_2022']:,.0f} : 1",
        "DISPR-2022 (11.2 s a step, quoted) : ours, time": f"{r['time_ratio_dispr_2022']:,.0f} : 1",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())])


def shape_measures_table() -> str:
    """Our shape measures beside those of other libraries, on the same surfaces."""
    r = json.loads((RESULTS / "shape_measures.json").read_text())
    rate, machine = r["all_measures"], r["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f}; "
        f"{r['cells']} real cells.",
        "",
        "| of one cell | CPU time, ms | cells a second on two cores |",
        "| --- | ---: | ---: |",
    ]
    for key, title in (
        ("volume", "all measures of a volume"),
        ("one_sample", "truth and one sample, with all errors"),
        ("five_samples", "truth, five samples and their vote, with all errors"),
    ):
        both = rate[f"{key}_cpu_ms_per_cell"], rate[f"{key}_cells_per_second_of_two_cores"]
        lines.append(f"| {title} | {both[0]:.0f} | {both[1]:.1f} |")
    lines += [
        "",
        "| measure | ours, ms | theirs, ms | ratio: median (lowest) | relative difference |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in r["beside_other_libraries"].items():
        lines.append(
            f"| {name.replace('_', ' ')} | {row['ours_ms']:.2f} | {row['theirs_ms']:.1f} | "
            f"{row['ratio_median']:.1f} ({row['ratio_lowest']:.1f}) | "
            f"{row['relative_difference_median']:.0e} |"
        )
    return "\n".join(lines)


def replace_between(text: str, mark: str, table: str) -> str:
    """Replace what stands between the two marks of a table."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: match[1] + table + match[2], text)


def waiting_table() -> str:
    """Time of a reconstruction by how long threads that wait keep their core."""
    quiet, crowded = (
        json.loads((RESULTS / f"{name}.json").read_text())
        for name in ("waiting_threads_quiet", "waiting_threads")
    )
    beside = "beside_busy_processes"
    places = (quiet["alone"], quiet[beside], crowded[beside])
    loads = " | ".join("load {:.0f} to {:.0f}".format(*place["load"]) for place in places)
    lines = [
        f"{quiet['cells']} cells x {quiet['samples']} samples, {quiet['rounds']} and {crowded['rounds']} "
        "rounds in turns; medians (lowest to highest), in seconds.",
        "",
        "| | alone | beside two busy processes | beside two, and much else |",
        "| --- | ---: | ---: | ---: |",
        f"| | {loads} |",
    ]
    for setting in quiet["alone"]["seconds"]:
        found = [place["seconds"][setting] for place in places]
        told = (f"{one['median']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in found)
        lines.append(f"| {setting} | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> None:
    """Rewrite both documents."""
    tables = {
        "folds": scores_table("folds", partial(count_of, counted="step"), MEASURES),
        "spreads": scores_table("spreads", spread_of, MEASURES),
        "seeds": scores_table("seeds", lambda result: f"seed {result['seed']}", MEASURES),
        "samples": scores_table("samples", partial(count_of, counted="sample"), OF_SAMPLES),
        "phantoms": phantoms_table(),
        "main_job": main_job_table(),
        "shape_measures": shape_measures_table(),
        "waiting": waiting_table(),
        **kernel_tables(),
        **peer_tables(),
    }
    for path in (CARD, ROOT / "docs" / "benchmarks.md"):
        text = path.read_text(encoding="utf-8")
        for mark, table in tables.items():
            text = replace_between(text, mark, table)
        text = re.sub(r"sha256 `[^`]*`", f"sha256 `{load_denoiser().sha256}`", text)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
