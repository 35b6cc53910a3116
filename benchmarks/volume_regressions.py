"""Whether the image tells more of a cell's volume than the network takes from it.

    python -m benchmarks.volume_regressions CELLS.npz --drawn local/trust_samples.npz

Regressions of ln(true volume) on the median of the network's samples, on the 14 numbers of image and mask,
and on both, cross-fitted in 18 folds. The samples are those that ``benchmarks/measure_trust.py`` keeps, each
cell's by the network that never saw it. Prints their mean errors; nothing came of it (docs/model_log.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dispr_cli.diffusion.dataset import load_cells
from dispr_cli.inputs.appearance import appearance

FOLDS = KFold(18, shuffle=True, random_state=0)


def main() -> None:
    """Fit, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", type=Path)
    parser.add_argument("--drawn", type=Path, default=Path("local/trust_samples.npz"))
    args = parser.parse_args()
    cells = load_cells(args.cells)
    with np.load(args.drawn, allow_pickle=False) as file:
        drawn, true = np.log(np.median(file["volume"], axis=1)), np.log(file["true_volume"])
    described = (appearance(cells.cell(index)) for index in range(len(cells)))
    seen = np.stack([numbers for numbers in described if numbers is not None])
    tables = {"network": drawn[:, None], "image": seen, "both": np.column_stack([drawn, seen])}
    print(f"network as it is: {np.abs(np.expm1(drawn - true)).mean():.3f}")
    for table, values in tables.items():
        for name, model in {
            "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 20))),
            "extra trees": ExtraTreesRegressor(300, min_samples_leaf=3, random_state=0),
        }.items():
            found = cross_val_predict(model, values, true, cv=FOLDS)
            print(f"{table}, {name}: {np.abs(np.expm1(found - true)).mean():.3f}")


if __name__ == "__main__":
    main()
