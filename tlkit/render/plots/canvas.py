"""Shared parts of the plots: axes, colors, tick labels in any script, shaded matrices, SVG output."""

from __future__ import annotations

import functools
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Palette of Okabe & Ito ("Color Universal Design", 2008), which is safe for all kinds of color vision.
BLUE, ORANGE, GREEN, VERMILLION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#767676"
PURPLE = "#AA4A98"  # their reddish purple, darker, for contrast on white

NARROW = 3.4
"""Width in inches of a figure for a telephone: its letters keep the size of the text around it."""
_LONGEST_NARROW = 15  # letters of a name in such a figure
_FONTS = "Inter, system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Helvetica Neue', Arial, sans-serif"

_offscreen: ContextVar[bool] = ContextVar("tlkit_plots_offscreen", default=False)
_narrow: ContextVar[bool] = ContextVar("tlkit_plots_narrow", default=False)

# In dark mode the near-black ink becomes light; in print it stays dark.
_DARK_PAGE = (
    "<style>@media screen and (prefers-color-scheme: dark) {"
    "[style*='fill: #1f2328'], text[style*='fill: #1f2328'] {fill: #e6edf3 !important}"
    "[style*='stroke: #1f2328'] {stroke: #e6edf3 !important}"
    "[style*='stroke: #d0d7de'] {stroke: #3d444d !important}"
    "}</style>"
)
_STYLE = {
    "text.color": "#1f2328",
    "axes.edgecolor": "#8b949e",
    "axes.labelcolor": "#1f2328",
    "xtick.color": "#8b949e",
    "ytick.color": "#8b949e",
    "xtick.labelcolor": "#1f2328",
    "ytick.labelcolor": "#1f2328",
    "grid.color": "#d0d7de",
    "svg.fonttype": "none",  # text stays text, drawn with the fonts of the reader's browser
    "svg.hashsalt": "tlkit",  # the same values give the same bytes
    "font.size": 10,
}


def axes_of_size(ax: Axes | None, *, width: float, height: float) -> Axes:
    """Return the given axes, or those of a new figure of this size in inches.

    A new figure comes from pyplot, so that a notebook shows it; inside `to_svg` it has an SVG canvas only.
    """
    if ax is not None:
        return ax
    if is_narrow():
        width, height = min(width, NARROW), height + 0.7  # the legend has a row for each entry
    if _offscreen.get():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        return figure.subplots()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def is_narrow() -> bool:
    """Return whether the figure is drawn for a narrow page, such as a telephone's."""
    return _narrow.get()


