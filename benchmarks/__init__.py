"""One script per question; ``python -m benchmarks.NAME`` from the root."""
