"""Loads a dataset: lists, checks, splits and relabels images, and finds leaks between splits. Needs no torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tlkit.choices import OnLeak
from tlkit.data.checks.alike_table import ALIKE, alike_table
from tlkit.data.checks.box_check import check_boxes
from tlkit.data.checks.bursts import find_bursts
from tlkit.data.checks.gray_thumbnails import GrayThumbnails
from tlkit.data.checks.image_check import CheckedImages, check_images
from tlkit.data.checks.label_decisions import apply_decisions, read_decisions
from tlkit.data.checks.leaks import Leaks, find_leaks, handle_leaks, log_near_duplicates, warn_of_label_conflicts
from tlkit.data.checks.mask_check import check_masks
from tlkit.data.checks.quarantine import exclude_quarantined
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.annotations import without_undecided
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.manifest import apply_split, require_as_listed
from tlkit.data.sources.read_samples import Root, is_list, is_shard, read_with_columns
from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.errors import DataError
from tlkit.samples import PATH, SPLITS, Samples

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedDataset:
    """The images of a run with the findings of the check.

    Attributes:
        samples: the readable images of all splits, with labels, splits, digests and groups.
        checked: the findings of the check; None without a check.
        leaks: the images of val and test that are also in an earlier split, before any were dropped; None
            without a check.
        alike: pairs of images whose pictures are alike, as `alike_table` gives them; empty without a check.
        sizes: `height`, `width` and `is_jpeg` of each image by path; None without a check.
    """

    samples: Samples
    checked: CheckedImages | None = None
    leaks: Leaks | None = None
    alike: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(ALIKE)))
    sizes: pd.DataFrame | None = None

    @property
    def excluded(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of each unreadable image; empty without a check."""
        return () if self.checked is None else self.checked.excluded

    @property
    def gray_thumbnails(self) -> GrayThumbnails:
        """Gray thumbnails of the images by digest; empty where `load` kept none."""
        return {} if self.checked is None else self.checked.gray_thumbnails


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where images come from, and how they are checked, split and relabelled.

    Attributes:
        root: a folder, several, a file that lists images, tar shards (see `read_samples`), or samples.
        plan: shares that are held out.
        manifest: a CSV or Parquet file that lists the images; its paths are relative to `root`.
        shards: tar files in WebDataset's format, or patterns of them, in place of a folder.
        split: a CSV file that states the split of each image; then nothing is held out.
        metadata: a CSV file keyed by `path`.
        groups: the column or columns of `metadata`, `manifest` or `shards` to keep as group columns.
        quarantine: a manifest of images to exclude.
        labels: the file or files of decisions, which relabel or drop images after the split.
        on_leak: what happens to images of val and test that are also in an earlier split.
        decode_options: pixel limit of decoding.
        check: decode every image; without the check, digests are unknown and bad files are found in training.
        options: how lists, labels and columns are read.

    Example:
        >>> plan = SplitPlan(val=0.2, test=0.2)
        >>> Source(root="photos", plan=plan, metadata="photos/meta.csv", groups=("light",)).plan.val
        0.2
    """

    root: Root | Samples = ()
    plan: SplitPlan = SplitPlan()
    manifest: str | Path | None = None
    shards: str | Sequence[str] = ()
    split: str | Path | None = None
    metadata: str | Path | None = None
    groups: str | Sequence[str] = ()
    quarantine: str | Path | None = None
    labels: str | Path | Sequence[str | Path] = ()
    on_leak: OnLeak = "warn"
    decode_options: DecodeOptions = DecodeOptions()
    check: bool = True
    options: ListOptions = ListOptions()

    def __post_init__(self) -> None:
        root = self.root
        is_folder = isinstance(root, str | Path) and not is_list(root) and not is_shard(root) and not self.shards
        if self._columns and is_folder and self.metadata is None and self.manifest is None:
            raise DataError(f"The groups {', '.join(self._columns)} need a metadata CSV file. Set metadata.")

    @property
    def _groups(self) -> Sequence[str]:
        return (self.groups,) if isinstance(self.groups, str) else self.groups

    @property
    def _labels(self) -> Sequence[str | Path]:
        return (self.labels,) if isinstance(self.labels, str | Path) else self.labels

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns for groups and for the split."""
        return tuple(dict.fromkeys((*self._groups, *self.plan.columns)))

    def load(
        self,
        *,
        gray_thumbnails: bool = False,
        progress: Callable[[int, int], None] | None = None,
        before_decoding: Callable[[], None] | None = None,
    ) -> LoadedDataset:
        """Return the images, checked, split and relabelled; what was changed is logged.

        Args:
            gray_thumbnails: keep gray thumbnails of the images; see `check_images`.
            progress: called with (images checked, images in all).
            before_decoding: called once the images are listed, before the first is decoded.

        Raises:
            DataError: the folder, the metadata or the shares cannot be used.
        """
        checked: CheckedImages | None = None
        leaks: Leaks | None = None
        alike = pd.DataFrame(columns=list(ALIKE))
        samples = listed = self._read()
        if self.quarantine is not None:
            samples = listed = exclude_quarantined(samples, self.quarantine)
        for file in self._labels:
            read_decisions(file, classes=samples.classes)  # raises before the images are read
        if before_decoding is not None:
            before_decoding()
        if self.check:
            checked = check_images(
                samples, gray_thumbnails=gray_thumbnails, decode_options=self.decode_options, progress=progress
            )
            samples = checked.samples
            if self.split is not None:
                require_as_listed(listed, checked.samples, file=self.split)
        if samples.task == "segmentation":
            samples = check_masks(samples, None if checked is None else checked.sizes)
        if samples.task == "detection" and checked is not None:
            check_boxes(samples, checked.sizes)
        if self.split is None:
            samples = hold_out(samples, self.plan)
        before, samples = samples, without_undecided(apply_decisions(samples, self._labels))
        if checked is not None:
            kept = before.table[PATH].isin(samples.table[PATH]).to_numpy()
            found = find_copies(samples, checked.fingerprints.take(kept), self.decode_options)
            moments = [moment for moment, is_kept in zip(checked.moments, kept, strict=True) if is_kept]
            bursts = find_bursts(samples, moments, checked.fingerprints.take(kept))
            alike = alike_table(samples, found, bursts=bursts)
            if samples.task not in ("segmentation", "detection"):
                warn_of_label_conflicts(samples, found)
            leaks = find_leaks(samples, found, group_by=self.plan.group_by)
            log_near_duplicates(samples, found, leaks.table)
            samples = handle_leaks(samples, leaks, on_leak=self.on_leak)
        counts = samples.split_sizes()
        logger.info(
            "%d images %s: %s.",
            len(samples),
            label_words(samples),
            ", ".join(f"{split} {counts[split]}" for split in SPLITS),
        )
        if not counts["val"]:
            logger.info("No val images: training runs without validation.")
        given = self.root.group_columns if isinstance(self.root, Samples) else ()
        split_only = set(self.plan.columns) - {*self._groups, *given}
        sizes = None if checked is None else checked.sizes
        return LoadedDataset(samples.without_columns(split_only), checked, leaks, alike, sizes)

    def _read(self) -> Samples:
        """Return the table of images with the columns for groups and split, before images are held out."""
        samples = read_with_columns(
            self.root,
            columns=self._columns,
            metadata=self.metadata,
            manifest=self.manifest,
            shards=self.shards,
            options=self.options,
        )
        return apply_split(samples, self.split, with_digests=self.check) if self.split is not None else samples


def label_words(samples: Samples) -> str:
    """Return what the labels of images are, as words after "12 images".

    Example:
        >>> table = pd.DataFrame({"path": ["a.jpg"], "label": ["7.5"], "split": "train", "digest": ""})
        >>> label_words(Samples(Path(), (), table, "regression"))
        'with numbers from 7.5 to 7.5'
    """
    count = len(samples.classes)
    if samples.task == "regression":
        values = samples.target_values
        return f"with numbers from {values.min():g} to {values.max():g}" if len(values) else "with numbers"
    words = {"multilabel": f"with {count:,} labels", "ordinal": f"of {count:,} grades"}
    words["segmentation"] = f"with masks of {count:,} classes"
    words["detection"] = f"with boxes of {count:,} classes"
    return words.get(samples.task, f"of {count:,} classes")
