"""A run with a damaged file: every command that reads it ends with 0 or 2, and names the file where it ends with 2."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from messages import says
from run_fixtures import copy_of_run, day_and_night, working_in, write_recipe

from tlkit.cli.app import main
from tlkit.training.fit import fit

FUZZ = int(os.environ.get("TLKIT_FUZZ", "0"))
TRIED = FUZZ or 2  # altered values of each file and command
DEEP = b'{"test":' * 500 + b"1" + b"}" * 500
JUNK: tuple[Any, ...] = (None, True, -1, 1e300, "x", [], [1], {"x": 1})
READERS = {
    "run.json": ("evaluate", "predict", "show"),
    "recipe.yaml": ("card",),
    "environment.json": ("card", "evidence"),
    "split.csv": ("card",),
    "excluded.csv": ("card",),
    "leaks.csv": ("evaluate", "card"),
    "metrics.csv": ("report",),
    "evaluation.json": ("card", "show"),
    "audit.json": ("card", "show"),
    "explanation.json": ("evidence",),
    "predictions/test.parquet": ("evaluate", "audit", "errors", "calibration", "abstain", "conformal"),
    "model/val_scores.parquet": ("abstain", "conformal"),
    "model/model.json": ("predict", "card"),
    "model/model.safetensors": ("predict",),
}
SHORT = ("recipe.yaml", "leaks.csv", "model/model.json")
"""What `make test` damages; `make test-all` damages every file."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    groups = {"light": day_and_night, "age": lambda number, _: str(20 + number)}
    recipe = write_recipe(folder, strategy="frozen", groups=groups, report=True)
    with working_in(folder):
        fit(recipe)
    return folder


def exit_code(*arguments: str) -> tuple[int, str]:
    """Run the command line in this process and return its exit code and what it wrote to stderr."""
    error = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tlkit", *arguments])
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", error)
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), error.getvalue()
    return 0, error.getvalue()


def damages(sound: bytes, name: str, chance: random.Random) -> Iterator[bytes]:
    """Yield a truncated, an empty, a deeply nested, a binary and some altered versions of a file's content."""
    yield sound[: len(sound) // 2]
    yield b""
    yield DEEP
    yield bytes(range(256))
    for _ in range(TRIED):
        if name.endswith(".json"):
            yield altered_json(sound, chance)
        elif name.endswith(".csv"):
            yield altered_csv(sound, chance)
        elif name.endswith(".parquet"):
            yield altered_parquet(sound, chance)
        else:
            at = chance.randrange(len(sound))
            yield sound[:at] + b"\xff\x00" + sound[at + chance.randint(0, 3) :]


def altered_json(sound: bytes, chance: random.Random) -> bytes:
    """Return JSON with one value, at any depth, replaced or removed."""
    values = inner = json.loads(sound)
    while True:
        key = chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if not inner[key] or not isinstance(inner[key], dict | list) or chance.random() < 0.2:
            break
        inner = inner[key]
    if chance.random() < 0.3:
        del inner[key]
    else:
        inner[key] = chance.choice(JUNK)
    return json.dumps(values).encode()


def altered_csv(sound: bytes, chance: random.Random) -> bytes:
    """Return CSV without one of its columns, or with text in it."""
    names, *rows = list(csv.reader(io.StringIO(sound.decode())))
    at = chance.randrange(len(names))
    text = io.StringIO()
    if chance.random() < 0.5:
        changed = [[*row[:at], *row[at + 1 :]] for row in (names, *rows)]
    else:
        changed = [names, *([*row[:at], "some text", *row[at + 1 :]] for row in rows)]
    csv.writer(text, lineterminator="\n").writerows(changed)
    return text.getvalue().encode()


def altered_parquet(sound: bytes, chance: random.Random) -> bytes:
    """Return Parquet without one of its columns, or with one of another type, or with a first cell of another value."""
    table, content = pd.read_parquet(io.BytesIO(sound)), io.BytesIO()
    name = chance.choice(list(table.columns))
    new = chance.choice((None, True, -1, 2**40, 1.5, float("nan"), float("inf"), "x", "", b"\xff", [1.0], [], {"a": 1}))
    how = chance.choice(("drop", "column", "cell"))
    if how == "drop":
        table = table.drop(columns=name)
    elif how == "cell" and (isinstance(new, float) or new is None):
        table.loc[0, name] = new if pd.api.types.is_float_dtype(table[name].dtype) else None
    else:
        table[name] = [new] * len(table)
    table.to_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in SHORT else pytest.mark.series) for one in READERS]
)
def test_a_command_that_reads_a_damaged_file_ends_with_0_or_2(name, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = copy_of_run(made / "runs" / "tiny")
    file, chance = run.path / name, random.Random(name if not FUZZ else None)
    sound = file.read_bytes()
    assert exit_code("--quiet", *command(READERS[name][0], run.path, made))[0] == 0
    for content in damages(sound, name, chance):
        file.write_bytes(content)
        for verb in READERS[name]:
            code, said = exit_code("--quiet", *command(verb, run.path, made))
            assert code in (0, 2), f"{verb} of {name} = {content[:300]!r}: {said}"
            assert "Traceback" not in said
            assert code == 0 or Path(name).name in said or str(run.path) in said, said


def command(verb: str, run: Path, made: Path) -> list[str]:
    more = {"predict": [str(made / "colours"), "--out", "out.csv"], "evidence": ["--overwrite"]}
    return [verb, str(run), *more.get(verb, [])]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("leaks.csv", "path,split\na,test\n", "'how'"),
        ("metrics.csv", "epoch,val_loss\n1,low\n", "low"),
        ("audit.json", "[" * 100_000, "64 levels"),
        ("evaluation.json", '{"test": {"n": 1000000000000000000000}}', "out of range"),
        ("model/model.json", '{"format_version": 3}', "architecture"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(name, content, expected, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = copy_of_run(made / "runs" / "tiny")
    (run.path / name).write_text(content)
    code, said = exit_code("--quiet", *command("predict" if "model" in name else "report", run.path, made))
    assert code == 2
    assert Path(name).name in said
    assert expected in said or name == "model/model.json"


def test_a_table_with_broken_text_or_too_many_cells_is_named(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = copy_of_run(made / "runs" / "tiny")
    file = run.directory.predictions("test")
    table = pd.read_parquet(file)
    for cell, expected in ((b"\xff\xfe", "UTF-8"), ({"a": [1, 2]}, "struct")):
        table.assign(light=[cell] * len(table)).to_parquet(file)
        code, said = exit_code("audit", str(run.path), "--by", "light")
        assert code == 2
        assert says(said, "test.parquet", "light", expected)
    for column in (table["light"].str.encode("utf-8"), [[light] for light in table["light"]]):
        table.assign(light=column).to_parquet(file)
        assert exit_code("audit", str(run.path), "--by", "light")[0] == 0
    monkeypatch.setattr("tlkit.parquet_tables.MOST_CELLS", 3)
    code, said = exit_code("evaluate", str(run.path))
    assert code == 2
    assert "test.parquet" in said
