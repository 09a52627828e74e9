"""CSV files that people open in spreadsheets: no cell is a formula, and every cell is read back equal."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlkit.audit import audit_groups
from tlkit.cli.output import write_predictions
from tlkit.csv_files import NUMBER, csv_text, quoted, unquoted, write_csv
from tlkit.data.checks.label_decisions import read_decisions, write_decisions
from tlkit.data.sources.delimited_files import read_table
from tlkit.predictions import Predictions, read_predictions
from tlkit.samples import Samples

CELL = st.text("=+-@'\t ＝ax1.e", min_size=1, max_size=5) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=5
)
FORMULAS = ["=1+1", "+cmd", "-x", "@sum", " =1", "'=1", "''@", "-1", "+2.5", "＝1", "plain", "'tis", "--"]


@given(CELL)
def test_a_cell_is_no_formula_and_comes_back(text):
    written = quoted(text)
    assert unquoted(written) == text
    assert written.strip()[:1] not in ("=", "+", "-", "@") or NUMBER.fullmatch(written)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(CELL.filter(lambda text: "\0" not in text), min_size=1, max_size=4))
def test_a_table_comes_back(tmp_path, cells):
    table = pd.DataFrame({"path": [f"{k}.jpg" for k in range(len(cells))], "note": cells}, dtype="str")
    write_csv(tmp_path / "t.csv", table, quote_all=True)
    read = read_table(tmp_path / "t.csv", columns=("path", "note"), what="table")
    assert read["note"].tolist() == cells


def test_numbers_and_verbatim_columns_stay_and_names_of_columns_are_quoted():
    table = pd.DataFrame({"path": ["=a", "b"], "=n": [-1, 2.5], "text": ["-1", "-1e5x"], "none": [None, "@"]})
    assert csv_text(table, verbatim=["path"]) == "path,'=n,text,none\n=a,-1.0,-1,\nb,2.5,'-1e5x,'@\n"


def cells_of(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return [cell for row in csv.reader(opened) for cell in row]


def formulas_in(file):
    return [cell for cell in cells_of(file) if cell.strip()[:1] in "=+-@＝" and cell and not NUMBER.fullmatch(cell)]


@pytest.fixture
def samples(tmp_path):
    table = pd.DataFrame(
        {"path": [f"{f}/{k}.png" for k, f in enumerate(FORMULAS)], "label": FORMULAS, "split": "train"}
    )
    return Samples(tmp_path, tuple(sorted(FORMULAS)), table.assign(digest="", site=FORMULAS[::-1]).astype("str"))


def test_lists_of_splits_and_of_labels_come_back_equal(samples, tmp_path):
    samples.to_csv(tmp_path / "split.csv")
    again = Samples.from_csv(tmp_path / "split.csv", root=tmp_path)
    assert again.table.to_dict("list") == samples.table.to_dict("list")
    write_decisions(tmp_path / "labels.csv", samples.table[["path", "label", "digest"]])
    assert formulas_in(tmp_path / "split.csv") == formulas_in(tmp_path / "labels.csv") == []
    rows = pd.read_csv(tmp_path / "labels.csv", dtype=str).assign(decision="drop")
    rows.to_csv(tmp_path / "decided.csv", index=False)
    decided = read_decisions(tmp_path / "decided.csv", classes=samples.classes)
    assert [(one.path, one.label) for one in decided] == list(samples.table[["path", "label"]].itertuples(index=False))


def test_predictions_keep_their_paths_and_come_back_equal(samples, tmp_path, capsys):
    n = len(samples)
    proba = np.full((n, n), 1 / n)
    made = Predictions.build(
        classes=samples.classes,
        path=samples.paths,
        y_true=samples.table["label"].tolist(),
        proba=proba,
        groups=samples.groups,
        verbatim=True,
    )
    write_predictions(made, tmp_path / "p.csv", unreadable=())
    assert {text.split("/")[0] for text in formulas_in(tmp_path / "p.csv")} <= set(FORMULAS)
    assert not [cell for cell in formulas_in(tmp_path / "p.csv") if not cell.endswith(".png")]
    again = read_predictions(tmp_path / "p.csv", verbatim=True)
    assert again.path.tolist() == made.path.tolist()
    assert again.groups.equals(made.groups)
    assert (again.classes, again.y_true.tolist()) == (made.classes, made.y_true.tolist())


def test_an_export_holds_no_formula(tmp_path):
    n = 40
    groups = pd.DataFrame({"=by": ["=a", "@b"] * 20})
    made = Predictions.build(
        classes=["a", "b"], path=[str(k) for k in range(n)], y_true=[0] * n, y_pred=[0] * n, groups=groups
    )
    audit_groups(made, by="=by").export(tmp_path / "e.csv", min_cell_size=2)
    assert formulas_in(tmp_path / "e.csv") == []
    assert "'@b" in cells_of(tmp_path / "e.csv")
