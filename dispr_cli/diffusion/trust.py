"""What is known of how far weights can be trusted: a small JSON file beside them.

It holds for the weights that it names, each set of intervals for the sampler that it was measured with.
Weights without it reconstruct the same shapes; the columns of the table that it fills stay empty.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispr_cli.diffusion.familiarity import Familiarity, familiarity_from
from dispr_cli.diffusion.intervals import IntervalCalibration, calibration_from
from dispr_cli.durable import remove_partial_files, replace_bytes
from dispr_cli.errors import WeightsError
from dispr_cli.method import Method

FORMAT = "dispr-trust/2"
QUANTITIES = ("volume", "surface")
_MOST_BYTES = 2**20
# What does not decide how wide an honest interval is: whose weights these are stands beside it.
_NO_SETTING = ("method", "weights_sha256", "precision")


@dataclass(frozen=True)
class MeasuredIntervals:
    """Intervals, and what they were measured with.

    Attributes
    ----------
    settings
        How samples were drawn: the method's identity without its weights.
    intervals
        By quantity, ``volume`` and ``surface``.
    """

    settings: Mapping[str, Any]
    intervals: Mapping[str, IntervalCalibration]


@dataclass(frozen=True)
class Trust:
    """What was measured of a set of weights.

    Attributes
    ----------
    weights_sha256
        Of the weights' file.
    measured
        Intervals for each sampler that was tried; those of one method in what :func:`trust_of` returns.
    familiarity
        What the training cells look like; None if unknown.
    """

    weights_sha256: str
    measured: tuple[MeasuredIntervals, ...] = ()
    familiarity: Familiarity | None = None

    @property
    def intervals(self) -> Mapping[str, IntervalCalibration]:
        """Of the sampler that was tried first; empty if none was."""
        return self.measured[0].intervals if self.measured else {}

    def narrowed(self, settings: Mapping[str, Any]) -> Trust:
        """Keep what was measured with these settings."""
        fitting = tuple(one for one in self.measured if one.settings == settings)
        return dataclasses.replace(self, measured=fitting)


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
        "measured": [
            {
                "settings": dict(one.settings),
                "intervals": {name: calibration.as_json() for name, calibration in one.intervals.items()},
            }
            for one in trust.measured
        ],
        "familiarity": None if trust.familiarity is None else trust.familiarity.as_json(),
    }
    try:
        remove_partial_files(path.parent, path.name)
        replace_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
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
        digest = str(content["weights_sha256"])
        measured = tuple(
            _measured(dict(one["settings"]), dict(one["intervals"]), path) for one in content["measured"]
        )
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: cannot be read as what is known of its weights ({error}). Delete it to go without: "
            "the shapes do not depend on it."
        ) from error
    known = content.get("familiarity")
    return Trust(digest, measured, None if known is None else familiarity_from(known, path))


def _measured(settings: dict[str, Any], intervals: dict[str, Any], path: Path) -> MeasuredIntervals:
    found = {name: calibration_from(intervals[name], path) for name in QUANTITIES if name in intervals}
    return MeasuredIntervals(settings, found)


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
    weights = method.weights_path
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
    known = trust.narrowed(settings)
    if known.intervals:
        return known
    if not trust.intervals:
        notify("no intervals were measured for these weights: the table will have none")
        return trust
    tried = trust.measured[0].settings
    keys = sorted(settings.keys() | tried.keys())
    differing = [key for key in keys if settings.get(key) != tried.get(key)]
    notify(f"intervals were measured with another {', '.join(differing)}: the table will have none")
    return known
