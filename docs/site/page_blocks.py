"""Fenced blocks of the pages, and how each is tested: by the build, which shows results, and by `tests/docs`.

A comment right before a block says how:

- `<!-- test: run -->` runs it; `run 3` expects that exit code of its last command.
- `<!-- test: run; show -->` also shows on the site what it printed.
- `<!-- test: run; picture: TEXT -->` draws the plot that its last line returns, with TEXT for who cannot see it.
- `<!-- test: recipe -->`, `gates` and `names` load it as a recipe or a file of gates, or look up its public names.

The Python blocks of a page share their names, and run in order. In a block without a comment, commands and their
options are looked up, recipes are loaded and Python is compiled.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCED = re.compile(
    r"(?:^ *<!-- test: (?P<how>[^\n]*?) -->\n+)?^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and what the comment before it says."""

    language: str
    text: str
    how: str = ""

    @property
    def runs(self) -> bool:
        """Whether the block is executed."""
        return self.how.split(";")[0].split()[:1] == ["run"]

    @property
    def exit_code(self) -> int:
        """Exit code that the last command must end with: 3 in `<!-- test: run 3 -->`, else 0."""
        words = self.how.split(";")[0].split()
        return int(words[1]) if self.runs and len(words) > 1 else 0

    @property
    def shows(self) -> bool:
        """Whether the site shows what the block printed."""
        return "; show" in self.how

    @property
    def picture(self) -> str:
        """Description of the plot that the last line returns; "" = none."""
        return self.how.partition("; picture: ")[2].strip()

    def commands(self) -> list[str]:
        """Return the lines that begin with `tlkit `, without the comments behind them."""
        lines = [re.sub(r"\s+#.*", "", line).strip() for line in self.text.splitlines()]
        return [line for line in lines if line.startswith("tlkit ")]


def block_of(found: re.Match[str]) -> Block:
    """Return the block of a match of `FENCED`."""
    return Block(found["language"], found["text"], found["how"] or "")


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    return [block_of(found) for found in FENCED.finditer(page.read_text(encoding="utf-8"))]


def run_python(block: Block, names: dict[str, Any]) -> tuple[str, Callable[[], Any]]:
    """Run a block of Python among the names of its page.

    Returns:
        What it printed; and a function that evaluates the last line once more, where the block has a picture.
    """
    tree = ast.parse(block.text)
    again: Callable[[], Any] = lambda: None  # noqa: E731
    if block.picture:
        last = tree.body.pop()
        if not isinstance(last, ast.Expr):
            raise ValueError(f"The last line of this block returns no plot:\n{block.text}")
        code = compile(ast.Expression(last.value), "<picture>", "eval")
        again = lambda: eval(code, names)  # noqa: E731, S307  the project's own pages
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<page>", "exec"), names)  # noqa: S102  the project's own pages
    return printed.getvalue(), again
