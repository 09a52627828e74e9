"""Images from disk to batches: scanning, checking, splitting, decoding, augmenting, loading."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else Albumentations asks the network for its version
