"""The one door to Jinja2: a template and its values become one file; no script, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlkit.disk import write_text

TEMPLATES = Path(__file__).parent / "templates"


def render_to(path: Path, template: str, **values: Any) -> Path:
    """Render a template into a file that appears whole or not at all; return its path.

    Args:
        path: where to write; folders that are missing are made.
        template: file name in the folder of templates.
        values: what the template needs; one that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template(template).render(**values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
