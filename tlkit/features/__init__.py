"""Features: what the backbone says of an image, computed once and kept; and the heads that learn from it."""
