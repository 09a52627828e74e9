"""Kinds of finding of the data doctor: severity, description and advice."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class FindingKind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: error (it spoils training or scores), warning (a person should look), or info.
        what: what was found, in the plural.
        advice: what to do about it.
    """

    severity: Severity
    what: str
    advice: str


_KINDS: dict[str, tuple[Severity, str, str]] = {
    "layout": ("error", "the folder cannot be used as it is", "Until then nothing can be fitted."),
    "zero-byte": ("error", "empty files (0 bytes)", "Fetch them again, or quarantine them."),
    "html": ("error", "HTML pages under an image's name", "The download met an error page; fetch them again."),
    "not-an-image": ("error", "files that hold no image", "Replace them, or quarantine them."),
    "truncated": ("error", "truncated images", "Fetch them again, or quarantine them."),
    "bomb": ("error", "images that claim too many pixels", "Scale them down, or raise data.max_pixels on purpose."),
    "damaged": ("error", "damaged images", "Fetch them again, or quarantine them."),
    "no-agreed-meaning": ("error", "pixels without an agreed black and white", "Save them with 8 or 16 bits."),
    "unsupported": ("error", "sound images of a kind that is not read here", "Convert them as each of them says."),
    "cannot-open": ("error", "files that cannot be opened", "Check permissions, links and the drive."),
    "missing-file": ("error", "listed files that do not exist", "Restore them, or remove their rows."),
    "listed-again": ("error", "paths that a list names again with other values", "Keep one row for each image."),
    "wrong-row": ("error", "rows of a list, or values of shards, that cannot be used", "Correct or remove them."),
    "no-class": ("error", "images of shards without a class", "Give each a .cls member, or a 'label' in its .json."),
    "several-images": ("error", "samples of shards with several images of one key", "Give each image its own key."),
    "no-mask": ("error", "images without a mask", "Add their masks, or move the images away."),
    "shared-mask": ("error", "images that share a mask with another one", "Keep one image for each mask."),
    "several-masks": ("error", "images with several masks", "Keep one mask for each image."),
    "mask-unusable": ("error", "masks that cannot be read", "Save palette indices or gray levels as PNG."),
    "mask-size": ("error", "masks of another size than their image", "Write each in the size of its upright image."),
    "mask-values": ("error", "masks with numbers of no class", "Name all classes with their numbers, and void."),
    "across-splits": ("error", "pictures that lie in more than one split", "Quarantine the training copies."),
    "across-labels": ("error", "pictures under more than one label", "Decide on a label, or quarantine them."),
    "void-mask": ("warning", "masks that are void everywhere", "They teach nothing, and are not judged."),
    "extra-mask": ("warning", "masks that belong to no image", "They are not used; add their images?"),
    "damaged-scan": ("warning", "JPEGs damaged within their pixels", "Look at them; fetch them again."),
    "damaged-metadata": ("warning", "damaged metadata (pixels are sound)", "Save them again if rotation matters."),
    "wrong-ending": ("warning", "names that promise another format", "Rename them."),
    "animated": ("warning", "animated images; the first frame is used", "Extract the frame that shows the class."),
    "several-pages": ("warning", "files of several pages; the first is used", "Split them into one file per page."),
    "nearly-black": ("warning", "deep images that use 1/16 of their range", "Rescale them before training."),
    "dark": ("warning", "pictures that are nearly all dark", "Look at them."),
    "bright": ("warning", "pictures that are nearly all white", "Look at them."),
    "blurred": ("warning", "blurred pictures", "Look at them."),
    "low-information": ("warning", "pictures of low entropy", "Look at them: placeholders, lens caps?"),
    "odd-aspect": ("warning", "pictures three times as long as wide, or more", "Use data.resize: letterbox."),
    "tiny": ("warning", "pictures of fewer than 32 pixels per side", "Thumbnails? Fetch the originals."),
    "copies": ("warning", "pictures that occur more than once in a split", "Keep one, or group them when splitting."),
    "near-duplicates": (
        "warning",
        "pairs that look alike, but are no copies",
        "Look at them: one scene, or only alike?",
    ),
    "gps": ("warning", "pictures whose EXIF states a place (GPS)", "Strip EXIF before you share them."),
    "personal": ("warning", "metadata that can identify a person", "Strip EXIF or the DICOM header before you share."),
    "burned-in": ("warning", "pictures whose pixels show who a patient is", "Black it out before you train or share."),
    "unread-format": (
        "warning",
        "images in formats that are not read here",
        "They are left out; each says its remedy.",
    ),
    "archive": ("warning", "archives, whose images are not read", "Unpack them; tar shards are read by data.shards."),
    "no-majority": ("warning", "rows of images whose annotators are tied", "Add a vote, or decide on their label."),
    "outside": ("warning", "paths that leave the folder", "Copy the files in, so that the folder is complete."),
    "loop": ("warning", "links that lead back to themselves or a folder above", "Remove the links."),
    "broken-link": ("warning", "links that lead nowhere", "Remove or mend the links."),
    "special-file": ("warning", "pipes, sockets and devices under images", "Replace them by files, or remove them."),
    "tar-member": ("warning", "members of tar files that are not read", "Write them as plain files of usual names."),
    "sample-part": ("warning", "further images of a shard's sample", "Masks? To use one, give it its own .cls member."),
    "not-utf8": ("warning", "files whose names are not valid UTF-8", "They are ignored; rename them to use them."),
    "loose": ("warning", "images outside a class folder", "They are ignored; move them into a class folder."),
    "empty-class": ("warning", "class folders without images", "Add images or remove the folders."),
    "case-collisions": ("warning", "classes that differ in case, spaces or zeros", "Merge them: data.merge_classes."),
    "imbalance": ("warning", "classes with a tenth of the largest one's images", "Use train.class_weights: balanced."),
    "few-images": ("warning", "classes with fewer than 10 training images", "Collect more; scores mean little."),
    "absent-class": ("warning", "classes that a split lacks", "They cannot be judged there."),
    "junk": ("info", "hidden or system files and folders", "Nothing: they are ignored."),
    "not-by-name": ("info", "files that are not images by their name", "Nothing: they are ignored."),
    "blank-row": ("info", "rows of a list or of metadata that are blank", "Nothing."),
    "repeated": ("info", "rows or paths that repeat another", "Nothing: each image counts once."),
    "set-aside": ("info", "rows that a list sets aside", "Nothing: they are not read."),
    "no-image": ("info", "rows of metadata that belong to no image", "Check their paths if they should."),
    "exif-rotated": ("info", "images turned by their EXIF tag", "Nothing: tlkit turns them upright."),
    "grayscale": ("info", "grayscale images", "Nothing, unless one class has more of them than others."),
    "palette": ("info", "palette images", "Nothing: colors are looked up."),
    "transparent": ("info", "images with transparency", "Check data.background, which shows through."),
    "cmyk": ("info", "CMYK images", "Nothing: converted without color profiles."),
    "deep": ("info", "images of more than 8 bits a channel", "Nothing: the high byte is kept."),
    "gif": ("info", "GIF images", "Nothing, unless they are placeholders."),
    "huge": ("info", "pictures of more than 24 megapixels", "Scale them down to train faster."),
    "faces": ("info", "pictures that may show a face", "Do you have consent?"),
}
KINDS = {kind: FindingKind(*facts) for kind, facts in _KINDS.items()}
"""Every kind of finding, most severe first."""
