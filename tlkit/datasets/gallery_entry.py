"""`GalleryEntry`: what is known of a dataset before it is made, and how it is made of installed packages."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tlkit.choices import DatasetName
from tlkit.datasets.dataset_card import DatasetCard, SampleImage, find_dataset, make_dataset
from tlkit.datasets.packages import Package, digest_of_sources, install_command, missing
from tlkit.errors import DataError, MissingExtraError

logger = logging.getLogger(__name__)

GalleryTask = Literal["multiclass", "multilabel", "segmentation", "detection"]
Sources = Mapping[str, Path]
VAL_PART = 5
"""A class has one val image for so many training images, where they are drawn."""


@dataclass(frozen=True, kw_only=True)
class GalleryEntry:
    """A dataset that installed packages carry.

    Attributes:
        name: its name in a recipe and on the command line.
        summary: what the images show, in one line.
        task: what it is for.
        images: number of images.
        classes: number of classes or labels.
        columns: group columns for the audit, in `metadata.csv`.
        license: licence of the images.
        commercial: whether the licence allows commercial use.
        attribution: authors, licence and changes, which stay with the images.
        about: how the images are made and split.
        packages: what must be installed.
        megabytes: size of the folder that is made.
        sha256: digest of the packages' files at the tested versions, as `digest_of_sources` takes it.
        sources: returns the packages' files by name.
        images_of: yields the images of these files, for a seed.
    """

    name: DatasetName
    summary: str
    task: GalleryTask = "multiclass"
    images: int
    classes: int
    columns: tuple[str, ...] = ()
    license: str
    commercial: bool = True
    attribution: str
    about: str
    packages: tuple[Package, ...]
    megabytes: float
    sha256: str
    sources: Callable[[], Sources]
    images_of: Callable[[Sources, int], Iterator[SampleImage]]

    @property
    def here(self) -> bool:
        """Whether all packages are installed."""
        return not missing(self.packages)

    @property
    def install(self) -> str:
        """The command that installs the packages."""
        return install_command(self.packages)

    def require(self) -> None:
        """Check that the packages are installed.

        Raises:
            DataError: one is not; the message gives the command that installs it.
            MissingExtraError: the same, where an extra of tlkit brings it.
        """
        absent = missing(self.packages)
        names = " and ".join(one.name for one in absent)
        if absent and all(one.extra for one in absent):
            raise MissingExtraError(package=names, extra=absent[0].extra, purpose=f"The dataset {self.name}")
        if absent:
            are = "are" if len(absent) > 1 else "is"
            raise DataError(
                f"The dataset {self.name} is made of {names}, which {are} not installed. Install it with: "
                f"{install_command(absent)}"
            )

    def make(self, dest: str | Path, *, seed: int = 0, per_class: int | None = None) -> DatasetCard:
        """Make the dataset's folder and return its card; a folder that the same call made is reused.

        Args:
            dest: folder to write to; created where it is missing.
            seed: seed of the split and of random poses, 0 or more.
            per_class: most training images of each class, at least 5, with a fifth as many for validation, drawn by a
                hash of the seed and the path; test stays whole. None = all.

        Raises:
            DataError: a package is missing or its files are not those of its version, the folder holds something else,
                the seed is negative, `per_class` is too small, or the images have no class of their own.
            MissingExtraError: a package is missing that an extra of tlkit brings.
        """
        if seed < 0:
            raise DataError(f"seed is {seed}. Use a whole number from 0.")
        if per_class is None:
            return self.write(Path(dest), lambda sources: self.images_of(sources, seed), request={"seed": seed})
        if self.task != "multiclass":
            raise DataError(f"per_class counts images of one class, and {self.name} is for {self.task}. Leave it out.")
        if per_class < VAL_PART:
            raise DataError(f"per_class is {per_class}. Use a whole number from {VAL_PART}.")
        most = {"train": per_class, "val": per_class // VAL_PART}
        about = (
            f"{self.about} Of these images, train has at most {per_class:,} and val at most {most['val']:,} of each "
            "class, drawn by a hash of the seed and the path; test is whole."
        )
        return self.write(
            Path(dest),
            lambda sources: _drawn(self.images_of(sources, seed), most, seed),
            request={"seed": seed, "per_class": per_class},
            about=about,
        )

    def write(
        self,
        dest: Path,
        images_of: Callable[[Sources], Iterator[SampleImage]],
        *,
        request: Mapping[str, Any],
        about: str = "",
    ) -> DatasetCard:
        """Make the dataset's folder from images of its files, and return its card.

        Args:
            dest: folder to write to.
            images_of: yields the images.
            request: the arguments that the images depend on.
            about: how the images are made; "" = the entry's.

        Raises:
            DataError: as for `make`.
        """
        found = find_dataset(dest, name=self.name, request=request)
        if found is not None:
            return found
        self.require()
        sources = self.sources()
        return make_dataset(
            dest,
            lambda: images_of(sources),
            name=self.name,
            request=request,
            packages=self.packages,
            about=about or self.about,
            attribution=self.attribution,
            source_sha256=self.verified_digest(sources),
        )

    def verified_digest(self, sources: Sources) -> str:
        """Return the digest of the packages' files.

        Raises:
            DataError: a file is missing, or the files are not those of the versions that are installed.
        """
        try:
            digest = digest_of_sources(sources)
        except OSError as error:
            raise DataError(
                f"A file of the dataset {self.name} cannot be read: {error.filename} ({error.strerror}). Install its "
                f"packages again: {self.install}"
            ) from None
        versions = {one.name: one.version() for one in self.packages}
        if digest == self.sha256:
            return digest
        if all(versions[one.name] == one.tested for one in self.packages):
            raise DataError(
                f"The files of the dataset {self.name} have the SHA-256 {digest[:12]}…, but those of "
                f"{_versions(versions)} have {self.sha256[:12]}…: they are damaged or changed. Install the packages "
                f"again: {self.install}"
            )
        logger.warning(
            "The dataset %s is made of %s, and was tested with %s: its images may differ.",
            self.name,
            _versions(versions),
            _versions({one.name: one.tested for one in self.packages}),
        )
        return digest

    def to_dict(self) -> dict[str, Any]:
        """Return what `tlkit data gallery --json` prints of it."""
        return {
            "name": self.name,
            "summary": self.summary,
            "task": self.task,
            "images": self.images,
            "classes": self.classes,
            "columns": list(self.columns),
            "license": self.license,
            "commercial_use": self.commercial,
            "attribution": self.attribution,
            "about": self.about,
            "packages": {one.name: one.version() if one.folder() is not None else None for one in self.packages},
            "tested_with": {one.name: one.tested for one in self.packages},
            "source_sha256": self.sha256,
            "megabytes": self.megabytes,
            "here": self.here,
            "install": self.install,
        }


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _drawn(images: Iterator[SampleImage], most: Mapping[str, int], seed: int) -> Iterator[SampleImage]:
    """Yield at most so many images of each class in a split, those of the smallest hashes; of other splits all."""
    held: dict[tuple[str, ...], list[tuple[str, SampleImage]]] = {}
    for image in images:
        split = image.path.split("/")[0]
        if split not in most:
            yield image
            continue
        rank = hashlib.sha256(f"{seed} {image.path}".encode()).hexdigest()
        held.setdefault((split, *image.classes), []).append((rank, image))
    for (split, *_), some in held.items():
        for _, image in sorted(some, key=lambda one: one[0])[: most[split]]:
            yield image
