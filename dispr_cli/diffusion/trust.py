"""What is known of how far weights can be trusted: a small JSON file beside them.

It holds for the weights that it names, its intervals for the sampler that they were measured with. Weights
without it reconstruct the same shapes; the columns of the table that it fills stay empty.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispr_cli.diffusion.familiarity import Familiarity, familiarity_from
from dispr_cli.diffusion.intervals import IntervalCalibration, calibration_from
from dispr_cli.errors import WeightsError
from dispr_cli.method import Method

FORMAT = "dispr-trust/1"
QUANTITIES = ("volume", "surface")
_MOST_BYTES = 2**20
# What does not decide how wide an honest interval is: whose weights these are stands beside it.
_NO_SETTING = ("method", "weights_sha256", "precision")


@dataclass(frozen=True)
class Trust:
    """What was measured of a set of weights.

    Attributes
    ----------
    weights_sha256
        Of the weights' file.
    settings
        How samples were drawn when intervals were measured: the method's identity without its weights.
    intervals
        By quantity, ``volume`` and ``surface``; empty if none were measured.
    familiarity
        What the training cells look like; None if unknown.
    """

    weights_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    intervals: Mapping[str, IntervalCalibration] = field(default_factory=dict)
    familiarity: Familiarity | None = None


def trust_file(weights: Path) -> Path:
    """``dispr.trust.json`` beside ``dispr.safetensors``."""
    return weights.with_name(f"{weights.stem}.trust.json")


def sampling_settings(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method's identity what decides the spread of its samples, as JSON gives it back."""
    chosen = {key: value for key, value in identity.items() if key not in _NO_SETTING}
    settings: dict[str, Any] = json.loads(json.dumps(chosen))
    return settings


def write_trust(path: Path, trust: Trust) -> None:
    """Write the file, whole or not at all.

    Raises
    ------
    WeightsError
        If it cannot be written.
    """
    content = {
        "format": FORMAT,
        "weights_sha256": trust.weights_sha256,
        "settings": dict(trust.settings),
        "intervals": {name: calibration.as_json() for name, calibration in trust.intervals.items()},
        "familiarity": None if trust.familiarity is None else trust.familiarity.as_json(),
    }
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_trust(path: Path) -> Trust:
    """Read the file.

    Raises
    ------
    WeightsError
        If it is missing, damaged or of another format.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is far too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
        digest, settings = str(content["weights_sha256"]), dict(content["settings"])
        intervals = {
            name: calibration_from(content["intervals"][name], path)
            for name in QUANTITIES
            if name in content["intervals"]
        }
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: cannot be read as what is known of its weights ({error}). Delete it to go without: "
            "the shapes do not depend on it."
        ) from error
    known = content.get("familiarity")
    return Trust(digest, settings, intervals, None if known is None else familiarity_from(known, path))


def trust_of(method: Method, notify: Callable[[str], None] = lambda message: None) -> Trust | None:
    """Find what holds for a method as it stands; None for methods of which nothing was measured.

    Parameters
    ----------
    method
        Loaded; peers and folds of weights have no such file.
    notify
        Called with a sentence when intervals will be missing from the table.

    Raises
    ------
    WeightsError
        If the file is there and damaged.
    """
    weights = getattr(getattr(method, "checkpoint", None), "path", None)
    if weights is None:
        return None
    identity: dict[str, Any] = method.identity()
    path = trust_file(weights)
    if not path.exists():
        notify(f"{path.name} is not there: the table will have no intervals and no unlike_training")
        return None
    trust = read_trust(path)
    if trust.weights_sha256 != identity.get("weights_sha256"):
        notify(f"{path.name} is of other weights: the table will have no intervals and no unlike_training")
        return None
    settings = sampling_settings(identity)
    if trust.intervals and trust.settings != settings:
        keys = sorted(settings.keys() | trust.settings.keys())
        differing = [key for key in keys if settings.get(key) != trust.settings.get(key)]
        notify(f"intervals were measured with another {', '.join(differing)}: the table will have none")
        return dataclasses.replace(trust, intervals={})
    if not trust.intervals:
        notify("no intervals were measured for these weights: the table will have none")
    return trust
