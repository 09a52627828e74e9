"""`DriftReport`: whether new images differ from a run's own, by two tests, and which are the most foreign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tlkit.arrays import Floats
from tlkit.errors import DataError, refuse_newer
from tlkit.evaluation.drift_tables import drift_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
DriftVerdict = Literal["DRIFT", "NO DRIFT FOUND", "NOT ENOUGH DATA"]


@dataclass(frozen=True)
class DriftTest:
    """One of the two tests.

    Attributes:
        name: "classifier" or "mmd".
        statistic: out-of-fold balanced accuracy with its interval; or the squared discrepancy, which has none.
        p: p-value by permutation.
        p_holm: after Holm's correction for the two tests.
    """

    name: Literal["classifier", "mmd"]
    statistic: Estimate
    p: float
    p_holm: float


@dataclass(frozen=True)
class ForeignImage:
    """One of the new images.

    Attributes:
        path: as given.
        distance: to its k-th nearest reference image, between features of length 1, in [0, 2].
        tail: share of the reference images that are as far from their own k-th nearest or farther, in (0, 1].
        nearest: path of the nearest reference image.
        nearest_label: its class.
    """

    path: str
    distance: float
    tail: float
    nearest: str
    nearest_label: str


@dataclass(frozen=True, eq=False, repr=False)
class DriftReport:
    """New images compared with the images of a run, by features.

    Attributes:
        run: name of the run.
        reference: split or splits that the new images are compared with.
        reference_images: how many of them there are.
        images: new images that are compared.
        copies: new files that are copies of reference images, or of each other, and do not count.
        clusters: independent units among the new images, and among the reference images that were tested.
        tested: images of each side that the tests use: new, reference; more are subsampled.
        verdict: DRIFT where a corrected p-value is at most `alpha`; NOT ENOUGH DATA where there is none and a side has
            fewer than `least` units.
        tests: classifier and MMD; empty where a side has too few units for any test.
        alpha: chance that drift is found where there is none.
        least: fewest units of each side for the verdict NO DRIFT FOUND.
        detectable: accuracy of the classifier that tests of this size find in 80 % of cases, approximately; None
            without tests.
        bandwidth: of the kernel; None without tests.
        permutations: behind each p-value.
        foreign: the most foreign images, the farthest first.
        beyond: share of the new images that are farther out than 95 % of the reference images.
        distances: of the new images, shape (N,), and of the reference images, shape (M,), by "new" and "reference".
        k: which nearest image the distances are to.
        confidence: level of the intervals.
        strategy: kind of the run's strategy.
    """

    run: str
    reference: str
    reference_images: int
    images: int
    copies: int
    clusters: tuple[int, int]
    tested: tuple[int, int]
    verdict: DriftVerdict
    tests: tuple[DriftTest, ...]
    alpha: float
    least: int
    detectable: float | None
    bandwidth: float | None
    permutations: int
    foreign: tuple[ForeignImage, ...]
    beyond: Estimate
    distances: Mapping[str, Floats]
    k: int
    confidence: float
    strategy: str

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: the tests with the verdict, and the most foreign images."""
        return drift_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DriftReport:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This drift report was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        return f"DriftReport({self.verdict}: {self.images} new images, {self.tested[1]} of {self.run})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
