"""What ``dispr classify`` writes: one page of words, figures, and every number as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from dispr_cli import __version__
from dispr_cli.classification.classify import Classification, ClassifyConfig
from dispr_cli.classification.findings import findings, legend
from dispr_cli.classification.labels import readable
from dispr_cli.durable import explained, replace_bytes
from dispr_cli.report.charts import encoded
from dispr_cli.report.class_figures import DrawnScores, draw_class_scores, draw_confusions
from dispr_cli.report.class_tables import markdown_table, p_value, signed_with_interval, with_interval
from dispr_cli.study.networks import NetworkRecord
from dispr_cli.volumes.formulas import guarded

FORMAT = "dispr-classification/1"
RESULT, PAGE, ANSWERS = "classification.json", "classification.md", "answers.csv"
TABLES = "## All classes"
"""The heading the tables begin with; words stand above it."""

MOST_FEATURES = 15
_DRAWN = ("true shapes", "+ predicted shapes", "+ SMOTE", "2D only", "predicted only", "predicted + 2D")


def write_classification(found: Classification, config: ClassifyConfig, folder: Path) -> list[Path]:
    """Write everything that was found into a folder.

    Returns
    -------
    list of Path
        The files; the page of words last.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    files = {RESULT: (json.dumps(as_json(found, config), indent=1) + "\n").encode()}
    files[ANSWERS] = _answers(found).encode()
    drawn = {name: _drawn(found, name) for name in found.scores}
    titles = {found.outcomes[name].variant.title: values for name, values in drawn.items()}
    some = {name: drawn[name] for name in _DRAWN if name in drawn}
    classes = [readable(name) for name in found.data.classes]
    for name, figure in (
        ("scores", draw_class_scores(titles, classes)),
        ("confusions", draw_confusions(some, classes)),
    ):
        files |= {f"{name}{ending}": content for ending, content in encoded(figure).items()}
    files[PAGE] = page(found, config).encode()
    with explained(folder, "write the classification"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_bytes(folder / name, content)
    return [folder / name for name in files]


def as_json(found: Classification, config: ClassifyConfig) -> dict[str, Any]:
    """Return every number."""
    data = found.data
    return {
        "format": FORMAT,
        "version": __version__,
        "classes": dict(sorted(Counter(data.truth.classes.tolist()).items())),
        "cells": len(data.truth),
        "predicted_shapes": len(data.predicted),
        "features": {"shape": data.num_shape_features, "plane": len(data.names) - data.num_shape_features},
        "folds": len({split.fold for split in found.splits}),
        "folds_from": found.folds_from,
        "repeats": config.num_repeats,
        "trees": config.forest.num_trees,
        "filled_up_classes": list(data.minorities),
        "networks": {name: _network(record) for name, record in data.networks.items()},
        "variants": {name: _variant_json(found, name) for name in found.scores},
        "tests": [
            {
                "first": a,
                "second": b,
                "difference": test.difference,
                "interval": [test.low, test.high],
                "p_value": test.p_value,
                "adjusted_p_value": test.adjusted_p_value,
            }
            for (a, b), test in found.tests.items()
        ],
        "as_published": {
            name: {
                "macro_f1": scores.macro_f1.tolist(),
                "weighted_f1": scores.weighted_f1.tolist(),
                "num_features": scores.num_features,
                "copied_share": scores.copied_share,
            }
            for name, scores in found.published.items()
        },
        "left_out": list(found.left_out),
    }


def _network(record: NetworkRecord) -> dict[str, Any]:
    count = None if record.held_out is None else len(record.held_out)
    return {"held_out_cells": count, "never_seen": record.never_seen, "reason": record.reason}


def _variant_json(found: Classification, name: str) -> dict[str, Any]:
    scores, outcome = found.scores[name], found.outcomes[name]
    best = np.argsort(outcome.importances)[::-1][:MOST_FEATURES]
    return {
        "macro_f1": scores.macro_f1.tolist(),
        "macro_f1_mean": float(scores.macro_f1.mean()),
        "macro_f1_sd": float(scores.macro_f1.std(ddof=1)) if len(scores.macro_f1) > 1 else None,
        "macro_f1_interval": list(scores.macro_f1_interval),
        "balanced_accuracy": float(scores.balanced_accuracy.mean()),
        "weighted_f1": float(scores.weighted_f1.mean()),
        "class_f1": dict(zip(found.data.classes, scores.class_f1.tolist(), strict=True)),
        "class_f1_interval": dict(zip(found.data.classes, scores.class_f1_interval.tolist(), strict=True)),
        "confusion": scores.confusion.tolist(),
        "train_rows": {key: round(value, 1) for key, value in sorted(outcome.train_counts.items())},
        "ways_chosen": outcome.chosen,
        "best_features": {found.data.names[place]: float(outcome.importances[place]) for place in best},
    }


def page(found: Classification, config: ClassifyConfig) -> str:
    """Return the page of words."""
    data = found.data
    counts = ", ".join(
        f"{readable(name)} {count}" for name, count in Counter(data.truth.classes.tolist()).most_common()
    )
    num_folds = len({split.fold for split in found.splits})
    parts = [
        "# Classification",
        f"{len(data.truth)} cells ({counts}); {data.num_shape_features} features of the shape and "
        f"{len(data.names) - data.num_shape_features} of image and mask; {num_folds} folds "
        f"({found.folds_from}), {config.num_repeats} repetition(s), random forests of "
        f"{config.forest.num_trees} trees. Filling in, scaling and the selection of features happen within "
        "each fold; no shape of a tested cell, and no shape by a network that saw one, trains.",
        "## What was found\n\n" + findings(found),
        f"{TABLES}\n\n" + _score_table(found),
        "## Each class: F1\n\n" + _class_table(found),
        "## Differences in macro F1\n\n" + _test_table(found),
        "Intervals: bootstrap over cells within classes, 95 %. p: permutation test over cells, corrected by "
        "Holm's procedure over all rows.",
    ]
    if found.published:
        parts.append(_published_part(found))
    if any(len(outcome.variant.ways) > 1 for outcome in found.outcomes.values()):
        parts.append("## Chosen within the folds\n\n" + _chosen_table(found))
    parts.append("## What the forests look at\n\n" + _feature_table(found))
    variants = [outcome.variant for outcome in found.outcomes.values()]
    parts.append("## What each row is\n\n" + legend(variants))
    if found.left_out:
        parts.append("## Left out\n\n" + "\n".join(f"- {reason}" for reason in found.left_out))
    return "\n\n".join(parts) + "\n"


def _score_table(found: Classification) -> str:
    rows = []
    for name, scores in found.scores.items():
        trained = found.outcomes[name].train_counts
        sd = f"{scores.macro_f1.std(ddof=1):.3f}" if len(scores.macro_f1) > 1 else "-"
        rows.append(
            [
                name,
                with_interval(float(scores.macro_f1.mean()), scores.macro_f1_interval),
                sd,
                f"{scores.balanced_accuracy.mean():.2f}",
                f"{scores.weighted_f1.mean():.2f}",
                f"{sum(trained.values()):.0f}",
            ]
        )
    header = (
        "variant",
        "macro F1",
        "sd over repetitions",
        "balanced accuracy",
        "weighted F1",
        "rows before balancing",
    )
    return markdown_table(header, rows)


def _class_table(found: Classification) -> str:
    header = ["variant", *(readable(name) for name in found.data.classes)]
    rows = [
        [
            name,
            *(
                with_interval(float(value), (float(low), float(high)))
                for value, (low, high) in zip(scores.class_f1, scores.class_f1_interval, strict=True)
            ),
        ]
        for name, scores in found.scores.items()
    ]
    return markdown_table(header, rows)


def _test_table(found: Classification) -> str:
    rows = [
        [
            f"{a} against {b}",
            signed_with_interval(test.difference, test.low, test.high),
            p_value(test.p_value),
            p_value(test.adjusted_p_value),
        ]
        for (a, b), test in found.tests.items()
    ]
    return markdown_table(("comparison", "difference", "p", "p corrected"), rows)


def _published_part(found: Classification) -> str:
    rows = [
        [
            name,
            f"{scores.macro_f1.mean():.2f} ± {scores.macro_f1.std(ddof=1):.2f}",
            f"{scores.weighted_f1.mean():.2f} ± {scores.weighted_f1.std(ddof=1):.2f}",
            f"{100 * scores.copied_share:.0f} %",
        ]
        for name, scores in found.published.items()
    ]
    header = ("protocol", "macro F1", "weighted F1 (published)", "tested cells with a copy in training")
    return (
        "## As published, with its leaks\n\n"
        + markdown_table(header, rows)
        + "\n\nScaling and selection see the tested cells, and predicted shapes of a tested cell may train. "
        "Shown for comparison with published numbers only; mean ± sd over five random splits."
    )


def _chosen_table(found: Classification) -> str:
    rows = [
        [name, "; ".join(f"{way} ({count})" for way, count in outcome.chosen.items())]
        for name, outcome in found.outcomes.items()
        if len(outcome.variant.ways) > 1
    ]
    header = ("variant", "shapes of a cell and features: folds that chose so on their training cells")
    return markdown_table(header, rows, words=True)


def _feature_table(found: Classification) -> str:
    chosen = [name for name in ("true shapes", "2D only", "predicted only") if name in found.outcomes]
    columns = []
    for name in chosen:
        importances = found.outcomes[name].importances
        best = np.argsort(importances)[::-1][:MOST_FEATURES]
        columns.append([f"{found.data.names[i]} {importances[i]:.3f}" for i in best])
    rows = [[str(rank), *words] for rank, words in enumerate(zip(*columns, strict=False), 1)]
    return markdown_table(("rank", *chosen), rows)


def _drawn(found: Classification, name: str) -> DrawnScores:
    scores = found.scores[name]
    return DrawnScores(scores.macro_f1, scores.macro_f1_interval, scores.class_f1, scores.confusion)


def _answers(found: Classification) -> str:
    """Write what each variant says of each cell in each repetition."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("cell", "class", "variant", "repeat", "answer"))
    names = [*found.data.classes, ""]
    for variant, outcome in found.outcomes.items():
        for repeat, answers in enumerate(outcome.answers):
            for cell, own, answer in zip(
                found.data.truth.cells, found.data.truth.classes, answers, strict=True
            ):
                words = (guarded(str(word)) for word in (cell, own, variant))
                writer.writerow((*words, repeat, guarded(names[answer])))
    return text.getvalue()
