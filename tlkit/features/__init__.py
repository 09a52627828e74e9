"""Features of images, computed once by a frozen backbone and cached, and the heads that are fitted on them."""

from tlkit.features.cache import FeatureCache
from tlkit.features.features import Features, Provenance, View

__all__ = ["FeatureCache", "Features", "Provenance", "View"]
