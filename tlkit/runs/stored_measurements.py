"""Stores what commands measure on request with the run, and reads it for its report and its evidence."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tlkit.audit.error_examples import Neighbors, neighbors_from_dict
from tlkit.audit.heat_maps import HeatMaps
from tlkit.errors import TlkitError
from tlkit.evaluation.drift_report import DriftReport
from tlkit.evaluation.label_next_result import LabelNext
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.evaluation.unknown_report import UnknownReport
from tlkit.runs.directory import RunDirectory
from tlkit.runs.stored_judgements import store_judgements, stored_result, stored_results
from tlkit.tables import counted

if TYPE_CHECKING:
    from tlkit.exported.bench import Benchmark

T = TypeVar("T")

logger = logging.getLogger(__name__)

MOST_HEAT_MAPS = 200
MOST_IMAGE_SETS = 6
"""Sets of new images whose drift, or choice of images to label, is kept; those that were asked last stay."""


@dataclass(frozen=True)
class Measurements:
    """What commands measured of a split and stored with the run, as far as it can be read.

    Attributes:
        robustness: accuracy under corruptions; None if it was not measured.
        unknown: what the threshold for unknown images does; None if it was not measured.
        drift: comparisons with new images, by the name of the images.
        label_next: images to label next, by the name of the unlabelled images.
        speed: benchmarks, by processor.
        neighbors: nearest images by features; None = not known.
        heat: where in images the model looked; None = not known.
        unread: for each file that a newer tlkit wrote, or that is damaged, a sentence with its name and the remedy.
    """

    robustness: RobustnessReport | None
    unknown: UnknownReport | None
    drift: Mapping[str, DriftReport]
    label_next: Mapping[str, LabelNext]
    speed: Mapping[str, Benchmark]
    neighbors: Neighbors | None
    heat: HeatMaps | None
    unread: tuple[str, ...]


def read_measurements(directory: RunDirectory, split: str) -> Measurements:
    """Return what was measured of a split; a file that cannot be read is left out, with a warning that names it."""
    from tlkit.exported.bench import Benchmark  # imports scipy.stats

    unread: list[str] = []

    def one(file: Path, build: Callable[[Mapping[str, object]], T], command: str) -> T | None:
        with _left_out(file, unread):
            return stored_result(directory, file, split, build, remedy=_measure_again(directory, command))
        return None

    def all_of(file: Path, build: Callable[[Mapping[str, object]], T], command: str) -> dict[str, T]:
        with _left_out(file, unread):
            return stored_results(directory, file, build, remedy=_measure_again(directory, command))
        return {}

    return Measurements(
        robustness=one(directory.robustness, RobustnessReport.from_dict, "robustness RUN"),
        unknown=one(directory.unknown, UnknownReport.from_dict, "unknown RUN"),
        drift=all_of(directory.drift, DriftReport.from_dict, "drift RUN IMAGES"),
        label_next=all_of(directory.label_next, LabelNext.from_dict, "label-next RUN IMAGES"),
        speed=all_of(directory.bench, Benchmark.from_dict, "bench RUN"),
        neighbors=one(directory.neighbors, neighbors_from_dict, "slices RUN"),
        heat=one(directory.heat_maps, HeatMaps.from_dict, "explain RUN"),
        unread=tuple(unread),
    )


def _measure_again(directory: RunDirectory, command: str) -> str:
    return f"Delete it and run `tlkit {command.replace('RUN', str(directory.path))}` again."


@contextmanager
def _left_out(file: Path, unread: list[str]) -> Iterator[None]:
    """Turn an error in reading a file into a warning and a sentence of `unread`, which names the file."""
    try:
        yield
    except TlkitError as problem:
        named = str(problem) if str(file) in str(problem) else f"{file}: {problem}"
        unread.append(named)
        logger.warning("Left out: %s", named)


def store_robustness(directory: RunDirectory, report: RobustnessReport) -> None:
    """Store the robustness of a split in `robustness.json`; one of more corruptions that is there stays."""
    file = directory.robustness
    with _stored(directory, file):
        earlier = stored_result(directory, file, report.split, RobustnessReport.from_dict)
        if earlier is not None and len(earlier.corruptions) > len(report.corruptions):
            logger.info(
                "%s keeps the earlier result with %d corruptions; delete it to store this one.",
                file,
                len(earlier.corruptions),
            )
            return
        store_judgements(directory, file, {report.split: report.to_dict()})


def store_drift(directory: RunDirectory, name: str, report: DriftReport) -> None:
    """Store the comparison with a set of new images in `drift.json`, under the name of the set."""
    with _stored(directory, directory.drift):
        store_judgements(directory, directory.drift, {name: report.to_dict()}, most=MOST_IMAGE_SETS)


def store_label_next(directory: RunDirectory, name: str, chosen: LabelNext) -> None:
    """Store the images to label of a set of unlabelled images in `label_next.json`, under the name of the set."""
    with _stored(directory, directory.label_next):
        store_judgements(directory, directory.label_next, {name: chosen.to_dict()}, most=MOST_IMAGE_SETS)


def store_unknown(directory: RunDirectory, report: UnknownReport) -> None:
    """Store what the threshold for unknown images does to a split, and to foreign images, in `unknown.json`.

    A report without foreign images keeps those of an earlier one whose thresholds are the same.
    """
    file = directory.unknown
    with _stored(directory, file):
        earlier = stored_result(directory, file, report.known, UnknownReport.from_dict)
        if earlier is not None:
            report = report.with_foreign_of(earlier)
        store_judgements(directory, file, {report.known: report.to_dict()})


def store_benchmark(directory: RunDirectory, benchmark: Benchmark) -> None:
    """Store a benchmark in `bench.json`, one for each processor."""
    with _stored(directory, directory.bench):
        store_judgements(directory, directory.bench, {benchmark.processor: benchmark.to_dict()})


def store_heat_maps(directory: RunDirectory, split: str, maps: HeatMaps) -> None:
    """Store heat maps of a split in `heat_maps.json`, beside those of other images that were made the same way."""
    file = directory.heat_maps
    with _stored(directory, file):
        earlier = stored_result(directory, file, split, HeatMaps.from_dict)
        store_judgements(directory, file, {split: maps.with_earlier(earlier, most=MOST_HEAT_MAPS).to_dict()})


def name_of_images(paths: list[str]) -> str:
    """Return what to call a set of images: the folder that holds all of them, or the first folder and how many others.

    Of an absolute folder outside the working directory only the last two names are taken, since reports are shown to
    others.

    Example:
        >>> name_of_images(["new/july/a.jpg", "new/july/wet/b.jpg"]), name_of_images(["a.jpg"])
        ('new/july', 'new images')
        >>> name_of_images(["july/a.jpg", "may/b.jpg", "june/c.jpg"]), name_of_images(["/home/ann/pets/new/a.jpg"])
        ('july and 2 more folders', 'pets/new')
    """
    folders = sorted({_shown_folder(Path(path).parent) for path in paths})
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or several drives
        common = ""
    if common not in ("", "."):
        return Path(common).as_posix()
    others = len(folders) - 1
    first = "this folder" if folders[:1] == ["."] else "".join(folders[:1])
    return f"{first} and {counted(others, 'more folder')}" if others > 0 else "new images"


def _shown_folder(folder: Path) -> str:
    if not folder.is_absolute():
        return os.fspath(folder)
    if folder.is_relative_to(Path.cwd()):
        return os.fspath(folder.relative_to(Path.cwd()))
    return os.fspath(Path(*folder.parts[1:][-2:]))


@contextmanager
def _stored(directory: RunDirectory, file: Path) -> Iterator[None]:
    """Say where a result is stored, or why it is not: a file that cannot be read stays as it is."""
    try:
        yield
    except TlkitError as problem:
        logger.warning("The result is not stored, since %s cannot be read: %s", file, problem)
    else:
        logger.info("Stored in %s; `tlkit report %s` shows it.", file, directory.path)
