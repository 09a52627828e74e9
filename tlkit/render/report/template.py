"""Renders Jinja2 templates into files; the only module that imports Jinja2."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from tlkit.disk import write_text
from tlkit.render.report.glossary import GLOSSARY, anchor, link_words
from tlkit.render.report.table_markup import table_markup
from tlkit.tables import Table

TEMPLATES = Path(__file__).parent / "templates"


def render_to(path: Path, template: str, **values: Any) -> Path:
    """Render a template into a file atomically; return its path.

    The page's security policy allows its one style sheet, by its digest, and images that are inside the page; no
    script, no style of an element, no form and no address.

    Args:
        path: the file to write; missing folders are created.
        template: file name in the folder of templates.
        values: variables of the template; a missing one is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    seen = {"": set(GLOSSARY)}  # by section, the words that are linked already; none where a page has no glossary

    def words(text: str, section: str = "") -> Markup:
        parts = str(escape(text)).split("`")  # every second one is a command, where the last is closed
        known = seen.setdefault(section, set())
        if len(parts) % 2 == 0:
            parts = ["`".join(parts)]
        marked = (f"<code>{part}</code>" if place % 2 else link_words(part, known) for place, part in enumerate(parts))
        return Markup("".join(marked))  # noqa: S704  # escaped first

    def breaks(text: str) -> Markup:
        """Allow a line to end after "_", "/" and "-", and before the suffix of a file."""
        return Markup(re.sub(r"[_/-](?=\w)|(?=\.[a-zA-Z])", r"\g<0><wbr>", str(escape(text))))  # noqa: S704  # escaped first

    def table_html(table: Table, section: str = "", captioned: bool = True, stacked: bool = False) -> Markup:
        # `table_markup` escapes every text, so its result is markup
        known = seen.setdefault(section, set())
        return Markup(table_markup(table, known, captioned=captioned, stacked=stacked))  # noqa: S704

    environment.filters |= {"table_html": table_html, "words": words, "anchor": anchor, "breaks": breaks}
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    fixed = {"policy": Markup(policy), "style": Markup(f"<style>{style}</style>")}  # noqa: S704  # of this package
    text = environment.get_template(template).render(**fixed, **values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
