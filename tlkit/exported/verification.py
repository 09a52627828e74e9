"""`Verification`: how exported files, the loaded model and the stored predictions of a run compare. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.choices import EXIT_CODES, Verdict
from tlkit.exported.verification_tables import verification_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.tables import Table, to_html

TOLERANCE = 1e-4
"""Largest difference of a probability between two ways to compute the same."""
CLOSE_TOLERANCE = 1e-2
"""The same for a file that is named close, not equal: its pixels differ by a gray level here and there."""
LEAST_MOVEMENT = 10 * TOLERANCE
"""Smallest range of a probability over the images: where outputs hardly move, equal outputs prove nothing."""
STORED, ANEW = "stored predictions", "model loaded anew"
"""What files are compared with."""
MOST_DISTANCE = 2.0
"""How many times as far from float64 torch as float32 torch a file may be."""


@dataclass(frozen=True)
class ImageDifference:
    """One image on which two ways to compute the same differ by more than the tolerance.

    Attributes:
        subject: what was compared, such as "model.onnx".
        image: path of the image, or what it is where it was made for the test.
        difference: largest difference of a probability.
        expected: class by the reference.
        found: class by the subject.
    """

    subject: str
    image: str
    difference: float
    expected: str
    found: str


@dataclass(frozen=True)
class Parity:
    """One comparison.

    Attributes:
        subject: what is compared: "stored predictions", or the name of a file.
        reference: with what.
        engine: what ran the subject.
        tolerance: largest difference of a probability that passes.
        images: images of the run.
        made: images made for the test: every mode and extreme sizes, in batches of 1 and 7.
        same_label: images, of both kinds, with the same most probable class; of masks those that have it in every
            pixel.
        largest: largest difference of a probability on images of the run; None without images.
        largest_made: the same on images made for the test; None where there are none.
        movement: largest range of a probability of the subject over the images of the run, in [0, 1].
        distance: root mean square difference of the logits from torch in float64; None where it is not measured.
        torch_distance: the same of torch in float32.
        verdict: PASS, FAIL or NOT ENOUGH DATA.
        reasons: why the verdict is not PASS.
        pixels: of masks the pixels of all images, each in the size of its image; None for another task.
        same_pixels: those that have the same class.
    """

    subject: str
    reference: str
    engine: str
    tolerance: float
    images: int
    made: int
    same_label: int
    largest: float | None
    largest_made: float | None
    movement: float | None
    distance: float | None
    torch_distance: float | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    pixels: int | None = None
    same_pixels: int | None = None

    @property
    def summary(self) -> str:
        """The verdict with its figures in one line, for a file's metadata."""
        if self.largest is None:
            return self.verdict
        found = f"{self.verdict}: largest difference of a probability {self.largest:.1e} on {self.images} images"
        return found if self.pixels is None else f"{found}, {self.same_pixels:,} of {self.pixels:,} pixels alike"


@dataclass(frozen=True)
class DecodeEffect:
    """Change of probabilities by the decoder's scaling of large JPEGs, which tlkit uses and a graph cannot imitate.

    Attributes:
        images: images that are decoded at a reduced scale.
        largest: largest difference of a probability from a full decode; None without such images.
        median: median over the images of each image's largest difference; None without such images.
        other_label: images whose most probable class changes.
    """

    images: int
    largest: float | None = None
    median: float | None = None
    other_label: int = 0


@dataclass(frozen=True)
class Verification:
    """How a run's stored predictions, its model loaded anew and its exported files compare on the same images.

    Attributes:
        run: name of the run.
        split: split of the images.
        parities: the comparisons.
        differences: images that differ by more than the tolerance, the largest differences first.
        decode: what decoding at a reduced scale does; None where every pixel is decoded.
        notes: what was not compared, and why.
    """

    run: str
    split: str
    parities: tuple[Parity, ...]
    differences: tuple[ImageDifference, ...] = ()
    decode: DecodeEffect | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL where any comparison fails, else NOT ENOUGH DATA where any lacks data, else PASS."""
        verdicts = {parity.verdict for parity in self.parities}
        return "FAIL" if "FAIL" in verdicts else "PASS" if verdicts == {"PASS"} else "NOT ENOUGH DATA"

    @property
    def exit_code(self) -> int:
        """0 = PASS, 1 = FAIL, 3 = NOT ENOUGH DATA."""
        return EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        values = to_plain(self)
        for parity in values["parities"]:
            if parity["pixels"] is None:
                del parity["pixels"], parity["same_pixels"]
        return {"verdict": self.verdict, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verification:
        """Read what `to_dict` wrote."""
        return from_plain(cls, values)

    def tables(self) -> tuple[Table, ...]:
        """Return the comparisons, and the images that differ."""
        return verification_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
