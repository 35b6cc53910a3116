"""Shapes of any source become one table of features."""
