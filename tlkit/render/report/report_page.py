"""The content of the report as values; the template only lays them out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tlkit.render.plots import to_svg
from tlkit.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


VerdictMark = Literal["good", "bad", "better", "open"]


@dataclass(frozen=True)
class Figure:
    """A figure with alternative text and caption.

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
    """One headline number with its name, details and mark."""

    name: str
    value: str
    detail: str
    mark: Literal["", "good", "bad", "better", "open"] = ""


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
class AuditPageSection:
    """The audit: overview, then rate by rate, then profiles of the groups."""

    verdict: str
    mark: VerdictMark
    lead: tuple[Table, ...]
    parts: tuple[AuditPart, ...]
    profiles: tuple[Table, ...]


@dataclass(frozen=True)
class ExplanationPart:
    """The explanation of one column: its tables, and recall by group and class with its figure."""

    name: str
    tables: tuple[Table, ...]
    recall: Illustrated | None


@dataclass(frozen=True)
class ExplanationSection:
    """The explanation of the gaps: column by column, then trends and associations."""

    lead: tuple[str, ...]
    parts: tuple[ExplanationPart, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class RepairSection:
    """A repair of the head: its verdict, and its tables."""

    verdict: str
    mark: VerdictMark
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Picture:
    """A thumbnail with its caption and nearest images.

    Attributes:
        path: the image's path.
        data: JPEG, base64; None where there is no thumbnail.
        caption: its classes, loss or margin.
        near: the nearest images by features.
    """

    path: str
    data: str | None
    caption: str
    near: tuple[Picture, ...]


@dataclass(frozen=True)
class Strip:
    """A row of thumbnails with a caption."""

    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ExamplesPart:
    """Images of one group, and its confusions."""

    name: str
    line: str
    confusions: tuple[Table, ...]
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class ExamplesSection:
    """Images of the groups that fail, group by group."""

    lead: tuple[str, ...]
    parts: tuple[ExamplesPart, ...]


@dataclass(frozen=True)
class SlicesSection:
    """Slices, images of the confirmed ones, and the shortcut test."""

    verdict: str
    mark: VerdictMark
    lead: tuple[str, ...]
    slices: Table
    parts: tuple[ExamplesPart, ...]
    shortcuts: tuple[Table, ...]


@dataclass(frozen=True)
class Page:
    """The whole page, top to bottom."""

    title: str
    lead: tuple[str, ...]
    tiles: tuple[Tile, ...]
    results: Table
    scores: Table | None
    audit: AuditPageSection | None
    examples: ExamplesSection | None
    explanation: ExplanationSection | None
    repair: RepairSection | None
    slices: SlicesSection | None
    classes: Illustrated
    confusions: Illustrated
    worst: ExamplesPart | None
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
    def sections(self) -> dict[str, str]:
        """The table of contents: id and name of the sections that this page has."""
        shown = {
            "result": "Result",
            "audit": "Audit across groups" if self.audit else "",
            "examples": "Images behind the gaps" if self.examples else "",
            "explanation": "Behind the gaps" if self.explanation else "",
            "repair": "Repair of the head" if self.repair else "",
            "slices": "Slices" if self.slices else "",
            "classes": "Classes",
            "confusions": "Confusions",
            "data": "Images",
            "training": "Training" if self.history else "",
            "reading": "How to read this",
            "repeat": "How to repeat it",
        }
        return {name: title for name, title in shown.items() if title}
