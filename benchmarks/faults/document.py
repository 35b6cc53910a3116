"""Write the tables and the figure of docs/reliability.md from the results of faults and of scale.

python -m benchmarks.faults.document
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "reliability.md"
FIGURE = ROOT / "docs" / "load.png"

FAULTS = (
    *("kill_parts", "kill_dask", "dask_hanging", "dask_frozen", "dask_scheduler"),
    *("disk_full", "read_only", "torn", "changed_bits", "input_deleted", "clock_jumps"),
)
INPUTS = (
    *("tiff", "png", "seg", "rois", "manifest", "store", "weights", "checkpoint"),
    *("truth", "features", "classes", "toml"),
)
_WHAT = {
    "tiff": "TIFF images and masks",
    "png": "PNG and JPEG images and masks",
    "seg": "Cellpose's _seg.npy",
    "rois": "lists of ImageJ's regions (.zip)",
    "manifest": "CSV manifests",
    "store": "stores: every file of one",
    "weights": "weights (safetensors)",
    "checkpoint": "public checkpoints (.pt)",
    "truth": "ground truths (.npy, TIFF stacks)",
    "features": "tables of features (CSV, Parquet)",
    "classes": "tables of classes (CSV)",
    "toml": "training settings (TOML)",
}


def result(name: str) -> Any:
    """Read a result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def faults() -> str:
    """Every fault, how often it was tried and what was lost."""
    rows = []
    for name in FAULTS:
        found = result(f"faults/{name}")
        happened = ", ".join(f"{count} × {word}" for word, count in found["details"].items())
        rows.append(
            [found["fault"], str(found["trials"]), happened, str(found["lost"]), f"`{found['command']}`"]
        )
    return table(["fault", "trials", "what happened", "lost", "command"], rows)


def inputs() -> str:
    """Every kind of file, how many unsound ones were read and what went wrong."""
    rows, trials, lost = [], 0, 0
    for kind in INPUTS:
        found = result(f"faults/fuzz_{kind}")
        trials, lost = trials + found["trials"], lost + found["lost"]
        details = found["details"]
        words = [f"{details.get(word, 0):,}" for word in ("refused", "read")]
        rows.append(
            [
                _WHAT[kind],
                f"{found['trials']:,}",
                *words,
                f"{details['MB grown at most']} MB",
                str(found["lost"]),
            ]
        )
    rows.append(["all", f"{trials:,}", "", "", "", str(lost)])
    return table(["unsound files", "trials", "refused", "read", "memory grew by", "lost"], rows)


def memory() -> str:
    """Memory and time per cell of runs of many sizes."""
    rows = []
    for run in result("scale_memory")["runs"]:
        tenths = run["cpu_ms_per_cell_of_tenths"]
        spread = f"{min(tenths):.1f} to {max(tenths):.1f}" if tenths else "-"
        rows.append(
            [
                f"{run['cells']:,}" + (f" of {run['of']:,}" if "of" in run else ""),
                f"{run['peak_memory_mb']:.0f} MB",
                "-" if run["cpu_ms_per_cell"] is None else f"{run['cpu_ms_per_cell']:.1f} ms",
                spread,
                str(run["most_open_files"]),
            ]
        )
    head = [
        "cells",
        "peak memory",
        "CPU time per cell",
        "in ten stretches of the run, ms",
        "open files at most",
    ]
    return table(head, rows)


def stores() -> str:
    """How long opening, reading and planning take at several sizes."""
    rows = []
    for size in result("scale_store")["sizes"]:
        read, plan = size["read_one_cell"], size["plan"]
        rows.append(
            [
                f"{size['cells']:,}",
                f"{read['median_ms']:.1f} ms; {read['p95_ms']:.1f} ms ({read['cpu_median_ms']:.1f} ms)",
                f"{plan['files']:,}",
                f"{plan['seconds']:.1f} s ({plan['cpu_seconds']:.1f} s)",
            ]
        )
    return table(
        [
            "cells of a store",
            "open it, read one cell: median; 95 % (CPU)",
            "files of a folder",
            "planned in (CPU)",
        ],
        rows,
    )


