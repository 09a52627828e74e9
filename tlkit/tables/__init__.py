"""Tables as values, and one renderer a medium: terminal, HTML, Markdown, JSON, JUnit XML.

How a result yields tables:

1. The result is a frozen dataclass of numbers and names. It holds no sentence and no HTML.
2. A module beside it, `<result>_tables.py`, builds the tables. It imports the result's type under `TYPE_CHECKING`
   only, so that the result can import the module without a circle:

       def curve_tables(curve: LearningCurve) -> tuple[Table, ...]:
           columns = (Column("images", "images", "count"), Column("accuracy", "accuracy", "estimate"))
           rows = tuple((point.images, point.accuracy) for point in curve.points)
           return (Table("curve", "Learning curve", columns, rows, notes=(_forecast_sentence(curve),)),)

3. The result has two methods of one line each: `tables()` returns `curve_tables(self)`, and `_repr_html_()` returns
   `to_html(self.tables())`, which is what a notebook shows.
4. Cells are plain values: `str`, `int`, `float`, `bool`, `datetime`, `Estimate`, or None for what is not there. The
   column says how they are written (`tlkit.tables.formatting` does it for every medium); a builder formats no number.
   Sentences about a table are its `notes`.
5. The command line prints `tables()` with `print_tables`, the HTML report draws them with its macro `table`, the model
   card writes them with `to_markdown`. None of them knows the result.
"""

from tlkit.tables.formatting import (
    counted,
    format_bytes,
    format_cell,
    format_estimate,
    format_header,
    format_p,
    two_figures,
)
from tlkit.tables.html import to_html
from tlkit.tables.json import to_json
from tlkit.tables.junit import to_junit
from tlkit.tables.markdown import to_markdown
from tlkit.tables.table import Cell, Column, Kind, Mark, Table
from tlkit.tables.text import to_lines

__all__ = [
    "Cell",
    "Column",
    "Kind",
    "Mark",
    "Table",
    "counted",
    "format_bytes",
    "format_cell",
    "format_estimate",
    "format_header",
    "format_p",
    "to_html",
    "to_json",
    "to_junit",
    "to_lines",
    "to_markdown",
    "two_figures",
]
