"""What the doctor found, as a value: finding by finding, with its weight, its files and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tlkit.errors import DataError, first_few
from tlkit.notebook import html_lines, html_table

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
FORMAT_VERSION = 1

KINDS: dict[str, tuple[Severity, str, str]] = {
    "layout": ("error", "the folder cannot be used as it is", "Do what the message says."),
    "zero-byte": ("error", "empty files (0 bytes)", "Fetch them again, or quarantine them."),
    "html": ("error", "HTML pages under an image's name", "The download met an error page; fetch them again."),
    "not-an-image": ("error", "files that hold no image", "Replace them, or quarantine them."),
    "truncated": ("error", "truncated images", "Fetch them again, or quarantine them."),
    "bomb": ("error", "images that claim too many pixels", "Scale them down, or raise data.max_pixels on purpose."),
    "damaged": ("error", "damaged images", "Fetch them again, or quarantine them."),
    "no-agreed-meaning": ("error", "pixels without an agreed black and white", "Save them with 8 or 16 bits."),
    "cannot-open": ("error", "files that cannot be opened", "Check permissions, links and the drive."),
    "across-splits": ("error", "pictures that lie in more than one split", "Quarantine the training copies."),
    "across-labels": ("error", "pictures under more than one label", "Decide on a label, or quarantine them."),
    "damaged-scan": ("warning", "JPEGs damaged within their pixels", "Look at them; fetch them again."),
    "damaged-metadata": ("warning", "damaged metadata (pixels are sound)", "Save them again if rotation matters."),
    "wrong-ending": ("warning", "names that promise another format", "Rename them."),
    "animated": ("warning", "animated images; the first frame is used", "Extract the frame that shows the class."),
    "several-pages": ("warning", "files of several pages; the first is used", "Split them into one file a page."),
    "nearly-black": ("warning", "deep images that use 1/16 of their range", "Rescale them before training."),
    "dark": ("warning", "pictures that are nearly all dark", "Look at them."),
    "bright": ("warning", "pictures that are nearly all white", "Look at them."),
    "blurred": ("warning", "blurred pictures", "Look at them."),
    "low-information": ("warning", "pictures that show next to nothing", "Look at them: placeholders, lens caps?"),
    "odd-aspect": ("warning", "pictures three times as long as wide, or more", "Use data.resize: letterbox."),
    "tiny": ("warning", "pictures of fewer than 32 pixels a side", "Thumbnails? Fetch the originals."),
    "copies": ("warning", "pictures that occur more than once in a split", "Keep one, or group them when splitting."),
    "gps": ("warning", "pictures that tell where they were taken (GPS)", "Strip EXIF before you share them."),
    "personal": ("warning", "EXIF that can point to a person", "Strip EXIF before you share them."),
    "outside": ("warning", "paths that leave the folder", "Copy the files in, so that the folder is complete."),
    "loop": ("warning", "links that lead back to a folder above them", "Remove the links."),
    "broken-link": ("warning", "links that lead nowhere", "Remove or mend the links."),
    "not-utf8": ("warning", "names that are not valid UTF-8 (ignored)", "Rename the files to use them."),
    "loose": ("warning", "images outside a class folder (ignored)", "Move them into a class folder."),
    "empty-class": ("warning", "class folders without images", "Add images or remove the folders."),
    "case-twins": ("warning", "classes that differ in case or spaces only", "Merge them if they are one class."),
    "imbalance": ("warning", "classes with a tenth of the largest one's images", "Use train.class_weights: balanced."),
    "few-images": ("warning", "classes with fewer than 10 training images", "Collect more; scores mean little."),
    "absent-class": ("warning", "classes that a split lacks", "They cannot be judged there."),
    "junk": ("info", "hidden or system files and folders (ignored)", "Nothing."),
    "not-by-name": ("info", "files that are not images by their name (ignored)", "Nothing."),
    "exif-rotated": ("info", "images turned by their EXIF tag", "Nothing: tlkit turns them upright."),
    "grayscale": ("info", "grayscale images", "Nothing, unless one class has more of them than others."),
    "palette": ("info", "palette images", "Nothing: colours are looked up."),
    "transparent": ("info", "images with transparency", "Check data.background, which shows through."),
    "cmyk": ("info", "CMYK images", "Nothing: converted without colour profiles."),
    "deep": ("info", "images of more than 8 bits a channel", "Nothing: the high byte is kept."),
    "gif": ("info", "GIF images", "Nothing, unless they are placeholders."),
    "huge": ("info", "pictures of more than 24 megapixels", "Scale them down to train faster."),
    "faces": ("info", "pictures that may show a face", "Do you have consent?"),
}  # fmt: skip
"""Every kind of finding: its severity, what it is, what to do."""


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Attributes:
        kind: a key of `KINDS`.
        severity: error (it spoils training or scores), warning (a person should look), or info.
        count: how many there are.
        items: the files, folders or classes, sorted, each with what is to be said about it in brackets.
        files: the paths among them, relative to the root; for thumbnails.
    """

    kind: str
    severity: Severity
    count: int
    items: tuple[str, ...]
    files: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What was found, in words."""
        return KINDS[self.kind][1]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return KINDS[self.kind][2]


def make_finding(kind: str, items: Sequence[str], *, files: Sequence[str] = ()) -> Finding:
    """Return a finding with the severity of its kind."""
    return Finding(kind, KINDS[kind][0], len(items), tuple(items), tuple(files))


@dataclass(frozen=True)
class Diagnosis:
    """What a dataset suffers from.

    Attributes:
        source: where the images are, as it was given.
        root: the folder that the paths are relative to.
        images: how many images there are, readable or not.
        classes: names of the classes.
        splits: images by split.
        findings: gravest first, in the order of `KINDS`; empty for a clean dataset.
        quarantine: path and reasons of each image that training should go without, sorted: what cannot be read,
            training images whose picture also lies in val or test, and pictures under several labels.
        unchecked: what was not looked at, in a sentence; "" where everything was.
    """

    source: str
    root: str
    images: int
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    findings: tuple[Finding, ...]
    quarantine: tuple[tuple[str, str], ...]
    unchecked: str = ""

    def reaches(self, severity: Severity) -> bool:
        """Say whether anything is as grave as `severity`, or graver."""
        grave = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in grave for finding in self.findings)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the findings as a table with its header: severity, kind, count, what, first items, what to do."""
        head: tuple[str, ...] = ("severity", "kind", "count", "what", "first", "what to do")
        return [
            head,
            *(
                (f.severity, f.kind, f"{f.count:,}", f.what, first_few(f.items, most=3), f.advice)
                for f in self.findings
            ),
        ]

    def sentence(self) -> str:
        """Return the result in one sentence."""
        return f"{self.source}: {self.result()}"

    def result(self) -> str:
        """Return the sentence without the name of the source."""
        counts = [sum(f.severity == severity for f in self.findings) for severity in SEVERITIES]
        splits = ", ".join(f"{name} {count:,}" for name, count in self.splits.items() if count)
        head = f"{self.images:,} images of {len(self.classes)} classes ({splits or 'none'})"
        if not self.findings:
            found = "Nothing found."
        else:
            words = zip(counts, ("error", "warning", "note"), strict=True)
            found = f"Kinds of finding: {', '.join(f'{n} {word}' + 's' * (n != 1) for n, word in words)}."
        return f"{head}. {found} {self.unchecked}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; `from_dict` reads it back."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "splits": dict(self.splits)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Diagnosis:
        """Read what `to_dict` gave.

        Raises:
            DataError: a later tlkit wrote it, or it is no diagnosis.
        """
        if values.get("format_version") != FORMAT_VERSION:
            raise DataError(
                f"This diagnosis has format {values.get('format_version')!r}; this tlkit reads {FORMAT_VERSION}. "
                "Run the doctor again."
            )
        findings = tuple(
            Finding(f["kind"], f["severity"], f["count"], tuple(f["items"]), tuple(f["files"]))
            for f in values["findings"]
        )
        quarantine = tuple((path, reason) for path, reason in values["quarantine"])
        return cls(
            values.get("source", values["root"]), values["root"], values["images"], tuple(values["classes"]),
            dict(values["splits"]), findings, quarantine, values.get("unchecked", ""),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Diagnosis({self.source}: {self.images} images, kinds of finding: {len(self.findings)})"

    def _repr_html_(self) -> str:
        return html_lines([self.sentence()]) + html_table(self.rows())
