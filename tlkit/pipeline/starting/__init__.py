"""The steps of a fit before torch is imported: questions to the recipe, its dataset, an earlier run of its name."""
