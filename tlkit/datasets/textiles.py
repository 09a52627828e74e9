"""Simulated textiles, from the package conformal-clip-data: intact, with a local and with a global defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlkit.datasets.dataset_card import SampleImage
from tlkit.datasets.gallery_entry import GalleryEntry, Sources
from tlkit.datasets.packages import Package
from tlkit.datasets.stratified_fifths import stratified_fifths

PACKAGE = Package("conformal-clip-data", "conformal_clip_data", "0.1.4", dependencies=False)
CLASSES = ("global", "local", "nominal")


def _sources() -> dict[str, Path]:
    folder = PACKAGE.folder()
    assert folder is not None, "`make` has checked it"
    root = folder / "data" / "textile_images" / "simulated"
    return {f"{name}/{path.name}": path for name in CLASSES for path in sorted((root / name).glob("*.jpg"))}


def _images(sources: Sources, seed: int) -> Iterator[SampleImage]:
    names = sorted(sources)
    splits = stratified_fifths([name.split("/")[0] for name in names], seed=seed)
    for name, split in zip(names, splits, strict=True):
        yield SampleImage(f"{split}/{name}", sources[name].read_bytes())


TEXTILES = GalleryEntry(
    name="textiles",
    summary="simulated textile: nominal, or with a local or global defect; gray, 250 × 250 pixels",
    images=2_000,
    classes=3,
    license="MIT",
    attribution=(
        "Simulated textile images, F. M. Megahed and Y.-J. Chen, 2025, package conformal-clip-data. Copyright (c) 2025 "
        "Megahed. License: MIT (https://opensource.org/license/mit). Changed: split; the files are as they were."
    ),
    about=(
        "2,000 simulated images of textile, 250 × 250 pixels: 1,000 nominal, 500 with a local and 500 with a global "
        "defect. The JPEG files are those of the package. Three fifths of each class are in train, one fifth in val "
        "and one in test."
    ),
    packages=(PACKAGE,),
    megabytes=42.0,
    sha256="b21267bd306f7786d3297d458591d17cb849a93584e1f2d621762d37fb456f6b",
    sources=_sources,
    images_of=_images,
)
