"""Fixtures of sweeps: a tiny recipe, and a working directory of its own for every test."""

from run_fixtures import in_a_folder_of_its_own, tiny_recipe  # noqa: F401
