"""The data doctor: examines every image and folder of a dataset and returns a `Diagnosis`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.diagnosis import Diagnosis, make_finding
from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.checks.fingerprints import Fingerprints
from tlkit.data.checks.gray_thumbnails import MAX_KEPT_THUMBNAILS, GrayThumbnails
from tlkit.data.checks.image_examination import ImageExamination, examine_file
from tlkit.data.checks.mask_check import OF_IMAGE, REMEDIES, CheckedMask, examine_masks, with_pixels
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.entries import Survey
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import Root, source_name, survey_images
from tlkit.data.sources.walk import unnamed_image
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, Samples
from tlkit.spelling import names_alike

FindMore = Callable[[Samples, npt.NDArray[np.intp], DuplicateSet, GrayThumbnails], DuplicateSet]
FindingItem = tuple[str, tuple[str, ...]]
"""The text about one item of a finding, and its files."""
FEW_IMAGES, IMBALANCE = 10, 10
MASK_KINDS = dict(zip(REMEDIES, ("mask-unusable", "mask-size", "mask-values"), strict=True))
"""Kinds of finding by what is wrong with a mask."""


def diagnose(
    root: Root,
    *,
    manifest: str | Path | None = None,
    options: ListOptions = ListOptions(),
    faces: bool = False,
    decode_options: DecodeOptions = DecodeOptions(),
    workers: int | None = None,
    find_more: FindMore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Diagnosis, Samples]:
    """Return what would spoil a training or its scores, in the images and folders of a dataset.

    Every file is decoded in full, in parallel; nothing is changed. Needs about 1.5 kB of memory an image; with
    `find_more` another 4 kB for each of up to 20,000.

    Args:
        root: a folder, several of them, a list of images or tar shards, as for training (see `read_samples`). Of a list
            or shards only the named images are examined, not other files in their folders.
        manifest: a file that lists the images below `root`.
        options: how a list is read.
        faces: detect faces as well, with OpenCV's frontal cascade; slow, and neither complete nor exact.
        decode_options: pixel limit and background color of decoding.
        workers: number of threads; default: one per core. Pillow releases the GIL while it decodes.
        find_more: finds further copies, given the images, the rows of readable ones, the known copies, and the known
            gray thumbnails.
        progress: called from this thread with (images done, images in all).

    Returns:
        The findings, and the images with their digests, as `write_quarantine` takes them.

    Raises:
        DataError: a folder, list or shard is missing, or the list is no list.
    """
    survey = survey_images(root, manifest=manifest, options=options)
    samples = survey.samples
    examine = partial(
        examine_file,
        samples.root,
        real_root=os.path.realpath(samples.root),
        decode_options=decode_options,
        faces=faces,
        gray_thumbnails=find_more is not None and len(samples) <= MAX_KEPT_THUMBNAILS,
    )
    examined = map_files(examine, samples.table[PATH].tolist(), workers=workers, progress=progress)
    samples = samples.with_table(samples.table.assign(**{DIGEST: [found.digest for found in examined]}))
    masks: list[CheckedMask] = []
    if samples.masks is not None:
        masks = examine_masks(samples)
        samples = with_pixels(samples, masks)
    prints = Fingerprints.of([f.digest for f in examined], [f.fingerprint for f in examined])
    duplicates = find_copies(samples, prints, decode_options)
    if find_more is not None:
        gray_thumbnails = {f.digest: f.gray_thumbnail for f in examined if f.gray_thumbnail is not None}
        duplicates = find_more(samples, np.flatnonzero([not f.reason for f in examined]), duplicates, gray_thumbnails)
    items: dict[str, list[FindingItem]] = defaultdict(list)  # by kind of finding
    items["layout"] = [(problem, ()) for problem in survey.problems]
    _add_skipped(survey, items)
    _add_class_findings(samples, items)
    for path, found in zip(samples.table[PATH], examined, strict=True):
        for kind, details in found.kinds.items():
            items[kind].append((f"{path} ({details})" if details else path, (path,)))
    _add_masks(samples, masks, items)
    _add_duplicates(samples, masks, duplicates, items)
    findings = tuple(
        make_finding(
            kind, [text for text, _ in items[kind]], files=[path for _, files in items[kind] for path in files]
        )
        for kind in KINDS
        if items.get(kind)
    )
    diagnosis = Diagnosis(
        source=source_name(root) if manifest is None else str(manifest),
        root=str(samples.root),
        images=len(samples),
        classes=samples.classes,
        splits=samples.split_sizes(),
        findings=findings,
        quarantine=_quarantine(samples, examined, masks, duplicates, survey),
        listed_in=survey.listed_in,
        entries=survey.entries.counts,
    )
    return diagnosis, samples


def _add_skipped(survey: Survey, items: dict[str, list[FindingItem]]) -> None:
    """Add the entries that are not read; a file of another name is opened, since it may be an image all the same."""
    root, paths = survey.samples.root, set(survey.samples.table[PATH])
    for entry in sorted((*survey.entries.excluded, *survey.entries.skipped), key=lambda one: one.name):
        found = unnamed_image(entry, root) if entry.kind == "not-by-name" and not survey.listed_in else entry
        items[found.kind].append((str(found), (found.name,) if found.name in paths else ()))
    items["empty-class"] = [(name, ()) for name in survey.empty_classes]


def _add_class_findings(samples: Samples, items: dict[str, list[FindingItem]]) -> None:
    counts = samples.counts()
    present = [split for split in SPLITS if counts[split].sum()]
    train: Mapping[str, int] = {str(name): int(count) for name, count in counts["train"].items()}
    most = max(train.values(), default=0)
    items["case-collisions"] = [(" and ".join(map(repr, names)), ()) for names in names_alike(samples.classes)]
    for name, count in train.items():
        if 0 < count < FEW_IMAGES:
            items["few-images"].append((f"{name} ({count})", ()))
        if 0 < count * IMBALANCE <= most:
            items["imbalance"].append((f"{name} ({count} of at most {most})", ()))
        lacking = [split for split in present if split != "train" and not counts.loc[name, split]]
        if lacking:
            items["absent-class"].append((f"{name} (in {' and '.join(lacking)})", ()))


def _add_masks(samples: Samples, masks: Sequence[CheckedMask], items: dict[str, list[FindingItem]]) -> None:
    """Add masks that cannot be used, or say nothing; those of unreadable images are not named twice."""
    for path, mask, found in zip(samples.table[PATH], samples.table[LABEL], masks, strict=bool(masks)):
        if found.kind and not found.reason.startswith(OF_IMAGE):
            items[MASK_KINDS[found.kind]].append((f"{mask} ({found.reason})", (path,)))
        elif not found.kind and not sum(found.pixels):
            items["void-mask"].append((mask, (path,)))


def _differing(samples: Samples, masks: Sequence[CheckedMask], duplicates: DuplicateSet) -> Iterator[tuple[int, ...]]:
    """Yield the rows of one picture with several labels, or masks that give a pixel several classes.

    Masks are compared by the classes of their pixels, however their files store them; one that cannot be used says
    nothing.
    """
    if samples.masks is None:
        yield from duplicates.across(samples.table[LABEL].tolist())
        return
    for group in duplicates.groups:
        usable = tuple(row for row in group if not masks[row].kind)
        if len({masks[row].meaning for row in usable}) > 1:
            yield usable


def _add_duplicates(
    samples: Samples, masks: Sequence[CheckedMask], duplicates: DuplicateSet, items: dict[str, list[FindingItem]]
) -> None:
    paths = samples.table[PATH].tolist()
    splits, labels = samples.table[SPLIT].tolist(), samples.table[LABEL].tolist()
    for kind, groups in (
        ("across-splits", duplicates.across(splits)),
        ("across-labels", _differing(samples, masks, duplicates)),
        ("copies", _within_a_split(duplicates, splits)),
    ):
        for group in groups:
            files = tuple(paths[row] for row in group)
            items[kind].append((" = ".join(files), files))
    for pair in duplicates.near:
        files = (paths[pair.first], paths[pair.second])
        apart = [
            " and ".join(sorted({values[pair.first], values[pair.second]}))
            for values in ((splits,) if samples.masks is not None else (splits, labels))
            if values[pair.first] != values[pair.second]
        ]
        items["near-duplicates"].append((" ~ ".join(files) + (f" ({'; '.join(apart)})" if apart else ""), files))


def _within_a_split(duplicates: DuplicateSet, splits: list[str]) -> Iterator[tuple[int, ...]]:
    for group in duplicates.groups:
        for split in SPLITS:
            rows = tuple(row for row in group if splits[row] == split)
            if len(rows) > 1:
                yield rows


def _quarantine(
    samples: Samples,
    examined: Sequence[ImageExamination],
    masks: Sequence[CheckedMask],
    duplicates: DuplicateSet,
    survey: Survey,
) -> tuple[tuple[str, str], ...]:
    """Return path and reasons of the images to quarantine, sorted by path."""
    paths = samples.table[PATH].tolist()
    splits, labels = samples.table[SPLIT].tolist(), samples.table[LABEL].tolist()
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, found in zip(paths, examined, strict=True):
        if found.reason:
            reasons[path].append(found.reason)
    for path, mask in zip(paths, masks, strict=bool(masks)):
        if mask.kind and not reasons[path]:
            reasons[path].append(f"its mask: {mask.reason}")
    for entry in survey.entries.skipped:
        if entry.kind == "listed-again":
            reasons[entry.name].append(f"the list names it again, as {entry.reason}")
    for group in duplicates.across(splits):
        held = [paths[row] for row in group if splits[row] != "train"]
        for row in group:
            if splits[row] == "train":
                reasons[paths[row]].append(f"shows the same picture as {held[0]}")
    for group in _differing(samples, masks, duplicates):
        named = " and ".join(sorted({labels[row] for row in group}))
        for row in group:
            reasons[paths[row]].append(f"the same picture is labelled {named}")
    return tuple((path, "; ".join(reasons[path])) for path in sorted(reasons) if reasons[path])


def thumbnails(diagnosis: Diagnosis) -> dict[str, str]:
    """Return small JPEGs, base64, of the first eight readable files of every finding, by path."""
    return draw_thumbnails(diagnosis.root, (path for finding in diagnosis.findings for path in finding.files[:8]))
