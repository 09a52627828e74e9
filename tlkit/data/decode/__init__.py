"""Image files to 8-bit RGB pixels of a given size."""
