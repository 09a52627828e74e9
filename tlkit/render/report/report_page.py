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


@dataclass(frozen=True)
class TextColumn:
    """A column of a table of text: numbers are set flush right, a word stays on one line, a text may wrap."""

    name: str
    kind: Literal["number", "word", "text"] = "number"


@dataclass(frozen=True)
class Row:
    """A row of a table of text: one text per column, the first names the row. `mark` sets it off."""

    cells: tuple[str, ...]
    mark: Literal["", "worst", "quiet", "total"] = ""


@dataclass(frozen=True)
class TextTable:
    """A table of text with the sentence that says what it shows."""

    caption: str
    columns: tuple[TextColumn, ...]
    rows: tuple[Row, ...]
    note: str = ""

    def __post_init__(self) -> None:
        assert all(len(row.cells) == len(self.columns) for row in self.rows), f"{self.caption}: a cell per column"


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
class IllustratedText:
    """A figure and the table of its numbers as text."""

    figure: Figure
    table: TextTable


@dataclass(frozen=True)
class AuditPart:
    """One table of the audit: verdict, sentences, figure, rows."""

    name: str
    verdict: str
    mark: Literal["good", "bad", "open"]
    lines: tuple[str, ...]
    figure: Figure | None
    table: TextTable


@dataclass(frozen=True)
class AuditSection:
    """The audit: what holds for all of it, then table by table."""

    verdict: str
    mark: Literal["good", "bad", "open"]
    lead: tuple[str, ...]
    parts: tuple[AuditPart, ...]


@dataclass(frozen=True)
class ExplainedPart:
    """What lies behind the gaps of one column: sentences, the split of each gap, recall by group and class."""

    name: str
    lines: tuple[str, ...]
    split: TextTable | None
    heat: IllustratedText | None
    adjusted: TextTable | None


@dataclass(frozen=True)
class ExplainedSection:
    """What lies behind the gaps, column by column."""

    lead: tuple[str, ...]
    parts: tuple[ExplainedPart, ...]


@dataclass(frozen=True)
class RepairedSection:
    """A repair of the head: what it found, before and after on test, the candidates on val."""

    verdict: str
    mark: Literal["good", "bad", "open"]
    lines: tuple[str, ...]
    worst: TextTable | None
    changes: TextTable | None
    trials: TextTable | None


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
    confusions: TextTable | None
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
    mark: Literal["good", "bad", "open"]
    lead: tuple[str, ...]
    slices: TextTable | None
    parts: tuple[ShownPart, ...]
    shortcut_lines: tuple[str, ...]
    shortcuts: TextTable | None


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
