"""Data modules by plain options, as the tests vary them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tlkit.data.dataset_source import Source
from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.data.splits.hold_out import SplitPlan


def data_module(root: Any = (), **options: Any) -> ImageFolderDataModule:
    """Return the data module of a source; the options are those of the split plan, the source and the module."""
    plan = {field.name: options[field.name] for field in fields(SplitPlan) if field.name in options}
    source = {field.name: options[field.name] for field in fields(Source) if field.name in options}
    others = {name: value for name, value in options.items() if name == "seed" or name not in {**plan, **source}}
    return ImageFolderDataModule(Source(root=root, plan=SplitPlan(**plan), **source), **others)
