"""Fixtures: features that can be learnt."""

from feature_fixtures import make_features  # noqa: F401
