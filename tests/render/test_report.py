from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from messages import says
from tables_of_predictions import predictions_of

from tlkit.audit.audit import audit_groups
from tlkit.audit.error_examples import worst_images
from tlkit.audit.explain import explain_gaps
from tlkit.evaluation import evaluate
from tlkit.render.report import ReportImages, RunContents, write_report

pytestmark = pytest.mark.figures

EVIL = "<script>alert(1)</script>"
QUOTE = '"><img src=x onerror=alert(2)>'
RECIPE = """name: pets
model:
  name: resnet18
  weights: hub
strategy: {kind: frozen}
"""


class Reader(HTMLParser):
    """Collects the elements, attributes and visible text of a page."""

    VOID = ("meta", "link", "img", "br", "wbr", "source")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def images_of(classes, *, groups=None, n=120):
    y_true = np.arange(n) % len(classes)
    y_pred = np.where(np.random.default_rng(0).random(n) < 0.85, y_true, (y_true + 1) % len(classes))
    proba = np.full((n, len(classes)), 0.2 / max(len(classes) - 1, 1))
    proba[np.arange(n), y_pred] = 0.8
    return predictions_of(y_true, proba=proba, classes=classes, **({} if groups is None else groups.to_dict("list")))


def options(classes=("ants", "bees"), *, groups=None, n=120, **changes):
    predictions = images_of(classes, groups=groups, n=n)
    counts = pd.DataFrame({"train": 40, "val": 0, "test": 20}, index=list(classes))
    values = {
        "title": "Pets",
        "recipe_text": RECIPE,
        "environment": {"torch": "2.13.0", "dataset": {"fingerprint": "sha256:abc", "licence": None}},
        "counts": counts,
        "history": pd.DataFrame({"epoch": [0, 1], "train_loss": [0.7, 0.25], "val_accuracy": [0.8, np.nan]}),
        "evaluation": evaluate(predictions),
        "audit": None if groups is None else audit_groups(predictions, by=list(groups.columns)),
        "excluded": [("ants/broken.jpg", "truncated after 3 bytes")],
        "notes": ["The weights are non-commercial."],
        "attribution": "Drawings: somebody, CC BY.",
        "split": "test",
    }
    return values | changes


def page_of(tmp_path, **values):
    path = write_report(tmp_path / "report.html", RunContents(**values))
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


LIGHT = pd.DataFrame({"light": ["day", "day", "day", "night", None, "dusk"] * 20})


def test_without_audit_and_history_the_page_leaves_those_parts_out(tmp_path):
    page = page_of(tmp_path, **options(history=None, excluded=[], notes=[], attribution=None, recipe_text="?"))
    assert "Audit" not in page.words
    assert "Training" not in page.words
    assert says(page.words, "120", "2", "Assessed", "classes")
    assert "optimistic" not in page.words
    assert says(page.words, "could be read")
    assert "Verdicts" not in page.words


def test_mistaken_images_are_shown_below_the_confusions(tmp_path):
    values = options()
    worst = worst_images(images_of(("ants", "bees")), most=2)
    page = page_of(tmp_path, **values, images=ReportImages((), worst, {worst.wrong[0].path: "AAAA"}))
    assert says(page.words, worst.errors, "120", "2")
    first = worst.wrong[0]
    assert f"{first.y_true} said {first.y_pred}, {100 * first.sure:.1f}% sure" in page.words
    none = worst_images(predictions_of("0", "0", classes="a"))
    assert "gets wrong" not in page_of(tmp_path, **values, images=ReportImages((), none)).words


def test_no_text_of_the_user_becomes_markup(tmp_path):
    groups = pd.DataFrame({EVIL: [QUOTE, EVIL, "$x^2$"] * 40})
    classes = (EVIL, QUOTE, "{{7}}")
    values = options(
        classes,
        groups=groups,
        explanation=explain_gaps(images_of(classes, groups=groups), by=EVIL, replicates=5),
        title=EVIL,
        recipe_text=f"name: '{EVIL}'\nmodel: {{name: '{QUOTE}'}}\nstrategy: {{kind: '{EVIL}'}}",
        environment={EVIL: QUOTE},
        excluded=[(QUOTE, EVIL)],
        notes=[EVIL, QUOTE],
        attribution=QUOTE,
        split=EVIL,
    )
    page = page_of(tmp_path, **values)
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.words.count(EVIL) >= 8
    assert "{{7}}" in page.words
    for svg in drawings(page):
        inside = [element.tag.rpartition("}")[2] for element in svg.iter()]
        assert "script" not in inside
        assert [tag for tag in inside if f" {tag} " not in DRAWN] == []


DRAWN = (
    " svg metadata RDF Work type format Agent creator title style defs g path rect text tspan use image clipPath date "
)


def drawings(page):
    """Return the figures of a page, parsed."""
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    return [ET.fromstring(base64.b64decode(source.partition(",")[2])) for source in sources]


def test_the_page_loads_nothing_and_has_a_figure_for_each_part(tmp_path):
    page = page_of(tmp_path, **options(groups=LIGHT))
    assert len(drawings(page)) == 5
    loads = [
        (tag, value) for tag, name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")
    ]
    assert all(value.startswith(("#", "data:")) for _, value in loads)
    text = (tmp_path / "report.html").read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in text


def test_the_page_can_be_read_without_seeing_it(tmp_path):
    page = page_of(tmp_path, **options(groups=LIGHT))
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("img") == len(
        [1 for tag, name, value in page.attributes if name == "alt" and len(value) > 40]
    )
    assert page.tags.count("table") == page.tags.count("caption")
    assert page.tags.count("th") == len([1 for tag, name, _ in page.attributes if (tag, name) == ("th", "scope")])
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value for _, name, value in page.attributes if name == "href" and value.startswith("#")}
    assert {target[1:] for target in targets} <= set(ids)
    labels = {value for _, name, value in page.attributes if name == "aria-labelledby"}
    assert labels <= set(ids)
    assert page.tags.count("h1") == 1


def test_equal_values_give_equal_bytes_and_leave_no_partial_file(tmp_path):
    values = options(groups=LIGHT)
    first = write_report(tmp_path / "new" / "a.html", RunContents(**values)).read_bytes()
    assert first == write_report(tmp_path / "new" / "b.html", RunContents(**values)).read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.html", "b.html"]
    assert len(first) < 300_000


def test_a_failure_leaves_the_old_report_in_place(tmp_path):
    path = write_report(tmp_path / "report.html", RunContents(**options()))
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_report(path, RunContents(**options(counts=None)))
    assert path.read_bytes() == before


@pytest.mark.series
def test_a_thousand_classes_still_make_a_page_of_reasonable_size(tmp_path):
    classes = [f"n{i:08d} some species or other" for i in range(1000)]
    path = write_report(tmp_path / "report.html", RunContents(**options(classes, n=5000)))
    assert path.stat().st_size < 1_000_000
    assert says(path.read_text(), "200", "1000", "evaluation.json")
    assert says(path.read_text(), "200", "1000", "split.csv")
