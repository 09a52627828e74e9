"""Fixtures: features that can be learned."""

from feature_fixtures import make_features  # noqa: F401
