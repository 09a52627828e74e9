from __future__ import annotations

import pandas as pd
import pytest
from messages import saying, says

from tlkit.data.sources.folder import scan_folder
from tlkit.data.sources.metadata import add_metadata
from tlkit.data.sources.read_samples import read_with_columns
from tlkit.errors import DataError


@pytest.fixture
def samples(photos):
    return scan_folder(photos)


def write(photos, text, name="meta.csv"):
    (photos / name).write_text(text, encoding="utf-8")
    return name


def problem(samples, name, groups):
    with pytest.raises(DataError) as caught:
        add_metadata(samples, name, groups=groups)
    return str(caught.value).replace(str(samples.root), "ROOT")


def test_group_columns_are_carried_as_text_and_empty_is_missing(samples, photos, lines):
    rows = "".join(f"{path},{number:02d},{'' if number % 2 else 'NA'},x\n" for number, path in enumerate(samples.paths))
    carried = add_metadata(samples, write(photos, "path,site,sex,other\n" + rows), groups=["sex", "site"])
    assert carried.group_columns == ("sex", "site")
    assert carried.groups["site"].tolist()[:3] == ["00", "01", "02"]
    assert carried.groups["sex"].isna().tolist() == [False, True] * 10
    assert carried.groups["sex"].dropna().unique().tolist() == ["NA"]
    assert samples.group_columns == ()
    assert lines() == [saying(photos / "meta.csv", "20")]


def test_paths_are_normalized_before_they_are_compared(samples, photos):
    text = f"path,g\n./ant/0.png,a\nant\\1.png,b\nbee//2.png,c\n{photos}/bee/3.png,d\n ant/./4.png ,e\n"
    groups = add_metadata(samples, write(photos, text), groups=["g"]).table.set_index("path")["g"].dropna()
    paths = ("ant/0.png", "ant/1.png", "bee/2.png", "bee/3.png", "ant/4.png")
    assert groups.to_dict() == dict(zip(paths, "abcde", strict=True))


def test_neither_a_byte_order_mark_nor_composed_accents_hide_a_path(tmp_path, make_image):
    make_image("caf\u00e9/1.png")
    make_image("bar/1.png")
    (tmp_path / "meta.csv").write_bytes("\ufeffpath,g\ncafe\u0301/1.png,yes\n".encode())
    assert add_metadata(scan_folder(tmp_path), "meta.csv", groups=["g"]).groups["g"].dropna().tolist() == ["yes"]


def test_a_partial_match_is_counted_and_named(samples, photos, lines):
    rows = "".join(f"{path},a\n" for path in samples.paths[:18]) + "gone.png,b\n"
    add_metadata(samples, write(photos, "path,g\n" + rows), groups=["g"])
    file = photos / "meta.csv"
    assert lines() == [
        saying(file, "18", "20"),
        saying(file, "2", "bee/8.png", "bee/9.png"),
        saying(file, "1", "gone.png"),
    ]


def test_no_match_shows_a_path_of_each_side(samples, photos):
    write(photos, "path,g\nphotos/ant/0.png,x\n")
    assert problem(samples, "meta.csv", ["g"]) == (
        saying("1", "ROOT/meta.csv", "ROOT", "photos/ant/0.png", "ant/0.png")
    )


def test_repeated_rows_must_agree_in_the_group_columns(samples, photos):
    write(photos, "path,g,h\nant/0.png,x,1\n./ant/0.png,x,2\n")
    assert add_metadata(samples, "meta.csv", groups=["g"]).groups["g"].notna().sum() == 1
    assert problem(samples, "meta.csv", ["g", "h"]) == saying("ROOT/meta.csv", "1", "ant/0.png")


def test_a_missing_group_column_lists_the_columns(samples, photos):
    write(photos, "path,skin_tone,age\nant/0.png,x,1\n")
    assert problem(samples, "meta.csv", ["skintone", "sex"]).splitlines() == [
        saying("ROOT/meta.csv", "'skintone'", "skin_tone", "'skin_tone'"),
        saying("ROOT/meta.csv", "'sex'", "skin_tone"),
    ]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("Path,g", saying("'Path'", "mean")),
        ("path;g", saying("separated", "semicolons", "commas")),
        ("path\tg", saying("seems", "separated", "commas")),
        ("file,g", saying("It has file, g.")),
    ],
)
def test_a_missing_path_column_is_explained(samples, photos, header, hint):
    write(photos, f"{header}\n")
    assert problem(samples, "meta.csv", ["g"]) == saying("ROOT/meta.csv", "'path'", hint)


@pytest.mark.parametrize("name", ["label", "split", "digest", "y_true", "proba_x"])
def test_names_of_tlkits_own_columns_cannot_be_groups(samples, photos, name):
    write(photos, f"path,{name}\nant/0.png,x\n")
    assert problem(samples, "meta.csv", [name]) == saying(f"'{name}'", "ROOT/meta.csv")


def test_a_missing_file_suggests_a_similar_name(samples, photos):
    write(photos, "path,g\n", "metadata.csv")
    assert problem(samples, "metadta.csv", ["g"]) == saying("ROOT/metadta.csv", "'metadata.csv'")


def test_what_is_not_a_table_is_an_error(samples, photos):
    (photos / "meta.csv").write_bytes("path,g\nant/0.png,\xe9\n".encode("latin-1"))
    assert says(problem(samples, "meta.csv", ["g"]), "ROOT/meta.csv", "UTF-8")
    write(photos, "")
    assert problem(samples, "meta.csv", ["g"]) == saying("ROOT/meta.csv", "CSV")


def test_missing_values_round_trip_through_a_file(samples, photos, tmp_path):
    carried = add_metadata(samples, write(photos, "path,g\nant/0.png,x\n"), groups=["g"])
    carried.to_csv(tmp_path / "split.csv")
    again = type(carried).from_csv(tmp_path / "split.csv", root=photos)
    pd.testing.assert_frame_equal(again.table, carried.table)


def test_a_missing_file_is_named_in_both_places_where_it_was_looked_for(samples, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = problem(samples, "meta/none.csv", ["g"])
    assert says(message, "ROOT/meta/none.csv", "working directory", "meta/none.csv")


def test_the_file_in_the_folder_of_images_is_read_first_and_the_other_one_is_named(
    samples, photos, tmp_path, monkeypatch, lines
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "meta.csv").write_text("path,g\nant/0.png,here\n")
    assert add_metadata(samples, "meta.csv", groups=["g"]).groups["g"].dropna().tolist() == ["here"]
    write(photos, "path,g\nant/0.png,images\n")
    lines()
    assert add_metadata(samples, "meta.csv", groups=["g"]).groups["g"].dropna().tolist() == ["images"]
    assert says(lines(), photos / "meta.csv", elsewhere / "meta.csv")


def test_a_file_that_is_stated_must_exist_even_where_no_column_of_it_is_needed(samples):
    with pytest.raises(DataError, match=r"none\.csv"):
        read_with_columns(samples, columns=(), metadata="none.csv")
