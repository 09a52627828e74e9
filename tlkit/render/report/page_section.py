"""A section of a page as values: title, one claim, and blocks that the templates lay out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from tlkit.render.plots import to_svg
from tlkit.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BadgeMark = Literal["", "bad", "better", "good", "open"]
"""Color and sign of a verdict: bad = a group is worse off than the rest, better = only better off ones differ, good =
within the tolerance, open = not enough data; "" = no verdict."""


@dataclass(frozen=True)
class VerdictBadge:
    """A verdict with its mark, such as "FAIL: 1 below the rest"."""

    text: str
    mark: BadgeMark = ""


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True)
class Figure:
    """A figure for wide and for narrow pages, with alternative text and caption.

    Attributes:
        wide: the SVG for pages of 42 rem and more, base64.
        narrow: the SVG for narrower pages, base64.
        alt: the alternative text.
        caption: the sentence below.
    """

    kind: ClassVar[str] = "figure"
    wide: str
    narrow: str
    alt: str
    caption: str

    @classmethod
    def draw(cls, plot: Callable[[], Axes], *, alt: str, caption: str) -> Figure:
        """Draw on new axes, for both widths; see `tlkit.render.plots.to_svg`."""
        wide, narrow = (base64.b64encode(to_svg(plot, narrow=one).encode()).decode() for one in (False, True))
        return cls(wide, narrow, alt, caption)


@dataclass(frozen=True)
class Grid:
    """A table that is shown at once; a table without rows is its title and notes."""

    kind: ClassVar[str] = "grid"
    table: Table


@dataclass(frozen=True)
class Fold:
    """Tables and sentences that are shown when the reader opens them.

    Attributes:
        title: what is inside.
        tables: the tables.
        notes: sentences above them, such as how a number was computed.
    """

    kind: ClassVar[str] = "fold"
    title: str
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is, inside a fold."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A thumbnail with its caption and nearest images.

    Attributes:
        path: the image's path.
        data: JPEG, base64; None where there is no thumbnail.
        label: its true class.
        said: what the model said of it.
        wrong: whether that is not the label.
        near: the nearest images by features.
        heat: where the model looked, JPEG, base64; None where that is not known.
        looked_for: the class that the heat map is for.
        views: the same image with its masks, side by side, in place of the thumbnail.
    """

    path: str
    data: str | None
    label: str
    said: str = ""
    wrong: bool = False
    near: tuple[Picture, ...] = ()
    heat: str | None = None
    looked_for: str = ""
    views: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class PictureGallery:
    """Thumbnails with a caption."""

    kind: ClassVar[str] = "gallery"
    caption: str
    pictures: tuple[Picture, ...]

    @property
    def wide(self) -> bool:
        """Whether some pictures have a heat map beside them, or several views."""
        return any(one.heat or one.views for one in self.pictures)


@dataclass(frozen=True)
class Part:
    """A part of a section with its own heading."""

    kind: ClassVar[str] = "part"
    title: str
    blocks: tuple[Block, ...]
    verdict: VerdictBadge | None = None
    claims: tuple[str, ...] = ()


Block = Words | Figure | Grid | Fold | Code | PictureGallery | Part


@dataclass(frozen=True)
class PageSection:
    """A section of the report.

    Attributes:
        id: its anchor, which claims link to.
        title: its heading.
        claim: what it shows, in one plain sentence.
        blocks: plots first, then tables, most of them folded.
        verdict: of the section, where it has one.
    """

    id: str
    title: str
    claim: str
    blocks: tuple[Block, ...]
    verdict: VerdictBadge | None = None


@dataclass(frozen=True)
class Claim:
    """A plain sentence of the summary.

    Attributes:
        text: the sentence.
        evidence: ids of the sections that show it; a section that the page lacks is left out.
        verdict: of the sentence, where it has one.
    """

    text: str
    evidence: tuple[str, ...] = ()
    verdict: VerdictBadge | None = None


@dataclass(frozen=True)
class Strip:
    """A share with its interval on a scale from 0 to 1.

    Attributes:
        name: what it is.
        text: the share, as text.
        detail: interval and basis, as text.
        value: the share; None where it is undefined.
        low: lower end of the interval; None where there is none.
        high: upper end.
        baseline: share to compare with, such as that of always naming the most frequent class; None = none.
        baseline_name: what that is.
    """

    name: str
    text: str
    detail: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None = None
    baseline_name: str = ""


@dataclass(frozen=True)
class Summary:
    """The top of the report.

    Attributes:
        verdict: of the audit; None without an audit.
        verdict_lines: one claim for each group that fails, the worse off first, and one for each other column.
        strips: the main figures.
        questions: question and claims that answer it.
    """

    verdict: VerdictBadge | None
    verdict_lines: tuple[Claim, ...]
    strips: tuple[Strip, ...]
    questions: tuple[tuple[str, tuple[Claim, ...]], ...]


@dataclass(frozen=True)
class Page:
    """The whole page, top to bottom.

    Attributes:
        title: the heading.
        kicker: the line above it.
        summary: the summary.
        sections: the sections that the page has.
        glossary: words and what they mean.
        attribution: of the images; None = none.
        more: which commands would add sections; "" = all are there.
        notices: what the page lacks because a file could not be read, one sentence each.
    """

    title: str
    kicker: str
    summary: Summary
    sections: tuple[PageSection, ...]
    glossary: tuple[tuple[str, str], ...]
    attribution: str | None
    more: str = ""
    notices: tuple[str, ...] = ()

    @property
    def titles(self) -> dict[str, str]:
        """The table of contents: id and title of the sections."""
        return {one.id: one.title for one in self.sections}
