"""The HTML of results: texts of the data stay texts."""

from __future__ import annotations

from tlkit.notebook import html_lines, html_table

EVIL = "<b onclick='x'>&"
ESCAPED = "&lt;b onclick=&#x27;x&#x27;&gt;&amp;"


def test_every_text_is_escaped_wherever_it_stands():
    page = html_lines([EVIL], tag="li") + html_table([(EVIL,), (EVIL,)], title=EVIL, notes=[EVIL])
    assert page.count(ESCAPED) == 5
    assert "onclick='" not in page


def test_a_table_has_its_header_its_rows_and_no_caption_without_a_title():
    assert html_table([]) == ""
    head = "<thead><tr><th>a</th><th>b</th></tr></thead>"
    assert html_table([("a", "b")]) == f"<table>{head}<tbody></tbody></table>"
    body = "<tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></tbody>"
    assert html_table([("a", "b"), ("1", "2"), ("3", "4")]) == f"<table>{head}{body}</table>"
    caption = "<caption><b>t</b><br>n</caption>"
    assert html_table([("a", "b")], title="t", notes=["n"]) == f"<table>{caption}{head}<tbody></tbody></table>"
