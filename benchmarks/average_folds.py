"""Average the weights before and after a stage of training (Wortsman et al., arXiv 2109.01903).

    python -m benchmarks.average_folds local/folds4 local/folds6 --out local/folds7 --share 0.6

A short training on a new loss unlearns some of what a long one knew. Both ends lie in one basin, and the
networks between them keep most of both. ``--share`` is that of the later weights; what ``--recipe`` says of
the sampler is written into the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from benchmarks.recipes import settings
from dispr_cli.config import DenoiserConfig
from dispr_cli.diffusion.checkpoint import load_denoiser, save_denoiser
from dispr_cli.diffusion.known_cells import known_cells

SAMPLING = ("sigma_min", "spread", "sharpening")
"""Settings of a denoiser that no training depends on."""


def average(before: Path, after: Path, out: Path, share: float, shape: DenoiserConfig) -> None:
    """Write the network that lies so far on the way from one to the other."""
    earlier, later = load_denoiser(before), load_denoiser(after)
    held_out = [one.provenance.get("held_out") for one in (earlier, later)]
    if held_out[0] != held_out[1]:
        raise SystemExit(f"{before} and {after} were kept from different cells")
    old, new = earlier.denoiser.state_dict(), later.denoiser.state_dict()
    later.denoiser.load_state_dict({name: old[name].lerp(new[name], share) for name in new})
    sampling = {name: getattr(shape, name) for name in SAMPLING}
    later.denoiser.config = dataclasses.replace(later.denoiser.config, **sampling)
    learned = [known_cells(one.provenance, one.sha256, one.path).learned for one in (earlier, later)]
    facts = {
        "averaged_with": earlier.sha256,
        "share_of_later": share,
        "learned": None if None in learned else sorted(frozenset().union(*filter(None, learned))),
    }
    save_denoiser(out, later.denoiser, {**later.provenance, **facts})


def main() -> None:
    """Average every network that both folders have."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--recipe", default="", help="changes of the defaults, see benchmarks/recipes.py")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for after in sorted(args.after.glob("*.safetensors")):
        before = args.before / after.name
        if before.exists() and ".state." not in after.name:
            average(before, after, args.out / after.name, args.share, settings(args.recipe)[1])
            print(after.name, flush=True)


if __name__ == "__main__":
    main()