def to_svg(plot: Callable[[], Axes], *, narrow: bool = False) -> str:
    """Return a plot as one SVG element with a transparent background, drawn without pyplot.

    Args:
        plot: draws on new axes and returns them, such as `lambda: plot_confusion(evaluation)`.
        narrow: draw for a page as narrow as a telephone's.

    Example:
        >>> import pandas as pd
        >>> from tlkit.render.plots import plot_history
        >>> to_svg(lambda: plot_history(pd.DataFrame({"epoch": [0, 1], "val_loss": [0.7, 0.4]})))[:4]
        '<svg'
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    tokens = _offscreen.set(True), _narrow.set(narrow)
    try:
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.filterwarnings("ignore", r"Glyph \d+")  # the fonts of the reader's browser draw it
            figure = plot().get_figure(root=True)
            assert figure is not None
            for axes in figure.axes if narrow else ():
                axes.set_xlabel(textwrap.fill(axes.get_xlabel(), 28))
            for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
                patch.set_visible(False)
            buffer = io.StringIO()
            # `savefig` would draw twice: once for the layout, which this canvas does on the way
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    finally:
        _offscreen.reset(tokens[0])
        _narrow.reset(tokens[1])
    svg = _with_fonts(buffer.getvalue())
    svg = svg[svg.index("<svg") :]
    return svg.replace("<defs>", _DARK_PAGE + "<defs>", 1)


def _with_fonts(svg: str) -> str:
    """Return an SVG whose text is drawn with the fonts of the page around it."""
    return re.sub(r"font-family: 'DejaVu Sans'[^;\"]*", f"font-family: {_FONTS}", svg)


def shortened(name: str, most: int = 28) -> str:
    """Return a name on one line of at most `most` characters; the middle of a longer name is replaced by "…".

    Example:
        >>> shortened("tailed frog, bell toad, ribbed toad, tailed toad, Ascaphus trui", 21)
        'tailed fro…aphus trui'
    """
    name = " ".join(name.split())
    most = min(most, _LONGEST_NARROW) if is_narrow() else most
    if len(name) <= most:
        return name
    head = most // 2
    return name[:head] + "…" + name[-(most - head - 1) :]


def label_axis(ax: Axes, labels: Sequence[str], *, axis: str, size: float | None = None, rotation: float = 0) -> None:
    """Set plain-text tick labels at the positions 0…N-1; see `drawable` for letters of other scripts."""
    along = ax.xaxis if axis == "x" else ax.yaxis
    along.set_ticks(range(len(labels)), [_drawable(label)[0] for label in labels])
    for tick, label in zip(along.get_ticklabels(), labels, strict=True):
        tick.set_text(label)
        drawable(tick)
        if size:
            tick.set_fontsize(size)
        if rotation:
            tick.set_rotation(rotation)
            tick.set_horizontalalignment("right")
            tick.set_rotation_mode("anchor")


def legend_above(ax: Axes, *, columns: int = 1, handles: Sequence[Artist] | None = None) -> None:
    """Draw the legend of an axes above its left corner.

    Args:
        ax: the axes.
        columns: entries beside each other, on a wide page.
        handles: what the legend names; default: all that has a label on the axes.
    """
    figure, shown = ax.get_figure(root=True), ax.get_legend_handles_labels()[0] if handles is None else list(handles)
    if is_narrow() and figure is not None:  # above the whole figure: above the axes it would make them narrower
        figure.legend(handles=shown, loc="outside upper left", frameon=False)
        return
    ax.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, borderaxespad=0.2, ncols=columns)


def horizontal_rows(ax: Axes, rows: int) -> None:
    """Set up an axes for `rows` rows, the first on top: limits, a grid along x, no frame above and on the right."""
    ax.set_ylim(rows - 0.4, -0.6)
    ax.grid(axis="x", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def draw_matrix(
    ax: Axes, shares: npt.NDArray[np.float64], *, label: str, aspect: Literal["equal", "auto"], bar_size: float
) -> None:
    """Draw a matrix as shaded cells with a color bar in percent.

    Args:
        ax: where to draw.
        shares: in [0, 1], shape (rows, columns), darker = larger; NaN = an empty cell.
        label: label of the color bar.
        aspect: shape of the cells; equal = squares.
        bar_size: height of the color bar relative to the axes.
    """
    import numpy as np
    from matplotlib.colors import ListedColormap, to_rgba
    from matplotlib.ticker import PercentFormatter

    shades = ListedColormap([to_rgba(BLUE, alpha) for alpha in np.linspace(0.1, 1, 256)])  # for light and dark pages
    image = ax.imshow(np.ma.masked_invalid(shares), cmap=shades, vmin=0, vmax=1, aspect=aspect)
    rows, columns = shares.shape
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which="minor", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    figure = ax.get_figure()
    assert figure is not None
    if is_narrow():  # no room for the bar; the cells hold numbers
        return
    bar = figure.colorbar(image, ax=ax, shrink=bar_size, label=label)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1])


def write_in_cell(ax: Axes, text: str, *, row: int, column: int, share: float, size: float) -> None:
    """Write a text in a cell of `draw_matrix`: white where the cell is dark, for contrast on light and dark pages."""
    drawn = ax.text(column, row, text, ha="center", va="center", size=size)
    if share > 0.75:
        drawn.set_color("white")


def drawable(text: Text) -> Text:
    """Make a text drawable as it is: no mathematics between dollars, and a font for every letter.

    matplotlib warns of letters that its font lacks. They are drawn with an installed font that has them, or as "□"
    where there is none. In `to_svg` the text is unchanged: the fonts of the reader's browser draw it.
    """
    words, family = _drawable(text.get_text())
    text.set_parse_math(False)
    text.set_text(words)
    if family:
        text.set_fontfamily(family)
    return text


def _drawable(words: str) -> tuple[str, list[str] | None]:
    """Return the text that can be drawn, and its font families, or None where the default font has all letters."""
    missing = frozenset(words) - _default_letters() - set("\n\t")
    if not missing or _offscreen.get():
        return words, None
    family = _font_with(missing)
    if family is None:
        return "".join("□" if letter in missing else letter for letter in words), None
    return words, ["DejaVu Sans", family]


@functools.lru_cache(maxsize=1)
def _default_letters() -> frozenset[str]:
    """Return the letters of DejaVu Sans, the font that comes with matplotlib."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(chr(code) for code in font.get_charmap())


@functools.lru_cache(maxsize=64)
def _font_with(letters: frozenset[str]) -> str | None:
    """Return the name of an installed scalable font that has all the letters, or None."""
    from matplotlib import font_manager

    for entry in sorted(font_manager.fontManager.ttflist, key=lambda font: (font.weight != 400, font.name)):
        if entry.name.startswith("Last Resort"):  # of matplotlib 3.11: has a box for every letter
            continue
        try:
            font = font_manager.get_font(entry.fname)
            if font.scalable and letters <= {chr(code) for code in font.get_charmap()}:
                return entry.name
        except (OSError, RuntimeError):  # a font file that FreeType cannot read
            continue
    return None
