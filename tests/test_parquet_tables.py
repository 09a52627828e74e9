"""Parquet columns of every kind, and tables in several files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from command import tlkit
from messages import says

from tlkit.audit import audit_groups
from tlkit.data.sources.delimited_files import read_table
from tlkit.errors import DataError, PredictionsError
from tlkit.parquet_tables import read_parquet
from tlkit.predictions import read_predictions

UTC = pa.timestamp("us", "UTC")
KINDS = {
    "list": (pa.array([["x", "y"], [], ["x", None], None]), ["x;y", None, "x", None]),
    "list of numbers": (pa.array([[1.0, 2.5], [3.0], [None], [1, 1]]), ["1;2.5", "3", None, "1"]),
    "list of categories": (
        pa.array([["a"], ["b", "a"]] * 2, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ["a", "b;a"] * 2,
    ),
    "fixed list": (pa.array([[1, 2], None] * 2, pa.list_(pa.int32(), 2)), ["1;2", None] * 2),
    "category": (pa.array(["a", "b", None, "a"]).dictionary_encode(), ["a", "b", None, "a"]),
    "category of numbers": (pa.array([1, 2, None, 1]).dictionary_encode(), ["1", "2", None, "1"]),
    "date": (pa.array([dt.date(2024, 1, 31), None] * 2), ["2024-01-31", None] * 2),
    "midnights": (pa.array([dt.datetime(2024, 1, 31), None] * 2), ["2024-01-31", None] * 2),
    "time in a zone": (pa.array([dt.datetime(2024, 1, 31, 4), None] * 2, UTC), ["2024-01-31 04:00:00+00:00", None] * 2),
    "time of day": (pa.array([dt.time(1, 2), None] * 2), ["01:02:00", None] * 2),
    "decimal": (pa.array([Decimal("1.50"), None] * 2), ["1.50", None] * 2),
    "boolean": (pa.array([True, False, None, True]), ["True", "False", None, "True"]),
    "bytes": (pa.array([b"ok", None] * 2), ["ok", None] * 2),
    "null": (pa.nulls(4), [None] * 4),
    "text": (pa.array(["a", None] * 2, pa.large_string()), ["a", None] * 2),
}
REFUSED = {
    "struct": pa.array([{"a": 1}] * 4),
    "map": pa.array([[("k", 1)]] * 4, pa.map_(pa.string(), pa.int64())),
    "list of structs": pa.array([[{"a": 1}]] * 4),
    "raw bytes": pa.array([b"\xff"] * 4),
    "list with separators": pa.array([["a;b"]] * 4),
}


def write(file, column):
    base = {"path": ["1", "2", "3", "4"], "label": ["a"] * 4, "y_true": ["a"] * 4, "y_pred": ["a", "b"] * 2}
    pq.write_table(pa.table({**base, "g": column}), file)
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_column_has_its_meaning(tmp_path, kind):
    column, expected = KINDS[kind]
    file = write(tmp_path / "t.parquet", column)
    groups = read_predictions(file).groups["g"]
    assert [None if pd.isna(value) else value for value in groups] == expected
    table = read_table(file, columns=("path", "g"), what="list")
    assert table["g"].tolist() == [value or "" for value in expected]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_column_without_one_value_is_refused_by_name(tmp_path, caplog, kind):
    file = write(tmp_path / "t.parquet", REFUSED[kind])
    assert read_predictions(file).group_columns == ("label",)
    assert says(caplog.messages, file, "g is left out", "Write")
    with pytest.raises(DataError) as caught:
        read_table(file, columns=("path", "g"), what="list")
    assert says(caught.value, file, "'g'", "Write")


def test_a_list_is_audited_by_each_of_its_values(tmp_path, caplog):
    caplog.set_level("INFO", "tlkit")
    tags = pa.array([["x", "y"], ["x"]] * 2)
    table = audit_groups(read_predictions(write(tmp_path / "t.parquet", tags)), by="g:separator=;").group_table("g")
    assert [(row.group, row.images) for row in table.rows] == [(("x",), 4), (("y",), 2)]
    assert says(caplog.messages, "g:separator=;")


def test_lists_of_labels_are_no_column_to_audit_by(tmp_path, caplog):
    caplog.set_level("INFO", "tlkit")
    pq.write_table(pa.table({"path": ["1", "2"], "label": pa.array([["x", "y"], ["x"]])}), tmp_path / "list.parquet")
    assert read_parquet(tmp_path / "list.parquet")[0]["label"].to_pylist() == ["x;y", "x"]
    assert says(caplog.messages, "label holds lists") and not says(caplog.messages, "separator=")


def test_a_partitioned_folder_is_one_table(tmp_path):
    table = pd.DataFrame(
        {"path": [str(k) for k in range(8)], "y_true": ["a", "b"] * 4, "y_pred": "a", "site": [1, 2] * 4}
    )
    schema = pa.schema([("site", pa.int64())])
    partitioning = ds.partitioning(schema, flavor="hive")
    ds.write_dataset(pa.Table.from_pandas(table), tmp_path / "preds", format="parquet", partitioning=partitioning)
    (tmp_path / "preds" / "_SUCCESS").touch()
    read = read_predictions(tmp_path / "preds")
    assert sorted(zip(read.path, read.groups["site"], strict=True)) == sorted(
        zip(table["path"], table["site"].astype(str), strict=True)
    )
    done = tlkit("evaluate", "preds", cwd=tmp_path)
    assert (done.returncode, "8" in done.stdout) == (0, True), done.stderr
    other = tlkit("evaluate", ".", cwd=tmp_path)
    assert other.returncode == 2


def test_parts_that_do_not_fit_together_are_told_apart_from_damage(tmp_path):
    table = pd.DataFrame({"path": ["a.png"], "y_true": ["a"], "y_pred": ["a"], "site": ["north"]})
    (tmp_path / "preds" / "site=1").mkdir(parents=True)
    table.to_parquet(tmp_path / "preds" / "site=1" / "a.parquet")
    with pytest.raises(PredictionsError) as error:
        read_predictions(tmp_path / "preds")
    assert says(error, "preds", "site", "incompatible")
