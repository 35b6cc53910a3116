"""Every default of the program, once.

Frozen dataclasses that explain each knob with the symbol of its paper; the
commands read their defaults from here, and a checkpoint carries the
:class:`DenoiserConfig` it was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

from dispr_cli.errors import ConfigError
from dispr_cli.setting_ranges import MOST_SEED, Number, OneOf, Range, Whole, check_settings

GRID = 64
"""Voxels along each axis of a reconstructed volume, and pixels along each side of a crop."""

SURFACE_LEVEL = 127.5
"""Where the surface of a cell lies in the uint8 occupancies of a volume: half inside."""

FOREGROUND = 128
"""The smallest occupancy that counts as inside the cell."""

FOCAL_SLICE = GRID // 2
"""Plane of the grid, along z, that image and mask show."""

SAMPLERS = ("euler", "ddim", "ddpm", "heun", "dpmpp-2m")
"""Names of the samplers; each is described in :mod:`dispr_cli.diffusion.sampler`."""

METHODS = ("dispr", "dispr2022", "shapr", "shapr-topo", "cylinder", "ellipsoid", "inflate", "nearest")
"""Names of the methods, ours first; each is loaded by :mod:`dispr_cli.methods`."""

SAMPLING_METHODS = ("dispr", "dispr2022")
"""Those that draw shapes; the others have one answer, and more samples of it would be copies."""

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Shape of the network and of the noise it was trained against.

    Attributes
    ----------
    patch
        Side of the space-to-depth patch: a 64³ volume becomes (64/patch)³ tokens of patch³ values.
    channels
        Channels at the 16³ and at the 8³ level.
    blocks
        Residual blocks on the way down (and again on the way up) at 16³, and in the middle at 8³.
    condition_channels
        Channels of the 2D condition encoder at 16² and at 8².
    condition_blocks
        Residual blocks of the condition encoder at each of its two levels.
    embedding
        Width of the noise-level embedding that modulates every block (FiLM).
    attention_heads
        Heads of the attention block over the 512 tokens of the 8³ level.
    clip_distance
        Voxels at which the signed distance field is clipped; the field is divided by it.
    sigma_data
        Standard deviation of the clipped field over the training set (EDM, sigma_data).
    sigma_mean, sigma_std
        Mean and standard deviation of ln(sigma) in training (EDM, P_mean and P_std). High, because
        neighbouring voxels are redundant: the volume of a cell is only hidden by sigma ~ 100.
    sigma_min, sigma_max
        Range of noise levels that sampling uses.
    spread
        What the noise of a sampler's first step is multiplied by. With 1 the samples of a cell differ as
        the shapes of training examples that look like it do, augmented ones included; below 1, less.
    sharpening
        How much the first estimate is sharpened before the second step (unsharp masking); 0 is not at all.
    """

    patch: int = 4
    channels: tuple[int, int] = (32, 128)
    blocks: tuple[int, int] = (1, 2)
    condition_channels: tuple[int, int] = (128, 192)
    condition_blocks: int = 2
    embedding: int = 256
    attention_heads: int = 4
    clip_distance: float = 4.0
    sigma_data: float = 0.8
    sigma_mean: float = 1.6
    sigma_std: float = 1.4
    sigma_min: float = 3.0
    sigma_max: float = 200.0
    spread: float = 0.6
    sharpening: float = 1.0

    def __post_init__(self) -> None:
        # A file of weights says these numbers: nothing may be built of them before they are known sound.
        sizes = {"patch": 32, "condition_blocks": 64, "embedding": 4096, "attention_heads": 64}
        for name, most in sizes.items():
            _check_sizes(name, (getattr(self, name),), 1, 0 if name == "condition_blocks" else 1, most)
        for name, least, most in (("channels", 1, 1024), ("condition_channels", 1, 1024), ("blocks", 0, 64)):
            _check_sizes(name, getattr(self, name), 2, least, most)
        if self.patch not in (2, 4, 8, 16, 32):
            raise ConfigError(
                f"patch is {self.patch}: expected 2, 4, 8, 16 or 32, which divide a volume twice"
            )
        for width in (*self.channels, *self.condition_channels):
            if width % max(1, width // 16):
                raise ConfigError(f"a width is {width} channels: expected fewer than 32, or a multiple of 16")
        if self.channels[1] % self.attention_heads:
            raise ConfigError(
                f"attention_heads is {self.attention_heads}: expected a divisor of the {self.channels[1]}"
            )
        for name in ("clip_distance", "sigma_data", "sigma_std", "sigma_min", "sigma_max"):
            Number(1e-6, 1e4).check(name, getattr(self, name))
        Number(-1e4, 1e4).check("sigma_mean", self.sigma_mean)
        Number(0.0, 1e4).check("spread", self.spread)
        Number(0.0, 2.0).check("sharpening", self.sharpening)
        if self.sigma_min > self.sigma_max:
            raise ConfigError(f"sigma_min is {self.sigma_min}: expected at most sigma_max, {self.sigma_max}")


def _whole(called: str, value: object, least: int, most: int, expected: str) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most:
        return int(value)
    raise ConfigError(f"{called} is {value!r}: expected {expected}")


def _check_sizes(name: str, sizes: object, count: int, least: int, most: int) -> None:
    fits = isinstance(sizes, tuple) and len(sizes) == count
    if not fits or not all(type(size) is int and least <= size <= most for size in sizes):  # type: ignore[attr-defined]
        shown = sizes[0] if isinstance(sizes, tuple) and count == 1 else sizes
        expected = "a whole number" if count == 1 else f"{count} whole numbers"
        raise ConfigError(f"{name} is {shown!r}: expected {expected} from {least} to {most}")


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How samples are drawn from a denoiser.

    Attributes
    ----------
    sampler
        One of :data:`SAMPLERS`.
    num_steps
        Noise levels visited; ``heun`` evaluates the denoiser twice at each but the last.
    eta
        Share of fresh noise in each step of ``ddim`` (0: none, 1: as much as ``ddpm``).
    orientations
        How many of the eight in-plane orientations the samples of a cell are drawn in, by turns.
    balance
        Samples of a cell whose noise adds up to nothing, so that together they stand for their distribution
        better than independent ones do; 1 for independent samples.
    spread
        How different the samples of a cell are: the noise of the first step is multiplied by this and by the
        spread of the weights. 1 as calibrated, 0 for the best guess alone.
    """

    sampler: str = "ddpm"
    num_steps: int = 2
    eta: float = 0.0
    orientations: int = 8
    balance: int = 5
    spread: float = 1.0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(
                f"unknown sampler {self.sampler!r}: expected one of {', '.join(SAMPLERS)} (--sampler)"
            )
        wholes = {
            "num_steps": ("--steps (num_steps)", 10_000),
            "orientations": ("orientations", 8),
            "balance": ("balance", 64),
        }
        for name, (called, most) in wholes.items():
            expected = f"a whole number from 1 to {most}"
            object.__setattr__(self, name, _whole(called, getattr(self, name), 1, most, expected))
        for name, most in (("eta", 1), ("spread", 10)):
            value = getattr(self, name)
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= most:
                raise ConfigError(f"--{name} is {value!r}: expected a number from 0 to {most}")
            object.__setattr__(self, name, float(value))


@dataclass(frozen=True, slots=True)
class ReconstructConfig:
    """One run of ``dispr reconstruct``.

    Attributes
    ----------
    num_samples
        Shapes drawn for each cell.
    seed
        Together with a cell's pixels and the sample's index it decides the noise, and nothing else does.
    cells_at_once
        Cells handed to the method in one call; 0: :func:`dispr_cli.pipeline.choose_cells_at_once` decides.
        More take more memory, too few leave places of the method's micro-batches empty, and no shape depends
        on it. How many volumes its network denoises in one call is the method's own, halved when memory runs
        out (:class:`dispr_cli.diffusion.micro_batches.MicroBatchedMethod`).
    device, precision
        Where and in which number format the network runs; ``auto`` picks the fastest that is there.
    """

    num_samples: int = 5
    seed: int = 0
    cells_at_once: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        wholes = {
            "num_samples": ("--samples (num_samples)", 1, 1000, "a whole number from 1 to 1000"),
            "seed": ("--seed", 0, 2**63 - 1, "a whole number from 0 to 2**63 - 1"),
            "cells_at_once": (
                "--batch-size (cells_at_once)",
                0,
                4096,
                "auto or a whole number from 1 to 4096",
            ),
        }
        for name, (called, least, most, expected) in wholes.items():
            # NumPy's whole numbers are welcome; what comes of them must not differ from Python's.
            object.__setattr__(self, name, _whole(called, getattr(self, name), least, most, expected))
        OneOf(DEVICES).check("device", self.device)
        OneOf(PRECISIONS).check("precision", self.precision)


FINE_TUNING_RATE = 1e-4
"""Learning rate of a training that starts from weights, unless another is given."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One run of ``dispr train``.

    Attributes
    ----------
    num_examples
        Training examples seen in all, augmented copies counted.
    batch_size, learning_rate, weight_decay, warmup
        AdamW with a linear warm-up over ``warmup`` steps, then a cosine down to zero.
    ema_half_life
        Examples after which a weight's share in the running average has halved, capped at a tenth of
        the examples seen so far (EDM, EMA half-life with ramp-up).
    validation_fraction
        Share of the cells held out for the printed metrics.
    checkpoint_minutes
        Minutes between checkpoints (weights, average, optimiser, random state).
    z_stretch, z_asymmetry
        Standard deviations of the random scaling of an example along z: the same above and below the
        focal plane, and opposite (natural logarithm).
    scale, shear
        The same for the size of the whole example, and for its in-plane anisotropy.
    elastic
        Standard deviation of the smooth in-plane bending, in pixels.
    condition_dropout
        Share of examples whose image is hidden (the mask stays).
    dropout
        Share of the channels that say what image and mask show, silenced at random.
    area_weight
        Weight of the squared relative error of the surface area, at low noise levels.
    score_share
        Share of the examples at the highest noise level, where estimates are trained to be samples by an
        energy score (:mod:`dispr_cli.diffusion.energy_score`); the others are trained to be means.
    """

    num_examples: int = 100_000
    batch_size: int = 64
    learning_rate: float = 8e-4
    weight_decay: float = 0.02
    warmup: int = 100
    ema_half_life: float = 6000.0
    validation_fraction: float = 0.15
    checkpoint_minutes: float = 2.0
    z_stretch: float = 0.15
    z_asymmetry: float = 0.1
    scale: float = 0.08
    shear: float = 0.04
    elastic: float = 0.5
    condition_dropout: float = 0.0
    dropout: float = 0.2
    area_weight: float = 4.0
    score_share: float = 0.6
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_settings(self, {**TRAINING_RANGES, **_OUR_RANGES})


TRAINING_RANGES: Mapping[str, Range] = {
    "num_examples": Whole(1, 10**12),
    "batch_size": Whole(1, 2**16),
    "learning_rate": Number(0.0, 10.0, above=True),
    "weight_decay": Number(0.0, 100.0),
    "validation_fraction": Number(0.0, 0.9, below=True),
    "checkpoint_minutes": Number(0.0, 1e6, above=True),
    "seed": Whole(0, MOST_SEED),
    "device": OneOf(DEVICES),
    "precision": OneOf(PRECISIONS),
}
"""What the settings that trainings share may be; a method adds its own."""

_OUR_RANGES: Mapping[str, Range] = {
    "warmup": Whole(1, 10**12),
    "ema_half_life": Number(0.0, 1e12, above=True),
    **dict.fromkeys(("z_stretch", "z_asymmetry", "scale", "shear"), Number(0.0, 1.0)),
    "elastic": Number(0.0, GRID / 4),
    "condition_dropout": Number(0.0, 1.0),
    "dropout": Number(0.0, 1.0, below=True),
    "area_weight": Number(0.0, 1e6),
    "score_share": Number(0.0, 1.0, below=True),
}
