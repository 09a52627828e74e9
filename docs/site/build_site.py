"""Builds the documentation site: `python docs/site/build_site.py [FOLDER]`, or `make docs`. Warnings are errors.

The pages of `docs/`, some of the project's books and the generated references are written to FOLDER/source; Sphinx
makes FOLDER/html of them. Nothing is written to the working tree. On the way

- links between files of the project become links between pages, or plain text where the file is no page;
- the name of a recipe key, a command or a public name, set as code, becomes a link to its entry in the references;
- blocks that say so are executed, and what they print or draw is shown below them.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page_blocks import FENCED, block_of, run_python
from references import anchor, api_reference, command_reference, public_names, recipe_reference, schema_keys, tutorial

from tlkit.recipe.dumping import json_schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BOOKS = {"benchmarks/README.md": "benchmarks.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Books of the project that join the pages: file -> page."""

GENERATED: dict[str, Callable[[], str]] = {
    "reference/recipe.md": recipe_reference,
    "reference/commands.md": command_reference,
    "reference/api.md": api_reference,
}
WITHOUT_ENTRIES = ("CHANGELOG.md",)
"""Pages that speak of earlier versions: names in them do not lead to the references."""

DECISION = re.compile(r"\d{3}-[\w-]+\.md")
CODE = re.compile(r"(?<![`\[])`([^`\n]+)`(?![`\]])")
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")
DARK_INK_ON_DARK_PAGES = re.compile(r"<style>@media screen.*?</style>", re.DOTALL)


def pages() -> dict[str, str]:
    """Return every page that is written by hand, but for single decisions: file in the project -> page of the site."""
    own = [path for path in sorted(DOCS.rglob("*.md")) if not DECISION.fullmatch(path.name)]
    return {**{path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).as_posix() for path in own}, **BOOKS}


def assemble(source: Path) -> None:
    """Write the sources of the site, pictures and generated references included, to a folder."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(DOCS / "_static", source / "_static")
    shutil.copy2(DOCS / "conf.py", source / "conf.py")
    entries = known_entries()
    for file, page in pages().items():
        text = (ROOT / file).read_text(encoding="utf-8")
        text = with_site_links(text, file)
        text = with_results(text, source / page)
        write(source / page, text if file in WITHOUT_ENTRIES else with_entries(text, entries))
    for page, make in GENERATED.items():
        write(source / page, make())
    for notebook in sorted((ROOT / "notebooks").glob("*.py")):
        page = tutorial(notebook.stem, notebook.read_text(encoding="utf-8"))
        write(source / "tutorials" / f"{notebook.stem}.md", page)
    by_section = decisions()
    for page, text in by_section.items():
        write(source / "decisions" / f"{page}.md", text)
    index = source / "decisions" / "README.md"
    write(index, index.read_text(encoding="utf-8") + toctree(list(by_section)))
    index = source / "index.md"
    text = index.read_text(encoding="utf-8")
    others = [page[:-3] for page in pages().values() if "/" not in page and page != "index.md"]
    others = [page for page in others if f"\n{page}\n" not in text]
    write(index, text + (toctree(others, caption="More topics") if others else ""))


def decisions() -> dict[str, str]:
    """Return the pages of the decisions, one for each section of their index: a page for each would be many."""
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    made = {}
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        parts = [f"# Decisions: {title}"]
        for name in re.findall(r"\]\((\d{3}-[\w-]+\.md)\)", section):
            text = with_site_links((DOCS / "decisions" / name).read_text(encoding="utf-8"), f"docs/decisions/{name}")
            deeper = outside_blocks(text, lambda part: re.sub(r"^#", "##", part, flags=re.MULTILINE))
            parts.append(f"({anchor('decision', name[:3])})=\n{deeper.strip()}")
        made[re.sub(r"\W+", "_", title.lower())] = "\n\n".join(parts) + "\n"
    return made


def toctree(pages: list[str], *, caption: str = "") -> str:
    """Return a table of contents; without a caption it is not shown in the page."""
    option = f":caption: {caption}" if caption else ":hidden:"
    return "\n".join(["", "```{toctree}", option, ":maxdepth: 1", "", *pages, "```", ""])


def write(path: Path, text: str) -> None:
    """Write a page and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def known_entries() -> dict[str, str]:
    """Return the entries of the references: name as it is set in code -> anchor."""
    from typer.main import get_command

    from tlkit.cli.app import app

    entries = {key: anchor("key", key) for key, _ in schema_keys(json_schema()) if "." in key and "[]" not in key}
    entries |= {name: anchor("api", name.removeprefix("tlkit.")) for name in public_names()}
    return entries | {f"tlkit {name}": anchor("command", name) for name in command_names(get_command(app))}


