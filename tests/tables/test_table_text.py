"""Tables as text: alignment, wrapping on a narrow terminal, and replaced control characters."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying

from tlkit.cli.output import print_tables
from tlkit.tables import Column, Table, to_lines

ROWS = [("backbone", "million parameters", "accuracy"), ("resnet18", "11.2", "0.714 [0.655, 0.767]"), ("vit", "5.5")]


def text_table(rows, *, header=True):
    """Return a table whose columns hold text; the first row is its header."""
    labels, *body = rows if header else [[""] * len(rows[0]), *rows]
    columns = tuple(Column(str(place), label) for place, label in enumerate(labels))
    return Table("t", "", columns, tuple((*row, *[""] * (len(labels) - len(row))) for row in body))


def lines(rows, width=None, *, header=True):
    return list(to_lines([text_table(rows, header=header)], width=width))


def test_columns_are_aligned():
    assert lines(ROWS) == [
        saying("backbone", "parameters", "accuracy"),
        "--------  ------------------  --------------------",
        "resnet18  11.2                0.714 [0.655, 0.767]",
        "vit       5.5",
    ]
    assert lines(ROWS, 50) == lines(ROWS)
    assert lines([("report", "a.html"), ("model", "m")], 80, header=False) == ["report  a.html", "model   m"]


def test_wide_and_combining_letters_are_aligned_by_their_terminal_width():
    accent = "e\u0301te\u0301"  # as macOS writes names: letters with accents of their own
    assert lines([("class", "n"), ("蚂蚁 꿀벌", "1"), (accent, "2")]) == [
        "class      n",
        "---------  -",
        "蚂蚁 꿀벌  1",
        f"{accent}        2",
    ]
    assert lines([("class", "n"), ("蚂蚁 꿀벌", "1")], 8) == ["class  n", "-----  -", "蚂蚁   1", "꿀벌"]


def test_the_widest_cells_are_wrapped_at_words():
    assert lines(ROWS, 42) == [
        "backbone  million          accuracy",
        "          parameters",
        "--------  ---------------  ---------------",
        "resnet18  11.2             0.714 [0.655,",
        "                           0.767]",
        "vit       5.5",
    ]


def test_rows_become_blocks_where_wrapping_is_not_enough():
    assert lines(ROWS, 20) == [
        "backbone            resnet18",
        "million parameters  11.2",
        "accuracy            0.714 [0.655, 0.767]",
        "",
        "backbone            vit",
        "million parameters  5.5",
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text("ab c", max_size=12), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(5, 60)
)
def test_no_word_is_lost_and_columns_fit(rows, width):
    narrow = lines([("N", "M", "O"), *rows], width)
    letters = sorted("".join(narrow).replace(" ", ""))
    expected = "".join(cell for row in rows for cell in row).replace(" ", "")
    assert sorted(letter for letter in letters if letter in "abc") == sorted(expected)
    if any(line.startswith("-") for line in narrow):
        assert all(len(line) <= width for line in narrow)


@pytest.mark.parametrize(("terminal", "fits"), [(True, True), (False, False)])
def test_tables_are_wrapped_on_a_terminal_only(monkeypatch, capsys, terminal, fits):
    monkeypatch.setenv("COLUMNS", "42")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    print_tables([text_table(ROWS)])
    assert (max(map(len, capsys.readouterr().out.splitlines())) <= 42) == fits


def test_numbers_are_aligned_right_and_text_left():
    columns = (Column("class", "class"), Column("n", "images", "count"))
    assert list(to_lines([Table("t", "", columns, (("cat", 12345), ("dog", None)))])) == [
        "class  images",
        "-----  ------",
        "cat    12,345",
        "dog         –",
    ]


def test_titles_precede_rows_notes_follow_and_an_empty_line_separates_tables():
    columns = (Column("n", "n", "count"),)
    tables = [Table("a", "First", columns, ((1,), (2,), (3,)), notes=("A note.",)), Table("b", "Second", columns, ())]
    assert list(to_lines(tables, most_rows=2)) == [
        "First",
        "n",
        "-",
        "1",
        "2",
        "",
        "… and 1 more row.",
        "A note.",
        "",
        "Second",
    ]


def test_control_characters_in_texts_are_replaced():
    evil = "a\nb\x1b[31m"
    table = Table(evil, evil, (Column("a", evil),), ((evil,),), notes=(evil,))
    shown = list(to_lines([table]))
    assert len(shown) == 6
    assert all(line.isprintable() for line in shown)


def test_rows_that_are_worse_and_better_have_colors_of_their_own():
    columns = (Column("name", "group"), Column("n", "images", "count"))
    table = Table("t", "", columns, (("a", 1), ("b", 2), ("c", 3)), marks={0: "worst", 2: "better"})
    plain, colored = list(to_lines([table])), list(to_lines([table], colored=True))
    assert "\x1b" not in "".join(plain)
    assert colored[:2] == plain[:2] and colored[3] == plain[3]
    assert colored[2] == f"\x1b[31m{plain[2]}\x1b[0m" and colored[4] == f"\x1b[36m{plain[4]}\x1b[0m"
