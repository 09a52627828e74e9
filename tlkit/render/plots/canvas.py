"""What a figure is drawn on and with: axes, colours, text that every font can show, and the way to an SVG."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# Okabe & Ito's palette ("Color Universal Design", 2008), told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILLION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#767676"

_offscreen: ContextVar[bool] = ContextVar("tlkit_plots_offscreen", default=False)

# On a page shown in dark colours the drawing's near-black ink turns light; on paper it stays dark.
_DARK_PAGE = (
    "<style>@media screen and (prefers-color-scheme: dark) {"
    "[style*='fill: #1f2328'], text[style*='fill: #1f2328'] {fill: #e6edf3 !important}"
    "[style*='stroke: #1f2328'] {stroke: #e6edf3 !important}"
    "[style*='stroke: #d0d7de'] {stroke: #3d444d !important}"
    "}</style>"
)
_STYLE = {
    "text.color": "#1f2328",
    "axes.edgecolor": "#1f2328",
    "axes.labelcolor": "#1f2328",
    "xtick.color": "#1f2328",
    "ytick.color": "#1f2328",
    "grid.color": "#d0d7de",
    "svg.fonttype": "none",  # text stays text: the reader's own fonts show every script
    "svg.hashsalt": "tlkit",  # the same values give the same bytes
    "font.size": 10,
}


def axes_of_size(ax: Axes | None, *, width: float, height: float) -> Axes:
    """Return the given axes, or new ones in inches.

    New axes come from pyplot, so that a notebook shows the figure; inside `to_svg` they belong to no window system.
    """
    if ax is not None:
        return ax
    if _offscreen.get():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        return figure.subplots()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def to_svg(plot: Callable[[], Axes]) -> str:
    """Draw without pyplot or a window and return the figure as one SVG element, with a transparent background.

    Args:
        plot: draws on new axes and returns them, such as `lambda: plot_confusion(evaluation)`.

    Example:
        >>> import pandas as pd
        >>> from tlkit.render.plots import plot_history
        >>> to_svg(lambda: plot_history(pd.DataFrame({"epoch": [0, 1], "val_loss": [0.7, 0.4]})))[:4]
        '<svg'
    """
    import matplotlib

    token = _offscreen.set(True)
    try:
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.filterwarnings("ignore", r"Glyph \d+")  # only measured here; the reader's fonts draw it
            figure = plot().get_figure(root=True)
            assert figure is not None
            buffer = io.StringIO()
            figure.savefig(
                buffer,
                format="svg",
                transparent=True,
                bbox_inches="tight",
                pad_inches=0.04,
                metadata={"Date": None, "Creator": None},
            )
    finally:
        _offscreen.reset(token)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace("<defs>", _DARK_PAGE + "<defs>", 1)


def shortened(name: str, most: int = 28) -> str:
    """Return a name that fits an axis: its middle is left out where it is too long, and it stays on one line.

    Example:
        >>> shortened("tailed frog, bell toad, ribbed toad, tailed toad, Ascaphus trui", 21)
        'tailed fro…aphus trui'
    """
    name = " ".join(name.split())
    if len(name) <= most:
        return name
    head = most // 2
    return name[:head] + "…" + name[-(most - head - 1) :]


def label_axis(ax: Axes, labels: Sequence[str], *, axis: str, size: float | None = None, rotation: float = 0) -> None:
    """Put one plain-text label at each of the positions 0…N-1; see `plain` for letters of other scripts."""
    drawn = [_drawable(label) for label in labels]
    words = [text for text, _ in drawn]
    if axis == "x":
        ax.set_xticks(range(len(words)), words)
        ticks = ax.get_xticklabels()
    else:
        ax.set_yticks(range(len(words)), words)
        ticks = ax.get_yticklabels()
    for tick, (_, family) in zip(ticks, drawn, strict=True):
        tick.set_parse_math(False)
        if family:
            tick.set_fontfamily(family)
        if size:
            tick.set_fontsize(size)
        if rotation:
            tick.set_rotation(rotation)
            tick.set_horizontalalignment("right")
            tick.set_rotation_mode("anchor")


def plain(text: Text) -> Text:
    """Let a text be drawn as it is: no mathematics between dollars, and a font for every letter.

    matplotlib warns of letters that its font lacks. An installed font that has them is used beside it; where there is
    none, the letters are drawn as "□". In `to_svg` the text stays as it is: the reader's own fonts draw it.
    """
    words, family = _drawable(text.get_text())
    text.set_parse_math(False)
    text.set_text(words)
    if family:
        text.set_fontfamily(family)
    return text


def _drawable(words: str) -> tuple[str, list[str] | None]:
    """Return the text that can be drawn, and the fonts it takes, or None where the default one will do."""
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
        if entry.name.startswith("Last Resort"):  # comes with matplotlib 3.11 and has a box for every letter
            continue
        try:
            font = font_manager.get_font(entry.fname)
            if font.scalable and letters <= {chr(code) for code in font.get_charmap()}:
                return entry.name
        except (OSError, RuntimeError):  # a font file that FreeType cannot read
            continue
    return None
