"""SHAPR (Waibel et al., iScience 2022) and its topological loss (arXiv 2203.01703), soundly trained."""
