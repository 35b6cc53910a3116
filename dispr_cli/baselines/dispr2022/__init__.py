"""DISPR as published (Waibel et al., arXiv 2208.14125): a 3D U-Net on whole volumes, 1000 ancestral steps."""
