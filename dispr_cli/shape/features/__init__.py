"""Morphological features of a shape and of its 2D image and mask, one file for each family."""
