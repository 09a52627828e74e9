"""Renders Jinja2 templates into files; the only module that imports Jinja2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlkit.disk import write_text
from tlkit.tables import to_html

TEMPLATES = Path(__file__).parent / "templates"


def render_to(path: Path, template: str, **values: Any) -> Path:
    """Render a template into a file atomically; return its path.

    Args:
        path: the file to write; missing folders are created.
        template: file name in the folder of templates.
        values: variables of the template; a missing one is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # `to_html` escapes every text, so its result is markup
    environment.filters["table_html"] = lambda table: Markup(to_html([table], most_rows=None))  # noqa: S704
    text = environment.get_template(template).render(**values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
