"""Features: what the backbone says of an image, computed once and kept; and the heads that learn from it."""

from tlkit.features.cache import FeatureCache
from tlkit.features.features import Features, Provenance, View

__all__ = ["FeatureCache", "Features", "Provenance", "View"]
