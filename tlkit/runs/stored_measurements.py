"""Stores what commands measure on request with the run, where its report finds it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.audit.heat_maps import HeatMaps
from tlkit.evaluation.drift_report import DriftReport
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.evaluation.unknown_report import UnknownReport
from tlkit.runs.directory import RunDirectory
from tlkit.runs.stored_judgements import store_judgements, stored_result

if TYPE_CHECKING:
    from tlkit.exported.bench import Benchmark

logger = logging.getLogger(__name__)

MOST_HEAT_MAPS = 200
MOST_IMAGE_SETS = 6
"""Sets of new images whose drift is kept; those that were compared last stay."""


def store_robustness(directory: RunDirectory, report: RobustnessReport) -> None:
    """Store the robustness of a split in `robustness.json`; one of more corruptions that is there stays."""
    file = directory.robustness
    earlier = stored_result(directory, file, report.split, RobustnessReport.from_dict)
    if earlier is not None and len(earlier.corruptions) > len(report.corruptions):
        logger.info(
            "%s keeps the earlier result with %d corruptions; delete it to store this one.",
            file,
            len(earlier.corruptions),
        )
        return
    store_judgements(directory, file, {report.split: report.to_dict()})
    _say_stored(directory, file)


def store_drift(directory: RunDirectory, name: str, report: DriftReport) -> None:
    """Store the comparison with a set of new images in `drift.json`, under the name of the set."""
    file = directory.drift
    store_judgements(directory, file, {name: report.to_dict()}, most=MOST_IMAGE_SETS)
    _say_stored(directory, file)


def store_unknown(directory: RunDirectory, report: UnknownReport) -> None:
    """Store what the threshold for unknown images does to a split, and to foreign images, in `unknown.json`."""
    store_judgements(directory, directory.unknown, {report.known: report.to_dict()})
    _say_stored(directory, directory.unknown)


def store_benchmark(directory: RunDirectory, benchmark: Benchmark) -> None:
    """Store a benchmark in `bench.json`, one for each processor."""
    store_judgements(directory, directory.bench, {benchmark.processor: benchmark.to_dict()})
    _say_stored(directory, directory.bench)


def store_heat_maps(directory: RunDirectory, split: str, maps: HeatMaps) -> None:
    """Store heat maps of a split in `heat_maps.json`, beside those of other images that were made the same way."""
    file = directory.heat_maps
    earlier = stored_result(directory, file, split, HeatMaps.from_dict)
    store_judgements(directory, file, {split: maps.with_earlier(earlier, most=MOST_HEAT_MAPS).to_dict()})
    _say_stored(directory, file)


def name_of_images(paths: list[str]) -> str:
    """Return what to call a set of images: the folder that holds all of them.

    Example:
        >>> name_of_images(["new/july/a.jpg", "new/july/wet/b.jpg"]), name_of_images(["a.jpg"])
        ('new/july', 'new images')
    """
    folders = [os.fspath(Path(path).parent) for path in paths]
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or several drives
        common = ""
    return Path(common).as_posix() if common not in ("", ".", os.sep) else "new images"


def _say_stored(directory: RunDirectory, file: Path) -> None:
    logger.info("Stored in %s; `tlkit report %s` shows it.", file, directory.path)
