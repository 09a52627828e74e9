"""What stands on the page, as plain text: the template shows these values and computes nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tlkit.render.plots import to_svg
from tlkit.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


VerdictMark = Literal["good", "bad", "open"]


@dataclass(frozen=True)
class Figure:
    """A drawing, what it says to who cannot see it, and what to look for.

    Attributes:
        data: the SVG, base64.
        alt: the alternative text.
        caption: the sentence below.
    """

    data: str
    alt: str
    caption: str

    @classmethod
    def draw(cls, plot: Callable[[], Axes], *, alt: str, caption: str) -> Figure:
        """Draw on new axes; see `tlkit.render.plots.to_svg`."""
        return cls(base64.b64encode(to_svg(plot).encode()).decode(), alt, caption)


@dataclass(frozen=True)
class Tile:
    """One headline number: its name, its value, what it rests on, and whether that is good."""

    name: str
    value: str
    detail: str
    mark: Literal["", "good", "bad", "open"] = ""


@dataclass(frozen=True)
class Illustrated:
    """A figure and the table of its numbers."""

    figure: Figure
    table: Table


@dataclass(frozen=True)
class AuditPart:
    """One rate by group: verdict, figure, table."""

    name: str
    verdict: str
    mark: VerdictMark
    figure: Figure | None
    table: Table


@dataclass(frozen=True)
class AuditSection:
    """The audit: what holds for all of it, then rate by rate, then what no test rests on."""

    verdict: str
    mark: VerdictMark
    lead: tuple[Table, ...]
    parts: tuple[AuditPart, ...]
    profiles: tuple[Table, ...]


@dataclass(frozen=True)
class ExplainedPart:
    """What lies behind the gaps of one column: the tables, and recall by group and class with its figure."""

    name: str
    tables: tuple[Table, ...]
    recall: Illustrated | None


@dataclass(frozen=True)
class ExplainedSection:
    """What lies behind the gaps: column by column, then trends and attributes that go together."""

    lead: tuple[str, ...]
    parts: tuple[ExplainedPart, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class RepairedSection:
    """A repair of the head: its verdict, and its tables."""

    verdict: str
    mark: VerdictMark
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Picture:
    """A thumbnail with its words and, small, what resembles it.

    Attributes:
        path: the image's path.
        data: JPEG, base64; None where there is no thumbnail.
        caption: what it is.
        near: what resembles it.
    """

    path: str
    data: str | None
    caption: str
    near: tuple[Picture, ...]


@dataclass(frozen=True)
class Strip:
    """Thumbnails side by side, with the sentence that says what they have in common."""

    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ShownPart:
    """The images behind the gap of one group."""

    name: str
    line: str
    confusions: tuple[Table, ...]
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class ShownSection:
    """The images behind the gaps, group by group."""

    lead: tuple[str, ...]
    parts: tuple[ShownPart, ...]


@dataclass(frozen=True)
class SlicedSection:
    """Slices nobody declared, with the images of the confirmed ones, and the test for shortcuts."""

    verdict: str
    mark: VerdictMark
    lead: tuple[str, ...]
    slices: Table
    parts: tuple[ShownPart, ...]
    shortcuts: tuple[Table, ...]


@dataclass(frozen=True)
class Section:
    """An entry of the page's table of contents."""

    id: str
    name: str


@dataclass(frozen=True)
class Page:
    """The whole page, top to bottom."""

    title: str
    lead: tuple[str, ...]
    tiles: tuple[Tile, ...]
    results: Table
    audit: AuditSection | None
    shown: ShownSection | None
    explained: ExplainedSection | None
    repaired: RepairedSection | None
    sliced: SlicedSection | None
    classes: Illustrated
    confusions: Illustrated
    mistakes: ShownPart | None
    data_sentence: str
    counts: Table
    excluded: Table
    leaks: Table | None
    history: Illustrated | None
    reading: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    recipe: str
    environment: Table
    attribution: str | None

    @property
    def sections(self) -> Sequence[Section]:
        """The table of contents: the sections that this page has."""
        shown = {
            "result": "Result",
            "audit": "Audit across groups" if self.audit else "",
            "shown": "Images behind the gaps" if self.shown else "",
            "explained": "Behind the gaps" if self.explained else "",
            "repaired": "Repair of the head" if self.repaired else "",
            "sliced": "Slices nobody declared" if self.sliced else "",
            "classes": "Classes",
            "confusions": "Confusions",
            "data": "Images",
            "training": "Training" if self.history else "",
            "reading": "How to read this",
            "repeat": "How to repeat it",
        }
        return [Section(name, title) for name, title in shown.items() if title]
