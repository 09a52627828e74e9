"""The doctor looks at every image and every folder before epoch 0, and says what it found in a form to act on."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.diagnosis import Diagnosis, Finding, make_finding
from tlkit.data.checks.duplicates import DuplicateSet, Fingerprints, find_duplicates
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.checks.gray_thumbnails import MAX_KEPT_THUMBNAILS, GrayThumbnails
from tlkit.data.checks.image_examination import ImageExamination, examine_file
from tlkit.data.checks.thread_pool import map_files
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.data.decode.decoding import MAX_PIXELS
from tlkit.data.sources.folder import Ignored, Survey, case_collisions
from tlkit.data.sources.source import Root, source_name, survey_images
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, Samples

logger = logging.getLogger(__name__)

FindMore = Callable[[Samples, npt.NDArray[np.intp], DuplicateSet, GrayThumbnails], DuplicateSet]
Noted = tuple[str, tuple[str, ...]]
"""What is said about one item, and the files to show with it."""
FEW_IMAGES, IMBALANCE = 10, 10
IGNORED = {
    "junk": "junk",
    "not_images": "not-by-name",
    "loose": "loose",
    "loops": "loop",
    "broken": "broken-link",
    "undecodable": "not-utf8",
    "empty": "empty-class",
}
"""Kinds of finding by the fields of `Ignored`."""


def diagnose(
    root: Root,
    *,
    faces: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    find_more: FindMore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Diagnosis, Samples]:
    """Look at every image and folder of a dataset, and say what would spoil a training or its scores.

    Every file is decoded in full, in parallel; nothing is changed. The memory needed is about 1.5 kB an image;
    with `find_more` another 4 kB for each of up to 20,000.

    Args:
        root: a folder, several of them, a list of images or tar shards, as for training (see `read_samples`). Of a list
            or shards only what they name is looked at, not what lies beside it.
        faces: look for faces as well, with OpenCV's frontal cascade; slow, and neither complete nor exact.
        max_pixels: images of more pixels than this count as bombs.
        workers: number of threads; default: one per core. Pillow decodes without holding Python's lock.
        find_more: finds further copies, given the images, the rows of those that can be read, the known copies, and
            the looks that are known.
        progress: called from this thread with (images done, images in all).

    Returns:
        The findings, and the images with their digests, as a manifest needs them.

    Raises:
        DataError: a folder, list or shard is missing or cannot be read, or a list or shard is wrong.
    """
    survey = survey_images(root)
    samples = survey.samples
    looked = find_more is not None and len(samples) <= MAX_KEPT_THUMBNAILS
    examined = _examine_all(
        samples, gray_thumbnails=looked, faces=faces, max_pixels=max_pixels, workers=workers, progress=progress
    )
    samples = Samples(
        samples.root, samples.classes, samples.table.assign(**{DIGEST: [found.digest for found in examined]})
    )
    duplicates = find_duplicates(Fingerprints.of([f.digest for f in examined], [f.print for f in examined]))
    if find_more is not None:
        gray_thumbnails = {found.digest: found.look for found in examined if found.look is not None}
        duplicates = find_more(samples, np.flatnonzero([not f.reason for f in examined]), duplicates, gray_thumbnails)
    by_kind: dict[str, list[Noted]] = defaultdict(list)  # by kind
    for problem in survey.problems:
        by_kind["layout"].append((problem, ()))
    _note_folders(survey, by_kind)
    _note_classes(samples, by_kind)
    for path, found in zip(samples.table[PATH], examined, strict=True):
        words = dict(found.details)
        for kind in found.kinds:
            said = words.get(kind, found.reason if KINDS[kind].severity == "error" else "")
            by_kind[kind].append((f"{path} ({said})" if said else path, (path,)))
    _note_duplicates(samples, duplicates, by_kind)
    findings = tuple(_finding(kind, by_kind[kind]) for kind in KINDS if by_kind.get(kind))
    counts = samples.counts().sum()
    diagnosis = Diagnosis(
        source=source_name(root),
        root=str(samples.root),
        images=len(samples),
        classes=samples.classes,
        splits={split: int(counts[split]) for split in SPLITS},
        findings=findings,
        quarantine=_quarantine(samples, examined, duplicates),
        unchecked=survey.unchecked,
    )
    return diagnosis, samples


def _examine_all(
    samples: Samples,
    *,
    gray_thumbnails: bool,
    faces: bool,
    max_pixels: int,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> list[ImageExamination]:
    real_root = os.path.realpath(samples.root)

    def examine(path: str, noted: list[str]) -> ImageExamination:
        return examine_file(
            samples.root,
            path,
            real_root=real_root,
            max_pixels=max_pixels,
            faces=faces,
            look=gray_thumbnails,
            noted=noted,
        )

    return map_files(examine, samples.table[PATH].tolist(), workers=workers, progress=progress)


def _note_folders(survey: Survey, by_kind: dict[str, list[Noted]]) -> None:
    for field, kind in IGNORED.items():
        by_kind[kind] += [(item, ()) for item in _listed(survey.ignored, field)]


def _listed(ignored: Ignored, field: str) -> list[str]:
    items: list[str] = getattr(ignored, field)
    return sorted(items)


def _note_classes(samples: Samples, by_kind: dict[str, list[Noted]]) -> None:
    counts = samples.counts()
    present = [split for split in SPLITS if counts[split].sum()]
    train: Mapping[str, int] = {str(name): int(count) for name, count in counts["train"].items()}
    most = max(train.values(), default=0)
    by_kind["case-collisions"] += [(" and ".join(map(repr, twins)), ()) for twins in case_collisions(samples.classes)]
    for name, count in train.items():
        if 0 < count < FEW_IMAGES:
            by_kind["few-images"].append((f"{name} ({count})", ()))
        if 0 < count * IMBALANCE <= most:
            by_kind["imbalance"].append((f"{name} ({count} of at most {most})", ()))
        lacking = [split for split in present if split != "train" and not counts.loc[name, split]]
        if lacking:
            by_kind["absent-class"].append((f"{name} (in {' and '.join(lacking)})", ()))


def _note_duplicates(samples: Samples, duplicates: DuplicateSet, by_kind: dict[str, list[Noted]]) -> None:
    paths = samples.table[PATH].tolist()
    splits, labels = samples.table[SPLIT].tolist(), samples.table[LABEL].tolist()
    for kind, groups in (
        ("across-splits", duplicates.across(splits)),
        ("across-labels", duplicates.across(labels)),
        ("copies", _within(duplicates, splits)),
    ):
        for group in groups:
            by_kind[kind].append((" = ".join(paths[row] for row in group), tuple(paths[row] for row in group)))


def _within(duplicates: DuplicateSet, splits: list[str]) -> Iterator[tuple[int, ...]]:
    for group in duplicates.groups:
        for split in SPLITS:
            rows = tuple(row for row in group if splits[row] == split)
            if len(rows) > 1:
                yield rows


def _finding(kind: str, items: list[Noted]) -> Finding:
    return make_finding(kind, [item for item, _ in items], files=[path for _, shown in items for path in shown])


def _quarantine(
    samples: Samples, examined: list[ImageExamination], duplicates: DuplicateSet
) -> tuple[tuple[str, str], ...]:
    paths = samples.table[PATH].tolist()
    splits, labels = samples.table[SPLIT].tolist(), samples.table[LABEL].tolist()
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, found in zip(paths, examined, strict=True):
        if found.reason:
            reasons[path].append(found.reason)
    for group in duplicates.across(splits):
        held = [paths[row] for row in group if splits[row] != "train"]
        for row in group:
            if splits[row] == "train":
                reasons[paths[row]].append(f"shows the same picture as {held[0]}")
    for group in duplicates.across(labels):
        named = " and ".join(sorted({labels[row] for row in group}))
        for row in group:
            reasons[paths[row]].append(f"the same picture is labelled {named}")
    return tuple((path, "; ".join(reasons[path])) for path in sorted(reasons))


def thumbnails(diagnosis: Diagnosis, *, each: int = 8, side: int = 96) -> dict[str, str]:
    """Return small JPEGs, base64, of the first few files of every finding, by path; unreadable ones are left out."""
    shown = (path for finding in diagnosis.findings for path in finding.files[:each])
    return draw_thumbnails(diagnosis.root, shown, side=side)
