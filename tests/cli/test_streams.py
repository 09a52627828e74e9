"""Output to a stream whose encoding lacks letters."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tlkit.cli.app import main


def printed(monkeypatch, *words, encoding):
    """Run the command line with stdout in this encoding, and return what it wrote."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["tlkit", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    return written.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_letters_that_the_encoding_lacks_are_escaped(monkeypatch, tmp_path, encoding):
    file = tmp_path / "p.csv"
    file.write_text("path,y_true,y_pred\n" + "".join(f"{k}.png,Δx,{'Δx' if k else 'b'}\n" for k in range(9)))
    assert "\\u0394x" in printed(monkeypatch, "evaluate", str(file), "--details", encoding=encoding)
    found = json.loads(printed(monkeypatch, "evaluate", str(file), "--json", encoding=encoding))
    assert found == json.loads(printed(monkeypatch, "evaluate", str(file), "--json", encoding="utf-8"))
    assert "Δx" in printed(monkeypatch, "evaluate", str(file), "--details", encoding="utf-8")