def command_names(group: Any, before: str = "") -> list[str]:
    """Return the names of all commands, such as "recipe plan"."""
    names = []
    for name, command in group.commands.items():
        inner = command_names(command, f"{before}{name} ") if hasattr(command, "commands") else []
        names += inner or [f"{before}{name}"]
    return names


def outside_blocks(text: str, change: Callable[[str], str]) -> str:
    """Return a page of which everything but the fenced blocks is changed."""
    parts, end = [], 0
    for found in re.finditer(r"^(`{3,}).*?^\1$", text, re.MULTILINE | re.DOTALL):
        parts += [change(text[end : found.start()]), found[0]]
        end = found.end()
    return "".join([*parts, change(text[end:])])


def with_site_links(text: str, file: str) -> str:
    """Return a page whose links lead to pages of the site; a link to any other file of the project becomes text."""
    known = pages()
    here = known.get(file, posixpath.relpath(file, "docs"))

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        name, _, heading = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), name))
        if path.startswith("docs/decisions/") and DECISION.fullmatch(posixpath.basename(path)):
            return f"[{words}](#{anchor('decision', posixpath.basename(path)[:3])})"
        if path == "docs":
            path = "docs/index.md"
        if path in known:
            page = posixpath.relpath(known[path], posixpath.dirname(here) or ".")
            return f"[{words}]({page}{'#' if heading else ''}{heading})"
        return f"{words} (`{path}`)"

    return outside_blocks(text, lambda part: LINK.sub(link, part))


def with_entries(text: str, entries: dict[str, str]) -> str:
    """Return a page whose recipe keys, commands and public names link to the references."""

    def code(found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("tlkit "):
            words = name.split()
            name = next((one for n in (3, 2) if (one := " ".join(words[:n])) in entries), name)
        return f"[`{found[1]}`](#{entries[name]})" if name in entries else found[0]

    def lines(part: str) -> str:
        return "\n".join(
            line if line.startswith("#") or LINK.search(line) else CODE.sub(code, line) for line in part.split("\n")
        )

    return outside_blocks(text, lines)


def with_results(text: str, page: Path) -> str:
    """Return a page with what its blocks print and draw; the pictures are written beside it."""
    names: dict[str, Any] = {}
    folder = os.getcwd()  # noqa: PTH109
    count = 0

    def shown(found: re.Match[str]) -> str:
        nonlocal count
        block = block_of(found)
        fence = f"```{block.language}\n{block.text}```"
        if block.language != "python" or not block.runs:
            return found[0]
        printed, draw = run_python(block, names)
        if block.shows and printed:
            fence += f"\n\n```text\n{printed}```"
        if block.picture:
            from tlkit.render.plots import to_svg

            count += 1
            name = f"{page.stem}-{count}.svg"
            write(page.parent / name, DARK_INK_ON_DARK_PAGES.sub("", to_svg(draw)))
            fence += f"\n\n```{{image}} {name}\n:alt: {block.picture}\n:class: picture\n```"
        return fence

    work = page.parent / f".{page.stem}-work"
    work.mkdir(parents=True)
    os.chdir(work)  # a page writes its files here
    try:
        return FENCED.sub(shown, text)
    finally:
        os.chdir(folder)
        shutil.rmtree(work)


def build(target: Path, *, jobs: str = "auto") -> int:
    """Build the site; return Sphinx's exit code."""
    from sphinx.cmd.build import main

    source = target / "source"
    assemble(source)
    options = ["-W", "--keep-going", "-q", "-E", "-j", jobs, "-b", "html", "-d", str(target / "doctrees")]
    return main([*options, str(source), str(target / "html")])


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").resolve()
    code = build(folder)
    if code == 0:
        print(f"{folder / 'html' / 'index.html'}")  # noqa: T201
    sys.exit(code)
