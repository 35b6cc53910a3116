"""Which cells of which stores are compared with which truths, and what is written of it."""
