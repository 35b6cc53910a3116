"""A folder, a manifest or a file becomes cells: reading, pairing, cropping, phantoms."""
