"""Tables as HTML, Markdown, JSON and JUnit XML: every medium has the same cells, and texts are escaped."""

from __future__ import annotations

import json
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from tlkit.stats.estimate import Estimate
from tlkit.tables import Column, Table, format_cell, to_html, to_json, to_junit, to_markdown

EVIL = "<b onclick='x'>&`*[a](b)|"
COLUMNS = (
    Column("name", "class"),
    Column("n", "images", "count"),
    Column("accuracy", "accuracy", "estimate"),
    Column("latency", "latency", "number", unit="ms", digits=1),
)
TABLE = Table(
    "classes",
    "Classes",
    COLUMNS,
    (("cat", 1200, Estimate(0.5, 0.25, 0.75, n=1200), 3.25), ("dog", None, None, None)),
    notes=("A note.",),
    marks={1: "worst"},
)


class Parser(HTMLParser):
    """Collects the texts of cells by row, and the attributes of every element."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.elements = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.elements[-1][0] in ("td", "th"):
            self.rows[-1][-1] += data


def texts(table):
    return [[format_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]


def test_html_has_header_cells_marks_and_notes():
    page = to_html([TABLE])
    parsed = Parser(page)
    assert [[cell.strip() for cell in row] for row in parsed.rows] == [
        ["class", "images", "accuracy", "latency (ms)"],
        *texts(TABLE),
    ]
    assert [attrs.get("class") for tag, attrs in parsed.elements if tag == "tr"] == [None, None, "worst"]
    assert [attrs["class"] for tag, attrs in parsed.elements if tag == "td"] == ["number"] * 6
    assert {attrs["scope"] for tag, attrs in parsed.elements if tag == "th"} == {"row", "col"}
    assert "Classes" in page and "A note." in page


def test_html_of_long_tables_has_50_rows_and_a_note():
    table = Table("t", "", (Column("n", "n", "count"),), tuple((n,) for n in range(200)))
    assert len(Parser(to_html([table])).rows) == 51
    assert "150 more rows" in to_html([table])
    assert len(Parser(to_html([table], most_rows=None)).rows) == 201


def test_html_escapes_every_text():
    table = Table(EVIL, EVIL, (Column("a", EVIL),), ((EVIL,),), notes=(EVIL,))
    for page in (to_html([table]), to_html([Table(EVIL, EVIL, (Column("a", EVIL),), (), notes=(EVIL,))])):
        assert not any("onclick" in attrs for _, attrs in Parser(page).elements)
        assert "<b" not in page


def test_markdown_has_every_cell_and_escapes_texts():
    lines = to_markdown([TABLE]).splitlines()
    assert lines[0] == "**Classes**"
    grid = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert grid[1] == ["---", "---:", "---:", "---:"]
    assert grid[2:] == texts(TABLE)
    assert lines[-1] == "A note."
    evil = to_markdown([Table("t", EVIL, (Column("a", EVIL),), ((EVIL,),), notes=(EVIL,))])
    assert "<" not in evil
    assert "\\[a\\](b)\\|" in evil and "\\`\\*" in evil


def test_the_note_of_an_estimate_is_escaped_in_markdown():
    table = Table("t", "", (Column("a", "a", "estimate"),), ((Estimate(None, None, None, n=0, note="a|b"),),))
    assert "undefined (a\\|b)" in to_markdown([table])


def test_json_keeps_full_precision_and_can_be_dumped():
    columns = (*COLUMNS, Column("used", "last used", "time"))
    value = Estimate(1 / 3, 0.1, 0.9, n=3)
    table = Table("t", "T", columns, (("cat", 3, value, 1 / 7, datetime(2026, 1, 2)),), notes=("A note.",))
    (read,) = json.loads(json.dumps(to_json([table])))
    assert read["rows"] == [
        {"name": "cat", "n": 3, "accuracy": value.to_dict(), "latency": 1 / 7, "used": "2026-01-02T00:00:00"}
    ]
    assert (read["name"], read["title"], read["notes"]) == ("t", "T", ["A note."])
    assert read["columns"][3] == {"name": "latency", "label": "latency", "kind": "number", "unit": "ms"}


def verdict_table(*verdicts):
    columns = (
        Column("gate", "gate"),
        Column("group", "group"),
        Column("n", "n", "count"),
        Column("v", "verdict", "verdict"),
    )
    return Table("gates", "", columns, tuple((f"gate {n}", "a < b\x00", n, one) for n, one in enumerate(verdicts)))


def test_junit_has_a_case_per_row_a_failure_for_fail_and_an_error_for_undecided_rows():
    table = verdict_table("PASS", "FAIL", "NOT ENOUGH DATA", "FAIL")
    root = ET.fromstring(to_junit(table, name="gates", suite="gates.yaml", classname=["group"], case=["gate", "group"]))
    (suite,) = root
    assert [suite.attrib[name] for name in ("name", "tests", "failures", "errors")] == ["gates.yaml", "4", "2", "1"]
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"], ["failure"]]
    assert (suite[1].attrib["name"], suite[1].attrib["classname"]) == ("gate 1: a < b�", "a < b�")
    message = suite[1][0].attrib["message"]
    assert all(part in message for part in ("gate 1", "n: 1", "FAIL"))


def test_junit_needs_a_verdict_for_every_row():
    with pytest.raises(AssertionError):
        to_junit(verdict_table("PASS", None), name="n", suite="s", classname=["group"], case=["gate"])
