"""Fixtures: recipes and runs of a tiny data set."""

from run_fixtures import in_a_folder_of_its_own, tiny_recipe  # noqa: F401
