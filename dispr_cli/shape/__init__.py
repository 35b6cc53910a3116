"""Shape measures of volumes, compiled with Numba, and errors between volumes."""
