"""Sphinx settings of the documentation site. `make docs` builds it: `docs/site/build_site.py` says how."""

from typing import Any

import tlkit.torchvision_cure  # before the API reference imports torchvision

import tlkit

project = "tlkit"
author = "the tlkit authors"
release = version = tlkit.__version__
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
nitpicky = False
myst_heading_anchors = 4
suppress_warnings = ["config.cache"]
pygments_style = "default"

default_role = "code"  # `name` in a docstring is code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # numpy.str_ would be read as a link

html_theme = "furo"
html_title = f"tlkit {release}"
html_static_path = ["_static"]
html_css_files = ["tlkit.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"footer_icons": []}


def accessible(_app: Any, _name: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Let a keyboard scroll what scrolls, and state the level of the captions that Sphinx calls headings (axe-core)."""
    for part in ("body", "furo_navigation_tree"):
        text = context.get(part) or ""
        text = text.replace('<p class="caption" role="heading"', '<p class="caption" role="heading" aria-level="2"')
        text = text.replace("<pre>", '<pre tabindex="0">')
        context[part] = text.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def setup(app: Any) -> None:
    """Connect what conf.py adds to Sphinx."""
    app.connect("html-page-context", accessible, priority=900)  # after the theme
