"""Tables of verdicts as JUnit XML, which continuous integration systems read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from tlkit.tables.formatting import format_cell, format_header
from tlkit.tables.table import Table

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(table: Table, *, name: str, suite: str, classname: Sequence[str], case: Sequence[str]) -> str:
    """Return JUnit XML: a test case per row, a failure for FAIL, an error for a verdict other than FAIL and PASS.

    An undecided row is an error, so that it does not look like a pass. The message of a failure or error has all cells
    of the row with their headers.

    Args:
        table: a table with one column of kind "verdict" that has no empty cell.
        name: name of the root element.
        suite: name of the suite, such as the file of gates.
        classname: names of the columns in the class name of a case, joined by a full stop.
        case: names of the columns in the name of a case, joined by a colon.
    """
    (verdict_column,) = (column.name for column in table.columns if column.kind == "verdict")
    verdicts = table.column(verdict_column)
    assert all(verdicts), f"{table.name}: every row has a verdict"
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count("FAIL")),
        "errors": str(len(verdicts) - verdicts.count("FAIL") - verdicts.count("PASS")),
    }
    root = ET.Element("testsuites", {"name": _xml(name), **counts, "time": "0"})
    group = ET.SubElement(root, "testsuite", {"name": _xml(suite), **counts, "skipped": "0", "time": "0"})
    for row, verdict in zip(table.rows, verdicts, strict=True):
        texts = {column.name: format_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)}
        names = {
            "classname": _xml(".".join(texts[column] for column in classname)),
            "name": _xml(": ".join(texts[column] for column in case)),
        }
        element = ET.SubElement(group, "testcase", {**names, "time": "0"})
        if verdict != "PASS":
            kind = "failure" if verdict == "FAIL" else "error"
            message = _xml("; ".join(f"{format_header(column)}: {texts[column.name]}" for column in table.columns))
            ET.SubElement(element, kind, {"type": _xml(str(verdict)), "message": message}).text = message
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("�", text)
