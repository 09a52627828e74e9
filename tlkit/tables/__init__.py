"""Tables as values, and one renderer per medium: terminal, HTML, Markdown, JSON, JUnit XML.

How a result yields tables:

1. The result is a frozen dataclass of numbers and names, without sentences or HTML.
2. The module `<result>_tables.py` builds its tables. It imports the result's type under `TYPE_CHECKING` only, so that
   the result can import the module without a circle:

       def curve_tables(curve: LearningCurve) -> tuple[Table, ...]:
           columns = (Column("images", "images", "count"), Column("accuracy", "accuracy", "estimate"))
           rows = tuple((point.images, point.accuracy) for point in curve.points)
           return (Table("curve", "Learning curve", columns, rows, notes=(_forecast_sentence(curve),)),)

3. The result has two methods of one line each: `tables()` returns `curve_tables(self)`, and `_repr_html_()` returns
   `to_html(self.tables())`, which is what a notebook shows.
4. Cells are plain values: `str`, `int`, `float`, `bool`, `datetime`, `Estimate`, or None for a missing value. The
   column determines their format (`tlkit.tables.formatting`, for every medium); builders format no numbers. Sentences
   about a table are its `notes`.
5. The command line prints `tables()` with `print_tables`, the HTML report renders them with its macro `table`, the
   model card with `to_markdown`. These renderers do not know the result.
"""

from tlkit.tables.formatting import counted, format_bytes, format_cell, format_header, format_p, two_figures
from tlkit.tables.html import to_html
from tlkit.tables.json import to_json
from tlkit.tables.junit import to_junit
from tlkit.tables.markdown import to_markdown
from tlkit.tables.paragraphs import Paragraph, paragraph_lines
from tlkit.tables.table import Cell, Column, ColumnKind, Mark, Table
from tlkit.tables.text import to_lines

__all__ = [
    "Cell",
    "Column",
    "ColumnKind",
    "Mark",
    "Paragraph",
    "Table",
    "counted",
    "format_bytes",
    "format_cell",
    "format_header",
    "format_p",
    "paragraph_lines",
    "to_html",
    "to_json",
    "to_junit",
    "to_lines",
    "to_markdown",
    "two_figures",
]
