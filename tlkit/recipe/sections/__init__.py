"""The sections of a recipe, one module each: keys with type, range, default and meaning; and their cross-checks."""
