"""Fixtures: recipes and runs of a tiny data set; features that can be learned."""

from feature_fixtures import make_features  # noqa: F401
from run_fixtures import in_a_folder_of_its_own, tiny_recipe  # noqa: F401
