"""Every page that tlkit writes, opened in one headless Chromium: skipped without it, or without playwright."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from measurements import made_benchmark, made_drift, made_robustness
from PIL import Image
from test_report import EVIL, QUOTE, images_of, options

from tlkit.audit.error_examples import failing_group_images, worst_images
from tlkit.audit.explain import explain_gaps
from tlkit.audit.heat_maps import ImageHeatMap
from tlkit.render.report import ReportImages, RunContents, SideBySide, write_report, write_side_by_side

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.figures,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to show the pages"),
]
AXE = Path(axe.__file__).parent / "axe.min.js"
SIZES = (1280, 375)  # CSS pixels
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with every kind of section, whose names and texts are markup."""
    rng = np.random.default_rng(0)
    groups = pd.DataFrame({EVIL: np.repeat([QUOTE, "day", "night " * 30], 80)})
    classes = (EVIL, QUOTE, "a" * 200, *(f"class {place}" for place in range(6)))
    predictions = images_of(classes, groups=groups, n=240)
    values = options(classes, groups=groups, n=240)
    worst = worst_images(predictions)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
    thumbnail = base64.b64encode(buffer.getvalue()).decode()
    images = ReportImages(
        failing_group_images(predictions, values["audit"]),
        worst,
        dict.fromkeys(worst.paths, thumbnail),
        heat={path: ImageHeatMap(EVIL, thumbnail) for path in worst.paths},
        heat_method="grad_cam",
    )
    more = {
        "title": EVIL,
        "excluded": [(QUOTE, EVIL)],
        "explanation": explain_gaps(predictions, by=EVIL, replicates=5),
        "images": images,
        "kept_epochs": (1,),
        "robustness": made_robustness(group=EVIL),
        "drift": {EVIL: made_drift(path="new/" + 60 * "long" + EVIL), "july": made_drift("NOT ENOUGH DATA")},
        "speed": {EVIL: made_benchmark(EVIL)},
    }
    return write_report(tmp_path_factory.mktemp("report") / "report.html", RunContents(**{**values, **more}))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two runs side by side, whose names are markup."""
    groups = pd.DataFrame({EVIL: np.repeat([QUOTE, "day", "night"], 40)})
    runs = {name: RunContents(**options((EVIL, "bees"), groups=groups)) for name in (EVIL, QUOTE)}
    path = tmp_path_factory.mktemp("both") / "both.html"
    return write_side_by_side(path, SideBySide(runs, (None,)))


@pytest.fixture
def opened(browser):
    """Return a function that opens a page, and checks that it complains of nothing, loads nothing and fits."""
    contexts = []

    def open_page(path, *, width=1280, scheme="light", scripts=True):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        said, loaded = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(path.as_uri())
        assert said == []
        assert [url for url in loaded if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in loaded if url.startswith("file:")]) == 1
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "dark"),
        (375, "light"),
        pytest.param(1280, "light", marks=pytest.mark.series),
        pytest.param(375, "dark", marks=pytest.mark.series),
    ],
)
def test_the_report_fits_the_page_in_light_and_dark(opened, report, width, scheme):
    page = opened(report, width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(17, 21, 25)") == (scheme == "dark")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), pytest.param(375, "dark", marks=pytest.mark.series)])
def test_the_report_has_no_serious_fault_of_accessibility(opened, report, width, scheme):
    page = opened(report, width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert faults(page) == []
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert [fault.partition(":")[0] for fault in faults(page, rules=["image-alt"])] == ["image-alt"]  # axe does look


def test_hostile_names_are_text_and_figures_have_a_size_on_a_telephone(opened, report):
    page = opened(report, width=375)
    assert page.title() == EVIL
    assert page.locator("h1").inner_text() == EVIL
    assert page.locator("script").count() == 0
    assert page.locator("img[src='x']").count() == 0
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('figure.plot img'))"
        ".map(one => [one.naturalWidth, one.clientWidth, one.complete])"
    )
    assert len(sizes) >= 4
    assert all(complete and natural > 200 for natural, _, complete in sizes)
    assert all(shown / natural > 0.75 for natural, shown, _ in sizes)  # letters keep about their size


def test_the_report_can_be_read_without_scripts_and_with_the_keyboard(opened, report):
    page = opened(report, scripts=False)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the summary"
    fold = page.locator("details").first
    assert not fold.locator(".inside").is_visible()
    fold.locator("summary").press("Enter")
    assert fold.locator(".inside").is_visible()
    assert page.locator(".term").first.get_attribute("title")


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.series), 375])
def test_runs_side_by_side_fit_and_their_names_are_text(opened, both, width):
    page = opened(both, width=width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text() == f"{EVIL}, {QUOTE}"
    assert page.locator("script").count() == 0
    assert width == 375 or faults(page) == []


def test_a_printed_report_has_its_folds_open(opened, report):
    page = opened(report)
    page.emulate_media(media="print")
    assert all(
        page.evaluate("Array.from(document.querySelectorAll('details .inside')).map(one => one.offsetHeight > 0)")
    )


def faults(page, *, rules=RULES) -> list[str]:
    """Return the serious and critical findings of axe-core on an open page."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}: {one['nodes'][0]['failureSummary'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
