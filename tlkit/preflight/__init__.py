"""Settings derived from a recipe, and checks of its dataset, without torch."""
