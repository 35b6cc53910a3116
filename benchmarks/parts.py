"""How far is each part of the main job from this machine's limits: ``dispr bench``, kept as JSON.

    python -m benchmarks.parts [--device cuda] [--threads 2] [--roofline out.png]

Writes benchmarks/results/bench-<machine>.json, from which benchmarks/tables.py makes the tables.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dispr_cli.commands.bench_tables import print_measures
from dispr_cli.speed.measure import measure
from dispr_cli.speed.picture import draw_measures
from dispr_cli.speed.settings import BenchSettings

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write."""
    options = _options()
    settings = BenchSettings(device=options.device, threads=options.threads)
    found = measure(settings, options.repeats, compiled=not options.no_torch_compile)
    print_measures(found)
    path = RESULTS / f"bench-{found['machine']['name']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(path)
    if options.roofline is not None:
        print(draw_measures(found, options.roofline))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--no-torch-compile", action="store_true")
    parser.add_argument("--roofline", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
