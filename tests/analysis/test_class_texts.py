"""Files of class names, synonyms and templates: what is read, and every wrong line named."""

from __future__ import annotations

import pytest
from image_folders import write_image_folder
from messages import says

from tlkit.analysis.class_texts import ClassTexts, read_synonyms, read_templates
from tlkit.analysis.labelled_images import read_labelled
from tlkit.errors import DataError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_that_names_an_image_under_two_classes_is_no_list_of_labels(tmp_path):
    write_image_folder(tmp_path, train=1)
    rows = "path,label\ntrain/blue/000.png,blue\ntrain/red/000.png,red\ntrain/red/000.png,{}\n"
    given = {"split": None, "columns": (), "stated": {}}
    twice = write(tmp_path / "l.csv", rows.format("red"))
    assert len(read_labelled(twice, ClassTexts.of(["blue", "red"]), **given)) == 2
    other = write(tmp_path / "l.csv", rows.format("blue"))
    with pytest.raises(DataError) as caught:
        read_labelled(other, ClassTexts.of(["blue", "red"]), **given)
    assert says(caught, other, "train/red/000.png", "another label", "one row")


def test_names_and_words_are_read(tmp_path):
    file = write(tmp_path / "c.txt", "\ufeff# animals\nants = ant |  carpenter   ant\n\nsea_lion\n")
    assert ClassTexts.read(file).words == {"ants": ("ant", "carpenter ant"), "sea_lion": ("sea lion",)}
    assert ClassTexts.of(str(file)) == ClassTexts.read(file)
    assert ClassTexts.of({"a": "b", "c": ["d", "e"]}).words == {"a": ("b",), "c": ("d", "e")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ant\nbee\nant = emmet\n", ["'ant'", "twice"]),
        ("ant\nbee =\n", ["'bee'", "empty word"]),
        ("ant\nbee = x |\n", ["'bee'", "empty word"]),
        ("= x\nbee\n", ["no class name"]),
        ("ant\nbee\nemmet = ant\n", ["'ant'", "'emmet'", "same words"]),
        ("sea_lion\nsea lion\n", ["'sea_lion'", "'sea lion'", "same words"]),
        ("a = x | y\nb = y | x\n", ["'a'", "'b'", "same words"]),
        ("ant\n# bee\n", ["1 classes", "two or more"]),
    ],
)
def test_wrong_lines_are_named(text, words, tmp_path):
    with pytest.raises(DataError) as error:
        ClassTexts.read(write(tmp_path / "c.txt", text))
    assert says(error, "c.txt", *words)


def test_files_that_are_missing_or_no_text_are_named(tmp_path):
    write(tmp_path / "classes.txt", "a\nb\n")
    with pytest.raises(DataError, match=r"classes\.txt"):
        ClassTexts.read(tmp_path / "clases.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match="UTF-8"):
        ClassTexts.read(tmp_path / "b.txt")


def test_synonyms_are_of_the_classes_and_other_words(tmp_path):
    texts = ClassTexts.of({"ants": ["ant"], "bees": ["bee"]})
    assert read_synonyms(None, texts) == {}
    assert read_synonyms(write(tmp_path / "s.txt", "ants = emmet | pismire\n"), texts) == {"ants": ("emmet", "pismire")}
    assert read_synonyms({"bees": "honeybee"}, texts) == {"bees": ("honeybee",)}
    with pytest.raises(DataError) as error:
        read_synonyms(write(tmp_path / "s.txt", "ant = emmet\nbees = bee\nants\n"), texts)
    assert len(error.value.problems) == 3
    assert says(error.value.problems, "'ant'", "ants") and says(error.value.problems, "'bees'", "already")
    with pytest.raises(DataError) as error:
        read_synonyms(write(tmp_path / "s.txt", "ants = emmet\nants = pismire\nbees =\n"), texts)
    assert len(error.value.problems) == 2
    assert says(error.value.problems, "'ants'", "2 times") and says(error.value.problems, "'bees'", "empty")
    for wrong in ({}, ["ants"], {"ants": ""}, {"ants": ["emmet", " "]}):
        with pytest.raises(DataError):
            read_synonyms(wrong, texts)


def test_templates_are_words_files_or_prompts(tmp_path):
    assert read_templates("plain") == ("{}",) and read_templates("simple") is read_templates("imagenet") is None
    assert read_templates(write(tmp_path / "t.txt", "# prompts\na photo of a {}.\n")) == ("a photo of a {}.",)
    assert read_templates(["{} here"]) == ("{} here",)
    for wrong in (["no place"], ["{} and {}"], ["{name} {}"], ["a {} }"], ["a {{}}"], []):
        with pytest.raises(DataError, match="templates"):
            read_templates(wrong)
    with pytest.raises(DataError, match="simple"):
        read_templates("simpel")
