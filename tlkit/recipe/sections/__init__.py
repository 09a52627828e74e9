"""The sections of a recipe, a module each: every key with its type, range, default and meaning."""
