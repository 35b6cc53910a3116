"""Noise schedule, samplers, the denoiser and its training."""
