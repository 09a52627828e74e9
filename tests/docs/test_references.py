"""The generated references are complete, and the site builds: no warning, no asset from elsewhere, no dead link."""

from __future__ import annotations

import html
import importlib
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tlkit

ROOT = Path(__file__).parents[2]
references = pytest.importorskip("references")


def test_the_recipe_reference_has_every_key_with_what_it_takes_its_default_and_its_meaning():
    from tlkit.recipe.unknown_keys import all_keys

    page = references.recipe_reference()
    entries = dict(re.findall(r"^\(key-[a-z0-9-]+\)=\n#+ (\S+)\n(.*?)(?=^\(key-|\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(all_keys()) - set(entries) == set() and len(entries) > 90
    for key, text in entries.items():
        meaning, _, facts = text.partition("- Takes: ")
        assert len(meaning.strip()) > 10, key
        assert re.fullmatch(r".+\n- Default: .+(\n- Example: .+)?", facts.strip()), key
    assert "(≥ 0, ≤ 0.9)" in entries["data.val"] and "`0.2`" in entries["data.val"]
    assert "(≥ 0, < 1)" in entries["audit.tolerance"]
    assert "required" in entries["model.name"]


def test_the_command_reference_has_every_command_and_option():
    from typer.main import get_command

    from tlkit.cli.app import app

    page = html.unescape(references.command_reference())
    entries = dict(
        re.findall(r"^\(command-[a-z-]+\)=\n#+ `tlkit ([a-z -]+)`\n(.*?)(?=^\(|\Z)", page, re.MULTILINE | re.DOTALL)
    )

    def check(group, before=""):
        for name, command in group.commands.items():
            text = entries[f"{before}{name}"]
            assert command.hidden or command.help.split("\n")[0][:40].split("'")[0] in text
            for part in command.params:
                assert all(option in text for option in part.opts) or part.param_type_name == "argument", part.opts
            if hasattr(command, "commands"):
                check(command, f"{before}{name} ")

    check(get_command(app))


def test_the_python_reference_has_every_public_name():
    page = references.api_reference()
    named = set(re.findall(r"^\.\. auto(?:class|function):: tlkit\.([\w.]+)$", page, re.MULTILINE))
    own = {name for name in named if "." not in name}
    assert own == set(tlkit.__all__) - {"__version__"}
    for name in named - own:
        package, _, last = name.rpartition(".")
        assert getattr(importlib.import_module(f"tlkit.{package}"), last).__doc__
    assert {"data.Source", "inference.Predictor", "analysis.plot_map"} <= named


def test_keys_commands_and_names_in_a_page_lead_to_the_references():
    build_site = pytest.importorskip("build_site")
    entries = build_site.known_entries()
    text = "Set `data.val`, run `tlkit recipe plan x.yaml`, call `tlkit.fit`; `x`.\n\n```\n`data.val`\n```\n"
    assert build_site.with_entries(text, entries) == (
        "Set [`data.val`](#key-data-val), run [`tlkit recipe plan x.yaml`](#command-recipe-plan), "
        "call [`tlkit.fit`](#api-fit); `x`.\n\n```\n`data.val`\n```\n"
    )
    linked = build_site.with_site_links(
        "[a](../benchmarks/README.md) [b](../Makefile) [c](https://x.org)", "docs/repair.md"
    )
    assert linked == "[a](benchmarks.md) b (`Makefile`) [c](https://x.org)"


def test_a_cell_for_the_shell_is_no_python_in_a_tutorial():
    cells = "# %% [markdown]\n# # Title\n\n# %%\nx = 1\n\n# %%\n# !{sys.executable} -m tlkit bench {run.path}\n"
    page = references.tutorial("name", cells)
    assert "```python\nx = 1\n```" in page
    assert "```text\n!{sys.executable} -m tlkit bench {run.path}\n```" in page


class Links(HTMLParser):
    """Collects ids, links, and what a page loads."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.assets = set(), [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("next", "prev", "index", "search"):
            self.assets.append(given.get("href"))
        elif given.get("src"):
            self.assets.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site."""
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "site" / "build_site.py"), str(folder / "site")],
        capture_output=True, text=True, check=False, cwd=folder, env=None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "site" / "html"


@pytest.mark.series
def test_the_site_builds_without_a_warning_and_every_link_and_asset_is_there(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > 35
    wrong = []
    for path, page in pages.items():
        for link in [*page.links, *page.assets]:
            if re.match(r"[a-z]+:", link):
                if link in page.assets and not link.startswith("data:"):
                    wrong.append((path.name, link))
                continue
            name, _, heading = link.partition("#")
            target = (path.parent / name.split("?")[0]).resolve() if name else path
            exists = target in pages or target.exists()
            if not exists or (heading and target in pages and heading not in pages[target].ids):
                wrong.append((path.name, link))
    assert wrong == []
    loaded = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", loaded)


@pytest.mark.series
def test_pages_of_the_site_say_nothing_load_nothing_and_fit_the_window(site):
    """The index, the recipe reference and a guide, in headless Chromium on a desk and on a telephone."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium to show the pages")
    wrong: list[tuple[object, ...]] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page_name in ("index.html", "reference/recipe.html", "guides/no_split.html"):
            for width in (1280, 375):
                page = browser.new_page(viewport={"width": width, "height": 800})
                said: list[str] = []
                page.on("console", lambda message, said=said: said.append(message.text))
                page.on("pageerror", lambda error, said=said: said.append(str(error)))
                page.on("request", lambda request, said=said: said.append(request.url))
                page.goto((site / page_name).as_uri())
                beyond = [text for text in said if not text.startswith(("file:", "data:"))]
                taken = page.evaluate("document.documentElement.scrollWidth")
                if beyond or taken > width or not page.locator("h1").count():
                    wrong.append((page_name, width, taken, beyond))
                page.close()
        browser.close()
    assert wrong == []
