"""Where reconstructed volumes live: the OME-Zarr store, and exports from it."""
