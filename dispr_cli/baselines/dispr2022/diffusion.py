"""The diffusion DISPR was published with: linear betas, learned variance, hybrid loss.

Equation numbers are those of DDPM (Ho et al., arXiv 2006.11239), of Improved DDPM (Nichol
and Dhariwal, arXiv 2102.09672, "I") and of DDIM (Song et al., arXiv 2010.02502, "S").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dispr_cli.baselines.dispr2022.settings import TRAINING_STEPS
from dispr_cli.errors import ConfigError

Floats = NDArray[np.float64]


def linear_betas(num_steps: int = TRAINING_STEPS) -> Floats:
    """Variances of the forward steps, rising linearly from 0.0001 to 0.02 for 1000 steps (section 4).

    Returns
    -------
    (num_steps,) float64; with another number of steps the ends scale so that the noise at the end is alike.
    """
    scale = TRAINING_STEPS / num_steps
    return np.linspace(scale * 1e-4, scale * 0.02, num_steps, dtype=np.float64)


@dataclass(frozen=True)
class Schedule:
    """Noise levels of a chain of steps.

    Attributes
    ----------
    timesteps
        (S,) timestep of the training schedule that the network is told at each step.
    betas, signal
        (S,) variance added at each step, and the share alpha-bar of the data's variance that is left.
    signal_before
        (S,) alpha-bar one step earlier; 1 at the first.
    """

    timesteps: NDArray[np.int64]
    betas: Floats
    signal: Floats
    signal_before: Floats

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def posterior_variance(self) -> Floats:
        """Variance of q(x_{t-1} | x_t, x_0), eq. 7; 0 at the first step."""
        return self.betas * (1.0 - self.signal_before) / (1.0 - self.signal)

    @property
    def least_log_variance(self) -> Floats:
        """Lower bound of the learned log variance: the posterior's; the first step takes the second's."""
        variance = self.posterior_variance
        return np.log(np.append(variance[1] if len(variance) > 1 else self.betas[0], variance[1:]))


def make_schedule(num_steps: int = TRAINING_STEPS, trained_steps: int = TRAINING_STEPS) -> Schedule:
    """Schedule of training, or ``num_steps`` evenly spaced levels of it (I, section 4).

    Raises
    ------
    ConfigError
        If more steps are asked for than there are, or none.
    """
    if not 1 <= num_steps <= trained_steps:
        raise ConfigError(
            f"--steps is {num_steps}: expected 1 to {trained_steps}, the network's noise levels"
        )
    signal: Floats = np.cumprod(1.0 - linear_betas(trained_steps), dtype=np.float64)
    timesteps = np.round(np.linspace(trained_steps - 1, 0, num_steps)[::-1]).astype(np.int64)
    kept = signal[timesteps]
    before = np.append(1.0, kept[:-1])
    betas = linear_betas(trained_steps) if num_steps == trained_steps else 1.0 - kept / before
    return Schedule(timesteps, betas, kept, before)


class Prediction(NamedTuple):
    """What the network's output says about one step back.

    Attributes
    ----------
    x0
        Expected clean volume.
    mean, log_variance
        Of p(x_{t-1} | x_t).
    """

    x0: torch.Tensor
    mean: torch.Tensor
    log_variance: torch.Tensor


class Loss(NamedTuple):
    """Hybrid loss of each example, (N,) (I, eq. 16).

    Attributes
    ----------
    mse
        Squared error of the noise.
    bound
        Term of the variational bound in bits per voxel; it trains the variance alone.
    """

    mse: torch.Tensor
    bound: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """Sum of both, as published (no weight on the bound)."""
        return self.mse + self.bound


class Diffusion:
    """Forward noise, predictions, steps back and loss for one schedule.

    All volumes are (N, 1, D, H, W); ``step`` is (N,) int64, an index into the schedule.

    Parameters
    ----------
    schedule
        From :func:`make_schedule`.
    device
        Where the volumes are.
    """

    def __init__(self, schedule: Schedule, device: torch.device | str = "cpu") -> None:
        self.schedule = schedule
        before, signal, betas = schedule.signal_before, schedule.signal, schedule.betas
        tables = {
            "keep_signal": np.sqrt(signal),
            "add_noise": np.sqrt(1.0 - signal),
            "x_to_x0": np.sqrt(1.0 / signal),
            "noise_to_x0": np.sqrt(1.0 / signal - 1.0),
            "mean_of_x0": betas * np.sqrt(before) / (1.0 - signal),
            "mean_of_x": (1.0 - before) * np.sqrt(1.0 - betas) / (1.0 - signal),
            "least": schedule.least_log_variance,
            "most": np.log(betas),
            "signal": signal,
            "signal_before": before,
        }
        self._tables = {name: torch.from_numpy(values).float().to(device) for name, values in tables.items()}
        self.timesteps = torch.from_numpy(schedule.timesteps).to(device)

    def _at(self, name: str, step: torch.Tensor) -> torch.Tensor:
        return self._tables[name][step].view(-1, 1, 1, 1, 1)

    def diffuse(self, x0: torch.Tensor, step: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Draw x_t given x_0 (eq. 4)."""
        return self._at("keep_signal", step) * x0 + self._at("add_noise", step) * noise

    def posterior_mean(self, x0: torch.Tensor, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """Mean of q(x_{t-1} | x_t, x_0) (eq. 7)."""
        return self._at("mean_of_x0", step) * x0 + self._at("mean_of_x", step) * x

    def predict(
        self, output: torch.Tensor, x: torch.Tensor, step: torch.Tensor, clip: bool = True
    ) -> Prediction:
        """Read the network's output at x_t.

        Parameters
        ----------
        output
            (N, 2, D, H, W) as :class:`~dispr_cli.baselines.dispr2022.unet.PublishedNetwork` returns it.
        clip
            Clip the expected clean volume to [-1, 1], as sampling does.
        """
        noise, share = output.float().chunk(2, 1)
        x0 = self._at("x_to_x0", step) * x - self._at("noise_to_x0", step) * noise
        x0 = x0.clamp(-1.0, 1.0) if clip else x0
        # I, eq. 15: the log variance lies between those of the posterior and of the forward step.
        log_variance = torch.lerp(self._at("least", step), self._at("most", step), 0.5 * (share + 1.0))
        return Prediction(x0, self.posterior_mean(x0, x, step), log_variance)

    def ancestral_step(
        self, prediction: Prediction, step: torch.Tensor, noise: torch.Tensor | None
    ) -> torch.Tensor:
        """Draw x_{t-1} (algorithm 2 of DDPM with the learned variance).

        The first step of the schedule, which is the last one taken, adds no noise; none is needed there.
        """
        if noise is None:
            return prediction.mean
        spread = (0.5 * prediction.log_variance).exp() * (step > 0).view(-1, 1, 1, 1, 1)
        return prediction.mean + spread * noise

    def ddim_step(
        self,
        prediction: Prediction,
        x: torch.Tensor,
        step: torch.Tensor,
        eta: float = 0.0,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Draw x_{t-1} as DDIM does (S, eq. 12 and 16); ``noise`` is needed if ``eta`` is not 0."""
        signal, before = self._at("signal", step), self._at("signal_before", step)
        direction = (self._at("x_to_x0", step) * x - prediction.x0) / self._at("noise_to_x0", step)
        fresh = eta * ((1.0 - before) / (1.0 - signal) * (1.0 - signal / before)).sqrt()
        x = prediction.x0 * before.sqrt() + (1.0 - before - fresh**2).sqrt() * direction
        return x if noise is None else x + fresh * noise

    def loss(
        self, output: torch.Tensor, x0: torch.Tensor, x: torch.Tensor, step: torch.Tensor, noise: torch.Tensor
    ) -> Loss:
        """Hybrid loss of the network's output at ``x = diffuse(x0, step, noise)``."""
        predicted, share = output.float().chunk(2, 1)
        mse = (predicted - noise).square().mean((1, 2, 3, 4))
        # The bound must not move the mean (I, section 3.1): the noise enters it as a constant.
        frozen = torch.cat([predicted.detach(), share], 1)
        return Loss(mse, self._bound(self.predict(frozen, x, step, clip=False), x0, x, step))

    def _bound(
        self, prediction: Prediction, x0: torch.Tensor, x: torch.Tensor, step: torch.Tensor
    ) -> torch.Tensor:
        """Term of the variational bound in bits per voxel, (N,) (eq. 5; at the first step eq. 13)."""
        true_mean, least = self.posterior_mean(x0, x, step), self._at("least", step)
        nats = _gaussian_divergence(true_mean, least, prediction.mean, prediction.log_variance)
        first = -_grey_log_likelihood(x0, prediction.mean, 0.5 * prediction.log_variance)
        nats = torch.where((step == 0).view(-1, 1, 1, 1, 1), first, nats)
        return nats.mean((1, 2, 3, 4)) / math.log(2.0)


def _gaussian_divergence(
    mean: torch.Tensor, log_variance: torch.Tensor, other_mean: torch.Tensor, other_log_variance: torch.Tensor
) -> torch.Tensor:
    """Kullback-Leibler divergence of two normal distributions, voxel by voxel, in nats."""
    ratio = log_variance - other_log_variance
    distance = (mean - other_mean).square() * (-other_log_variance).exp()
    return 0.5 * (ratio.exp() - 1.0 - ratio + distance)


def _grey_log_likelihood(x0: torch.Tensor, mean: torch.Tensor, log_deviation: torch.Tensor) -> torch.Tensor:
    """Log of the normal probability of the bin of 2 / 255 around each value, outer bins open (eq. 13)."""
    narrow, half_bin = (-log_deviation).exp(), 1.0 / 255.0
    above = _normal_cdf((x0 - mean + half_bin) * narrow)
    below = _normal_cdf((x0 - mean - half_bin) * narrow)
    above = torch.where(x0 > 0.999, torch.ones_like(above), above)
    below = torch.where(x0 < -0.999, torch.zeros_like(below), below)
    return (above - below).clamp_min(1e-12).log()


def _normal_cdf(x: torch.Tensor) -> torch.Tensor:
    """Approximate the normal distribution function as the published loss does (Page 1977)."""
    return 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
