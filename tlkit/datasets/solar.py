"""ELPV, from the package elpv-dataset: photographs of solar cells with the likelihood of a defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.packages import Package
from tlkit.datasets.stratified_fifths import stratified_fifths
from tlkit.errors import DataError

PACKAGE = Package("elpv-dataset", "elpv_dataset", "1.0.0.post1", dependencies=False)
LABELS = "labels.csv"


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "`make` has checked it"
    data = folder / "data"
    return {LABELS: data / LABELS, **{f"images/{path.name}": path for path in sorted((data / "images").glob("*.png"))}}


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    rows = [line.split() for line in sources[LABELS].read_text(encoding="utf-8").splitlines() if line.strip()]
    wrong = [row for row in rows if len(row) != 3 or row[0] not in sources]
    if wrong:
        raise DataError(
            f"{sources[LABELS]} holds {len(wrong)} lines without an image, a defect likelihood and a type, such as "
            f"{' '.join(wrong[0])!r}. Install elpv-dataset again."
        )
    grades = [f"{round(100 * float(grade)):03d}" for _, grade, _ in rows]
    for (path, grade, kind), name, split in zip(rows, grades, stratified_fifths(grades, seed=seed), strict=True):
        columns = {"module": kind, "defect": f"{float(grade):.4f}"}
        yield SampleImage(f"{split}/{name}/{Path(path).name}", sources[path].read_bytes(), columns)


SOLAR = GalleryEntry(
    name="solar",
    summary="electroluminescence of solar cells by the likelihood of a defect; gray, 300 × 300 pixels",
    images=2_624,
    classes=4,
    columns=("module",),
    license="CC BY-NC-SA 4.0",
    commercial=False,
    attribution=(
        "ELPV: A Benchmark for Visual Identification of Defective Solar Cells in Electroluminescence Imagery, C. "
        "Buerhop-Lutz, S. Deitsch, A. Maier, F. Gallwitz, S. Berger, B. Doll, J. Hauch, C. Camus and C. J. Brabec, "
        "2018, https://github.com/zae-bayern/elpv-dataset. License: CC BY-NC-SA 4.0 "
        "(https://creativecommons.org/licenses/by-nc-sa/4.0/): no commercial use. Changed: split; the files are as "
        "they were."
    ),
    about=(
        "2,624 photographs of solar cells, 300 × 300 pixels, of 44 modules. The class is the likelihood of a defect in "
        "percent, by an expert: 000, 033, 067 or 100; the column defect holds it as a number, for grades and "
        "regression. The column module is mono or poly, the kind of silicon. The PNG files are those of the package. "
        "Three fifths of each class are in train, one fifth in val and one in test. The package does not say which "
        "cells are of one module, so those of a module are in all splits."
    ),
    packages=(PACKAGE,),
    megabytes=90.3,
    sha256="632b7ab419db440a8b653c156b99cc535afab55993f0fd6ce753c64ea2257ef2",
    sources=_sources,
    images_of=_images,
)
