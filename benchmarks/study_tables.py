"""Write the tables of docs/study.md from results: of real cells, of phantoms, of the published descriptors.

    dispr study CELLS --out STUDY --weights-dir WEIGHTS ...  (as docs/study.md says)
    python -m benchmarks.study_tables --real STUDY/classification/classification.json

Keeps the real cells' numbers as benchmarks/results/real_study.json; the others are there already, by
benchmarks/phantom_study.py and benchmarks/descriptor_agreement.py.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from dispr_cli.report.class_tables import markdown_table, p_value, signed_with_interval, with_interval

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/study.md")


def score_table(result: dict[str, Any]) -> str:
    """Every variant with its interval."""
    rows = []
    for name, found in result["variants"].items():
        sd = found["macro_f1_sd"]
        rows.append(
            [
                name,
                with_interval(found["macro_f1_mean"], tuple(found["macro_f1_interval"])),
                "-" if sd is None else f"{sd:.3f}",
                *(f"{value:.2f}" for value in found["class_f1"].values()),
            ]
        )
    classes = next(iter(result["variants"].values()))["class_f1"]
    shown = [name.partition("_")[2].replace("_", " ") or name for name in classes]
    return markdown_table(
        ["variant", "macro F1, 95 % interval", "sd", *(f"F1 {name}" for name in shown)], rows
    )


def test_table(result: dict[str, Any]) -> str:
    """Every comparison with its interval and p."""
    rows = [
        [
            f"{test['first']} against {test['second']}",
            signed_with_interval(test["difference"], *test["interval"]),
            p_value(test["p_value"]),
            p_value(test["adjusted_p_value"]),
        ]
        for test in result["tests"]
    ]
    return markdown_table(("comparison", "difference", "p", "p corrected"), rows)


def published_table(result: dict[str, Any]) -> str:
    """Show what the leaking protocol reports."""
    rows = []
    for name, found in result["as_published"].items():
        macro = found["macro_f1"]
        mean = sum(macro) / len(macro)
        sd = (sum((value - mean) ** 2 for value in macro) / (len(macro) - 1)) ** 0.5
        rows.append([name, f"{mean:.2f} ± {sd:.2f}", f"{100 * found['copied_share']:.0f} %"])
    return markdown_table(("protocol", "macro F1", "tested cells with a copy in training"), rows)


def replaced(text: str, mark: str, content: str) -> str:
    """Put content between a mark and the next end."""
    marked = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{PAGE}: has no place marked <!-- {mark} --> ... <!-- end -->")
    return marked.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, help="classification.json of a study of real cells")
    args = parser.parse_args()
    kept = RESULTS / "real_study.json"
    if args.real:
        kept.write_text(json.dumps(json.loads(args.real.read_text()), indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    for name in ("real", "phantom"):
        path = RESULTS / f"{name}_study.json"
        if path.is_file():
            result = json.loads(path.read_text())
            text = replaced(text, f"{name} scores", score_table(result))
            text = replaced(text, f"{name} tests", test_table(result))
            if result.get("as_published"):
                text = replaced(text, f"{name} published", published_table(result))
    agreement = RESULTS / "descriptor_agreement.json"
    if agreement.is_file() and "six_classes" in (found := json.loads(agreement.read_text())):
        text = replaced(text, "descriptor scores", score_table(found["six_classes"]))
        text = replaced(text, "descriptor tests", test_table(found["six_classes"]))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
