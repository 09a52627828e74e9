"""Images from disk to batches: scanning, checking, splitting, decoding, augmenting, loading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tlkit.no_telemetry  # noqa: F401  before Albumentations

from tlkit.lazy_names import lazy_names

if TYPE_CHECKING:
    from tlkit.data.dataset_source import Source
    from tlkit.data.decode.decode_options import DecodeOptions
    from tlkit.data.importers.import_images import import_images
    from tlkit.data.importers.imported import Imported
    from tlkit.data.importers.torchvision_dataset import from_torchvision
    from tlkit.data.splits.few_shot import few_shot_lists
    from tlkit.data.splits.hold_out import SplitPlan

__all__ = ["DecodeOptions", "Imported", "Source", "SplitPlan", "few_shot_lists", "from_torchvision", "import_images"]

__getattr__ = lazy_names(
    "tlkit.data",
    {
        "DecodeOptions": "tlkit.data.decode.decode_options",
        "Imported": "tlkit.data.importers.imported",
        "Source": "tlkit.data.dataset_source",
        "SplitPlan": "tlkit.data.splits.hold_out",
        "few_shot_lists": "tlkit.data.splits.few_shot",
        "from_torchvision": "tlkit.data.importers.torchvision_dataset",
        "import_images": "tlkit.data.importers.import_images",
    },
)


def __dir__() -> list[str]:
    return __all__
