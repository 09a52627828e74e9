"""Labels, columns and paths of lists, metadata and folders in several spellings."""

from __future__ import annotations

import re
import unicodedata

import pandas as pd
import pytest
from command import tlkit
from messages import says

from tlkit.data.checks.dataset_summary import summarize_data
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.manifest import apply_split, read_manifest, survey_list
from tlkit.data.sources.metadata import join_metadata
from tlkit.data.sources.read_samples import read_samples, read_with_columns
from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.errors import DataError
from tlkit.recipe import load_recipe


@pytest.fixture
def patients(photos, tmp_path):
    """Metadata of the photos: five patients, each of whom is written in four ways."""
    paths = [f"{label}/{k}.png" for label in ("ant", "bee") for k in range(10)]
    written = ["{}", "{} ", "{}.0", "\u00a0{}.00"]
    values = [written[k % 4].format(k % 5) for k in range(20)]
    pd.DataFrame({"path": paths, "patient": values}).to_csv(tmp_path / "meta.csv", index=False)
    return tmp_path / "meta.csv"


def test_no_patient_lies_on_two_sides_of_a_split(photos, patients, lines):
    samples = read_with_columns(photos, columns=("patient",), metadata=patients)
    assert sorted(set(samples.table["patient"])) == ["0", "1", "2", "3", "4"]
    assert says(lines(), "patient", "'0.0'", "as '0'")
    split = hold_out(samples, SplitPlan(val=0.4, group_by="patient", stratify=False)).table
    assert split.groupby("patient")["split"].nunique().max() == 1
    verbatim = ListOptions(verbatim=True)
    assert (
        read_with_columns(photos, columns=("patient",), metadata=patients, options=verbatim).groups["patient"].nunique()
        == 20
    )


def test_labels_of_a_list_are_one_class_and_case_is_only_warned_of(photos, tmp_path, lines):
    labels = ["cat", "cat ", "\ufeffcat", "1", "1.0", "Cat"]
    table = pd.DataFrame({"path": [f"ant/{k}.png" for k in range(6)], "label": labels})
    table.to_csv(tmp_path / "list.csv", index=False)
    assert read_samples(tmp_path / "list.csv").table["label"].tolist() == ["cat", "cat", "cat", "1", "1", "Cat"]
    assert says(lines(), "list.csv", "'cat '", "as 'cat'", "'1.0' as '1'")
    assert says(lines(), "'Cat' and 'cat'", "data.merge_classes")
    assert len(read_samples(tmp_path / "list.csv", options=ListOptions(verbatim=True)).classes) == 6


def test_class_folders_that_differ_in_white_space_are_one_class(make_image, tmp_path):
    for name in ("cat/1.png", "cat /1.png", "dog/1.png"):
        make_image(name)
    samples = read_samples(tmp_path)
    assert samples.classes == ("cat", "dog")
    assert samples.table["path"].tolist() == ["cat /1.png", "cat/1.png", "dog/1.png"]  # files keep their names


def test_classes_that_differ_in_case_are_merged_on_request(make_image, tmp_path, lines):
    for name in ("ANGER/1.png", "anger/1.png", "Anger/1.png", "joy/1.png"):
        make_image(name)
    merged = read_samples(tmp_path, options=ListOptions(merge_classes={"anger": ["ANGER", "Anger"]}))
    assert merged.classes == ("anger", "joy")
    assert not says(lines(), "case")
    assert says(read_lookalike_warning(tmp_path, lines), "data.merge_classes: {anger: [ANGER, Anger]}")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path, options=ListOptions(merge_classes={"anger": ["ANGRE"]}))
    assert says(caught.value, "ANGRE", "'ANGER'", "Anger, anger, joy")


