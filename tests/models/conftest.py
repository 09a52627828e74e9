"""Makes torchvision importable, for tests that import timm, torchvision or Lightning themselves."""

import tlkit.torchvision_cure  # noqa: F401
