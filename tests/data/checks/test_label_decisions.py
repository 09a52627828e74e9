"""Decisions on labels: written, edited, read, applied, and errors in the file."""

from __future__ import annotations

import csv
import logging
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says

from tlkit.data.checks.label_decisions import apply_decisions, read_decisions, write_decisions
from tlkit.errors import DataError
from tlkit.samples import Samples

CLASSES = ("ant", "bee", "wasp")


def samples_of(rows):
    """Return samples of (path, label, split, digest)."""
    table = pd.DataFrame(rows, columns=["path", "label", "split", "digest"], dtype="str")
    return Samples(Path("nowhere"), CLASSES, table)


@pytest.fixture
def samples():
    rows = [
        (f"{label}/{i}.png", label, "val" if i == 3 else "train", f"{label}{i}") for label in CLASSES for i in range(4)
    ]
    return samples_of(rows)


@pytest.fixture
def decided(tmp_path, monkeypatch):
    """Write a file of decisions, one (path, label, decision, digest) a row, into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(*rows, columns=("path", "label", "decision", "digest")):
        with Path("labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
        return "labels.csv"

    return write


def test_decisions_relabel_and_drop_and_leave_the_splits_alone(samples, decided, caplog):
    caplog.set_level(logging.INFO, logger="tlkit")
    file = decided(
        ("ant/0.png", "ant", "relabel to bee", "ant0"),
        ("bee/3.png", "bee", " Relabel to wasp ", "bee3"),
        ("wasp/1.png", "wasp", "DROP", "wasp1"),
        ("wasp/2.png", "wasp", "keep", "wasp2"),
        ("ant/1.png", "ant", "", "ant1"),
    )
    after = apply_decisions(samples, [file])
    labels = after.table.set_index("path")["label"]
    assert (labels["ant/0.png"], labels["bee/3.png"], labels["ant/1.png"]) == ("bee", "wasp", "ant")
    assert "wasp/1.png" not in labels and len(after) == 11 and after.classes == CLASSES
    before = samples.table.set_index("path")["split"]
    assert (after.table.set_index("path")["split"] == before[after.table["path"]]).all()
    assert samples.table["label"][0] == "ant"
    assert says(caplog.messages[-1], "2", "12", "1", "relabelled", "dropped")
    assert caplog.messages[-1].startswith("labels.csv (sha256 ")


def test_all_problems_of_decisions_are_reported_with_lines(samples, decided):
    file = decided(
        ("ant/0.png", "ant", "relabel to bea", ""),
        ("ant/1.png", "ant", "kep", ""),
        ("ant/2.png", "ant", "bee", ""),
        ("bee/0.png", "bee", "drop", ""),
        ("bee/0.png", "bee", "keep", ""),
        ("bee/1.png", "bee", "relabel to", ""),
    )
    with pytest.raises(DataError) as caught:
        read_decisions(file, classes=CLASSES)
    assert caught.value.problems == (
        saying("labels.csv:2", "ant/0.png", "'bea'", "'bee'"),
        saying("labels.csv:3", "ant/1.png", "'kep'", "keep", "CLASS", "'keep'"),
        saying("labels.csv:4", "ant/2.png", "'bee'", "keep", "CLASS", "'relabel to bee'"),
        saying("labels.csv:6", "bee/0.png", "5"),
        saying("labels.csv:7", "bee/1.png", "'relabel to'", "keep", "CLASS", "'relabel to ant'"),
    )


def test_a_file_without_decisions_is_refused(decided, tmp_path):
    def message(file="labels.csv"):
        with pytest.raises(DataError) as caught:
            read_decisions(file, classes=CLASSES)
        return str(caught.value)

    decided()
    assert message("label.csv") == saying("label.csv", "'labels.csv'", "RUN", "--out", "FILE")
    decided(columns=("path", "label", "decisions"))
    assert message() == saying("labels.csv", "'decision'", "'decisions'")
    Path("labels.csv").write_text("path;label;decision\na;b;keep\n")
    assert says(message(), "separated", "semicolons", "commas")
    Path("labels.csv").write_text("path,label,decision\nant/0.png,ant\n")
    assert message() == saying("labels.csv:2", "2", "3")
    Path("labels.csv").write_text('path,label,decision\nant/0.png,ant,keep\n"ant/1.png"x,ant,keep\n')
    assert says(message(), "labels.csv:3", "CSV")
    Path("labels.csv").write_bytes("path,label,decision\ngrün.png,ant,keep\n".encode("latin-1"))
    assert says(message(), "UTF-8", "Save")


def test_decisions_on_changed_or_missing_images_are_skipped_and_named(samples, decided, caplog):
    file = decided(("ant/0.png", "ant", "drop", "another"), ("gone.png", "ant", "relabel to bee", "x"))
    pd.testing.assert_frame_equal(apply_decisions(samples, [file]).table, samples.table)
    assert caplog.messages[-2:] == [saying("1", "ant/0.png"), saying("1", "gone.png")]


def test_files_apply_in_turn_and_a_stale_label_is_refused(samples, decided):
    Path(decided(("ant/0.png", "ant", "relabel to bee", "ant0"))).rename("first.csv")
    file = decided(("ant/0.png", "bee", "relabel to wasp", "ant0"))
    assert apply_decisions(samples, ["first.csv", file]).table["label"][0] == "wasp"
    with pytest.raises(DataError, match=saying("labels.csv:2", "ant/0.png", "RUN", "--out", "FILE").pattern):
        apply_decisions(samples, [file])


def test_a_class_keeps_a_training_image(samples, decided):
    file = decided(*((f"ant/{i}.png", "ant", "drop" if i else "relabel to bee", "") for i in range(3)))
    with pytest.raises(DataError, match=saying("labels.csv", "relabels", "training").pattern):
        apply_decisions(samples, [file])


def test_a_file_of_decisions_is_never_overwritten(tmp_path):
    table = pd.DataFrame({"path": ["a"], "label": ["ant"], "digest": [""]})
    file = write_decisions(tmp_path / "new" / "labels.csv", table)
    assert file.read_text() == '"path","label","decision","digest"\n"a","ant","",""\n'
    with pytest.raises(DataError, match=saying(file, "exists", "Remove it").pattern):
        write_decisions(file, table)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_decisions_or_a_data_error(junk, headed):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.csv"
        file.write_bytes(b"path,label,decision\n" * headed + junk)
        try:
            found = read_decisions(file, classes=CLASSES)
        except DataError as error:
            assert str(file) in str(error)
        else:
            assert all(one.action in ("keep", "drop", "relabel") for one in found)


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda word: word == word.strip())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(text, min_size=2, max_size=4, unique=True), st.lists(text, min_size=1, max_size=6, unique=True), st.data()
)
def test_decisions_round_trip(classes, paths, data):
    labels = [data.draw(st.sampled_from(classes)) for _ in paths]
    wanted = [data.draw(st.sampled_from(["keep", "drop", *(f"relabel to {name}" for name in classes)])) for _ in paths]
    table = pd.DataFrame({"path": paths, "label": labels, "digest": [f"{i}" for i in range(len(paths))]})
    with tempfile.TemporaryDirectory() as folder:
        file = write_decisions(Path(folder) / "labels.csv", table)
        assert read_decisions(file, classes=classes) == ()
        edited = pd.read_csv(file, dtype="str", keep_default_na=False)
        edited.assign(decision=wanted).to_csv(file, index=False)
        found = read_decisions(file, classes=classes)
    assert [one.path for one in found] == paths and [one.label for one in found] == labels
    said = [one.action if one.action != "relabel" else f"relabel to {one.new_label}" for one in found]
    assert said == wanted
    assert [one.line for one in found] == list(range(2, len(paths) + 2))
