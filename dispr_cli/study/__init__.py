"""Honest splits, calibration and the classification study."""
