"""Paragraphs keep to the width, align their texts, and let no name control the terminal."""

from __future__ import annotations

import pytest

from tlkit.tables import Paragraph, paragraph_lines
from tlkit.tables.text import display_width

LONG = "word " * 60


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("label", ["", "Next", "蚁" * 8, "x" * 70])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(width, label):
    lines = list(paragraph_lines([Paragraph(label, LONG), Paragraph("b", "end")], width=width))
    text = [line for line in lines if line.strip() != label]
    assert max(map(display_width, text)) <= width
    assert sum(line.split().count("word") for line in lines) == 60


def test_a_command_stays_on_one_line_to_be_copied():
    command = "tlkit repair " + "x" * 100
    assert list(paragraph_lines([Paragraph("Next", command, keep=True)], width=40)) == [f"Next  {command}"]


def test_names_cannot_control_the_terminal_and_color_is_only_where_it_is_wanted():
    hostile = [Paragraph("\x1b[2Jx", "a\rb\x07", color="31")]
    (plain,) = paragraph_lines(hostile)
    assert "\x1b" not in plain and "\r" not in plain and "\x07" not in plain
    (colored,) = paragraph_lines(hostile, colored=True)
    assert colored.count("\x1b") == 2 and colored.startswith("\x1b[31m")