@pytest.mark.parametrize("twins", [("2", "02"), ("false", "FALSE"), ("null", "Null"), ("a, b", "A, B")])
def test_the_classes_to_merge_are_stated_as_yaml_reads_them(twins, make_image, tmp_path, lines):
    for name in (*twins, "joy"):
        make_image(f"{name}/1.png")
    read_samples(tmp_path)
    (hint,) = re.findall(r"data\.merge_classes: (\{.*?\})\.", " ".join(lines()))
    stated = f"recipe_version: 1\nname: x\ndata: {{root: photos, merge_classes: {hint}}}\nmodel: {{name: resnet18}}\n"
    (tmp_path / "r.yaml").write_text(stated, encoding="utf-8")
    merge = load_recipe(tmp_path / "r.yaml").data.merge_classes
    assert len(read_samples(tmp_path, options=ListOptions(merge_classes=merge)).classes) == 2


def test_a_label_column_that_a_list_lacks_is_named_where_another_is_read(photos, tmp_path, lines):
    table = pd.DataFrame({"path": [f"{label}/{k}.png" for label in ("ant", "bee") for k in range(3)], "age": range(6)})
    table.assign(label=["x", "y"] * 3).to_csv(tmp_path / "list.csv", index=False)
    found = read_manifest(tmp_path / "list.csv", root=photos, options=ListOptions(names={"label": "agee"}))
    assert found.classes == ("x", "y") and says(lines(), "'agee'", "data.columns.label", "'label'", "'age'")
    before = len(lines())
    assert (
        len(read_manifest(tmp_path / "list.csv", root=photos, options=ListOptions(names={"label": "age"})).classes) == 6
    )
    assert not says(lines()[before:], "data.columns")


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "upright bars")])
@pytest.mark.parametrize("quote", ["", '"'])
def test_another_separator_is_named_also_between_quoted_names(mark, name, quote, tmp_path):
    file = tmp_path / "list.csv"
    rows = [("path", "label"), ("1.png", "ant")]
    file.write_text("\n".join(mark.join(f"{quote}{cell}{quote}" for cell in row) for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=f"separated by {name}; use commas"):
        read_manifest(file)


def read_lookalike_warning(folder, lines):
    read_samples(folder)
    return lines()[-1]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_list_finds_files_under_any_unicode_form_and_separator(make_image, tmp_path, form):
    disk = {"NFC": "NFD", "NFD": "NFC"}[form]
    for name in ("café/1.png", "bar/1.png"):
        make_image(unicodedata.normalize(disk, name))
    listed = [unicodedata.normalize(form, "café\\1.png"), " bar//1.png"]
    pd.DataFrame({"path": listed, "label": ["a", "b"]}).to_csv(tmp_path / "list.csv", index=False)
    samples = read_samples(tmp_path / "list.csv")
    assert samples.table["path"].tolist() == ["bar/1.png", unicodedata.normalize(disk, "café/1.png")]


def test_a_list_of_splits_is_matched_by_any_spelling(photos, tmp_path):
    rows = [
        (f"{label}\\{k}.png", f"{label} ", "Val " if k < 3 else "train") for label in ("ant", "bee") for k in range(10)
    ]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(tmp_path / "split.csv", index=False)
    assert apply_split(read_samples(photos), tmp_path / "split.csv").counts()["val"].tolist() == [3, 3]


def test_rows_of_one_image_that_agree_but_for_spelling_are_no_contradiction(photos, tmp_path):
    rows = "path,person\nant/0.png,7\n./ant/0.png,7.0\nant\\0.png,7 \nbee/0.png,  \n"
    (tmp_path / "meta.csv").write_text(rows)
    person = read_with_columns(photos, columns=("person",), metadata="meta.csv").table.set_index("path")["person"]
    assert person["ant/0.png"] == "7"
    assert pd.isna(person["bee/0.png"])


@pytest.fixture
def votes(photos, tmp_path):
    """A list by three annotators with its own names of columns: two images are disputed, one is tied."""
    rows = [(f"{label}/{k}.png", label) for label in ("ant", "bee") for k in range(10) for _ in range(3)]
    rows[0] = ("ant/0.png", "bee")
    rows[3] = ("ant/1.png", "wasp")
    rows[4] = ("ant/1.png", "bee")
    rows[30:32] = [("bee/0.png", "")] * 2
    pd.DataFrame(rows, columns=["image", "said"]).to_csv(tmp_path / "votes.CSV", index=False)
    return tmp_path / "votes.CSV"


def test_the_majority_of_several_annotators_counts_and_their_disagreement_is_told(votes, lines):
    options = ListOptions(names={"path": "image", "label": "said"}, annotations="majority")
    samples = read_samples(votes, options=options, columns=("agreement",))
    assert len(samples) == 19
    table = samples.table.set_index("path")
    assert table.loc[["ant/0.png", "ant/2.png", "bee/0.png"], "label"].tolist() == ["ant", "ant", "bee"]
    assert table.loc[["ant/0.png", "ant/2.png", "bee/0.png"], "agreement"].tolist() == ["0.667", "1", "1"]
    assert says(lines(), "votes.CSV", "19 of 20", "disagree", "2", "ant as bee (1)")
    assert says(lines(), "without a majority", "1", "ant/1.png")
    with pytest.raises(DataError) as caught:
        read_samples(votes, options=ListOptions(names={"path": "image", "label": "said"}))
    assert says(caught.value, "votes.CSV:", "listed again", "data.annotations: majority")


def test_a_column_of_another_name_is_asked_for(votes):
    with pytest.raises(DataError) as caught:
        read_samples(votes)
    assert says(caught.value, "'path'", "image, said", "data.columns.path=COLUMN", "--column path=COLUMN")
    with pytest.raises(DataError) as caught:
        ListOptions(names={"pth": "image"})
    assert says(caught.value, "'pth'", "'path'")


def test_a_mapped_column_replaces_one_that_has_its_name(photos, tmp_path):
    table = pd.DataFrame({"path": "s3://x", "image": ["ant/0.png", "bee/0.png"], " label ": ["a", "b"]})
    table.to_csv(tmp_path / "list.csv", index=False)
    samples = read_samples(tmp_path / "list.csv", options=ListOptions(names={"path": "image"}))
    assert samples.table["path"].tolist() == ["ant/0.png", "bee/0.png"]


def test_metadata_is_read_even_where_no_column_of_it_is_needed(photos, tmp_path):
    with pytest.raises(DataError) as caught:
        read_with_columns(photos, columns=(), metadata="gone.csv")
    assert says(caught.value, "gone.csv", "does not exist")
    (tmp_path / "meta.csv").write_text("path,site,id\n" + "".join(f"ant\\{k}.png,{k % 2},{k}\n" for k in range(10)))
    assert read_with_columns(photos, columns=(), metadata="meta.csv").group_columns == ()
    summary, _ = summarize_data(photos, metadata="meta.csv")
    assert summary.groups["site"]["0"] == {"train": 5, "val": 0, "test": 0}
    assert "id" not in summary.groups


def test_a_list_of_absolute_paths_names_the_option_that_states_their_folder(photos, tmp_path):
    (tmp_path / "lists").mkdir()
    rows = [(photos / label / f"{k}.png", label) for label in ("ant", "bee") for k in range(3)]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(tmp_path / "lists" / "all.csv", index=False)
    done = tlkit("data", "split", "lists/all.csv", "--out", "s.csv", cwd=tmp_path)
    assert (done.returncode, says(done.stderr, f"--root {photos}", "data.root")) == (2, True)
    done = tlkit("data", "doctor", "lists/all.csv", "--json", cwd=tmp_path)
    assert (done.returncode, says(done.stdout, f"--root {photos}", "data.root")) == (1, True)
    for command in (["summary"], ["doctor", "--fail-on", "never"], ["split", "--out", "s.csv"]):
        done = tlkit("data", *command, "lists/all.csv", "--root", photos, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert pd.read_csv(tmp_path / "s.csv")["path"].tolist()[0] == "ant/0.png"
    done = tlkit("data", "summary", photos, "--root", photos, cwd=tmp_path)
    assert (done.returncode, says(done.stderr, "--root", "list")) == (2, True)


def test_a_parquet_folder_is_a_list(photos, tmp_path):
    (tmp_path / "list.parquet").mkdir()
    for label in ("ant", "bee"):
        table = pd.DataFrame({"path": [f"{label}/{k}.png" for k in range(3)], "label": label})
        table.to_parquet(tmp_path / "list.parquet" / f"{label}.parquet")
    assert len(read_samples(tmp_path / "list.parquet")) == 6


def test_rows_of_a_list_of_votes_are_all_counted(photos, lines):
    rows = ["ant/0.png,ant,1", "./ant/0.png,ant,2", "ant\\0.png,bee,3", "ant/1.png,ant ,1", "ant/1.png,,2"]
    rows += ["bee/0.png,ant,1", "bee/0.png,bee,2", "bee/1.png,bee,1", "bee/1.png,bee,1", "bee/99.png,bee,1"]
    file = photos / "votes.csv"
    file.write_text("\n".join(["image,emotion,annotator", *rows]) + "\n")
    options = ListOptions(names={"path": "image", "label": "emotion"}, annotations="majority")
    survey = survey_list(file, columns=("agreement",), options=options)
    assert survey.samples.table["path"].tolist() == ["ant/0.png", "ant/1.png", "bee/1.png"]
    assert survey.samples.table["label"].tolist() == ["ant", "ant", "bee"]
    assert survey.samples.groups["agreement"].tolist() == ["0.667", "1", "1"]
    assert survey.entries.counts == {"found": 10, "read": 7, "companions": 0, "excluded": 0, "skipped": 3}
    assert [(entry.kind, entry.name) for entry in survey.entries.skipped] == [
        ("no-majority", "row 7"),
        ("no-majority", "row 8"),
        ("missing-file", "bee/99.png"),
    ]
    assert says(lines(), "without a majority", "bee/0.png")


def test_rows_in_several_spellings_are_counted_as_repeats(photos):
    file = photos / "list.csv"
    file.write_text("path,label,sex\nant/0.png,ant,1\n./ant/0.png,ant ,1.0\nbee\\0.png,bee,2\n")
    survey = survey_list(file, columns=("sex",))
    assert (survey.problems, survey.samples.table["path"].tolist()) == ((), ["ant/0.png", "bee/0.png"])
    assert [entry.kind for entry in survey.entries.skipped] == ["repeated"]
    file.write_text("path,sex\nant/0.png,1\n./ant/0.png,1.0\nbee\\0.png,2\nbee/77.png,2\n")
    joined, entries = join_metadata(read_samples(photos), file, groups=("sex",))
    assert joined.groups["sex"].dropna().tolist() == ["1", "2"]
    assert (entries.read, [entry.kind for entry in entries.skipped]) == (2, ["repeated", "no-image"])


def test_a_parquet_list_is_read_for_its_own_columns_only(photos):
    rows = [(f"{label}/{k}.png", label, None) for label in ("ant", "bee") for k in range(2)]
    rows += [(None, None, None), (None, None, "note")]
    table = pd.DataFrame(rows, columns=["path", "label", "note"]).assign(box=[{"x": 1}] * 4 + [None] * 2)
    table.to_parquet(photos / "list.parquet")
    survey = survey_list(photos / "list.parquet")
    assert len(survey.samples) == 4
    assert [(entry.kind, entry.name) for entry in survey.entries.skipped] == [
        ("wrong-row", "row 6"),
        ("blank-row", "row 5"),
    ]
    assert survey.entries.found == len(table)
    with pytest.raises(DataError, match="'box' cannot be used"):
        survey_list(photos / "list.parquet", columns=("box",))


def test_one_column_is_not_two():
    with pytest.raises(DataError) as error:
        ListOptions(names={"path": "image", "label": "image"})
    assert says(error.value, "path and label", "'image'", "a column of its own")