def workers() -> str:
    """How much of a cluster's workers is used."""
    rows = [
        [
            str(found["workers"]),
            str(found["shards"]),
            f"{found['seconds']:.1f} s",
            f"{100 * found['efficiency']:.1f} %",
            f"{found['overhead_per_shard_ms']:.0f} ms",
        ]
        for found in result("scale_workers")["simulated"]
    ]
    head = ["workers", "shards", "time", "efficiency", "overhead per shard of a worker"]
    found = result("scale_workers")
    lines = [table(head, rows), "", f"A shard takes {found['seconds_per_shard']:.0f} s of sleep."]
    if two := found["processes"]:
        lines.append(
            f"Two real processes as two parts, one thread each, are {two['speed_of_two']:.2f} times as fast "
            f"as one ({two['cells']} cells, shipped weights, median of {two['repeats']})."
        )
    return "\n".join(lines)


def ways() -> str:
    """How alike the same samples are in other ways of computing."""
    rows = []
    names = ["agreement", *(["agreement_gpu"] if (RESULTS / "agreement_gpu.json").exists() else [])]
    for name in names:
        found = result(name)
        where = found["gpu"] or f"{found['machine']['cpu_capability']} CPU"
        for way, compared in found["ways"].items():
            if name == "agreement_gpu" and not way.startswith("GPU"):
                continue
            same = "every voxel" if compared["identical"] else "no"
            overlap = f"{compared['iou_mean']:.4f}; {compared['iou_least']:.4f}"
            volume = f"{100 * compared['volume_difference_mean']:.2f} %; "
            volume += f"{100 * compared['volume_difference_most']:.2f} %"
            rows.append([way, where, same, overlap, volume])
    head = [
        "computed in",
        "on",
        "same shape",
        "IoU with the reference: mean; least",
        "volume differs: mean; most",
    ]
    found = result("agreement")
    between = found["iou_between_samples_of_a_cell"]
    words = (
        f"{found['cells']} phantoms, {found['samples_of_each']} samples each. Two different samples of a "
        f"cell overlap with an IoU of {between:.2f}: what a difference is to be measured by."
    )
    return f"{table(head, rows)}\n\n{words}"


def draw_load() -> None:
    """Draw the longest run over its cells: memory, open files, time per cell."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    run = max(result("scale_memory")["runs"], key=lambda run: run["cells"])
    looks = [look for look in run["samples"] if look["cells"]]
    cells = [look["cells"] / 1000 for look in looks]
    step = max(1, len(looks) // 40)
    pairs = list(zip(looks[::step], looks[step::step], strict=False))
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    axes[0].plot(cells, [look["memory_mb"] for look in looks], lw=1)
    axes[0].set_ylabel("resident memory, MB")
    axes[1].plot(cells, [look["files"] for look in looks], lw=1, label="files")
    axes[1].plot(cells, [look["threads"] for look in looks], lw=1, label="threads")
    axes[1].legend(frameon=False)
    axes[1].set_ylabel("open files, threads")
    times = [1e3 * (b["cpu_seconds"] - a["cpu_seconds"]) / max(1, b["cells"] - a["cells"]) for a, b in pairs]
    axes[2].plot([b["cells"] / 1000 for _, b in pairs], times, lw=1)
    axes[2].set_ylabel("CPU time per cell, ms")
    for axis in axes:
        axis.set_ylim(bottom=0)
        axis.set_xlabel("cells, thousands")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(FIGURE, dpi=110)
    plt.close(figure)


TABLES: dict[str, Callable[[], str]] = {
    "faults": faults,
    "inputs": inputs,
    "memory": memory,
    "stores": stores,
    "workers": workers,
    "ways": ways,
}


def main() -> None:
    """Rewrite the document's tables and its figure."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for mark, make in TABLES.items():
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        match = pattern.search(text)
        if match is None:
            raise SystemExit(f"{DOCUMENT}: has no place for the table '{mark}'")
        begins, ends = match.span()
        text = text[:begins] + match[1] + make() + match[2] + text[ends:]
    DOCUMENT.write_text(text, encoding="utf-8")
    draw_load()


if __name__ == "__main__":
    main()
