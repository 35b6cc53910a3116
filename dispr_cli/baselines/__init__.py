"""The peers: every other way to a 3D shape, behind the same interface as ours."""
