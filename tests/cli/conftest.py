from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tlkit.cli.app import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command line in this process and in tmp_path; return its exit code and what it wrote."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["tlkit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return SimpleNamespace(returncode=int(stop.value.code or 0), stdout=said.out, stderr=said.err)

    return run
