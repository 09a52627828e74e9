"""The two pages of a server: one to drop an image on, and one that lists its routes. Neither loads anything else."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse

PAGE = files("tlkit.serving").joinpath("page.html").read_text(encoding="utf-8")
"""The page on which an image is dropped."""
CURL = (
    "curl --data-binary @image.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/predict",
    "curl -F images=@a.jpg -F images=@b.png http://127.0.0.1:8000/predict",
)


def content_policy(page: str) -> str:
    """Return the Content-Security-Policy that allows a page its own inline scripts and styles, and requests to itself.

    Source: Content Security Policy Level 3, section 2.3.1 (hash-source).
    """
    script, style = (
        " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(f"<{kind}>(.*?)</{kind}>", page, flags=re.DOTALL)
        )
        or "'none'"
        for kind in ("script", "style")
    )
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


PAGE_POLICY = content_policy(PAGE)


def docs_page(schema: Mapping[str, Any]) -> HTMLResponse:
    """Return an OpenAPI schema as a page: each route with its summary, bodies and answers."""
    rows = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            kinds = ", ".join(operation.get("requestBody", {}).get("content", {}))
            answers = [
                f"<li>{status}: {html.escape(one['description'])}" for status, one in operation["responses"].items()
            ]
            rows.append(
                f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(operation['summary'])}"
                + (f"<p>Body: {html.escape(kinds)}" if kinds else "")
                + f"<ul>{''.join(answers)}</ul>"
            )
    examples = "".join(f"<pre>{html.escape(line)}</pre>" for line in CURL)
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:auto;padding:1rem}pre{overflow:auto}"
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(schema['info']['title'])}</title><style>{style}</style>"
        f"<main><h1>{html.escape(schema['info']['title'])}</h1><p>The whole description is in "
        f'<a href="openapi.json">openapi.json</a> (OpenAPI {html.escape(schema["openapi"])}).</p>{examples}'
        f"{''.join(rows)}</main></html>"
    )
    return HTMLResponse(page, headers={"content-security-policy": content_policy(page)})
