"""Training: a recipe made concrete, its networks trained, stopped and resumed, on one device or several; with torch."""

import tlkit.torchvision_cure  # noqa: F401  before Lightning, which imports torchvision
