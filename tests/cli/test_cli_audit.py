"""`tlkit audit` with cut columns, criteria, clusters and an export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import invoke
from messages import saying, says
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.errors import TlkitError
from tlkit.predictions import joined_tables


@pytest.fixture
def csv(tmp_path):
    generator = np.random.default_rng(0)
    age = generator.integers(18, 90, 400)
    wrong = generator.random(400) < np.where(age > 60, 0.4, 0.05)
    truth = generator.choice(["cat", "dog"], 400)
    frame = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(400)],
            "y_true": truth,
            "y_pred": np.where(wrong, np.where(truth == "cat", "dog", "cat"), truth),
            "age": age,
            "tags": generator.choice(["a", "b", "a;b"], 400),
            "burst": np.repeat(np.arange(80), 5),
        }
    )
    frame.to_csv(tmp_path / "p.csv", index=False)
    return tmp_path / "p.csv"


def audit(*arguments):
    """Return what `tlkit audit` prints with every table."""
    arguments = arguments if "--json" in arguments else (*arguments, "--details")
    done = invoke(["-q", "audit", *map(str, arguments)], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_columns_are_cut_on_the_command_line_and_the_summary_comes_first(csv):
    out = audit(csv, "--by", "age:bins=40,60", "--by", "tags:separator=;", "--max-intersection-order", "1")
    lines = out.splitlines()
    assert says(" ".join(lines[:2]), "400 images", "age, tags", "FAIL")
    assert says(lines, "Audit by age, tags", "✗ FAIL")
    assert says(lines, "age", "40, 60")
    ages = lines[lines.index("Accuracy by age") :]
    assert [line.split("  ")[0] for line in ages[3:6]] == ["<40", "[40, 60)", "≥60"]
    tags = lines[lines.index("Accuracy by tags") :]
    assert tags[3].startswith("a ")
    assert says(audit(csv, "--by", "tags:separator=;"), "tags", "2", "';'")


def test_criteria_clusters_and_tolerance_reach_the_audit(csv):
    criteria = "--by age:quantiles=3 --criterion equal_opportunity --positive cat --cluster-by burst --tolerance 0.1"
    out = audit(csv, *criteria.split(), "--json")
    settings = json.loads(out)["settings"]
    assert settings["criteria"] == ["equal_opportunity"]
    assert (settings["positive"], settings["cluster_by"], settings["tolerance"]) == ("cat", "burst", 0.1)
    assert json.loads(out)["explanation"]["settings"]["cluster_by"] == "burst"


def test_what_lies_behind_the_gaps_says_that_it_allows_for_clusters(csv):
    asked = (csv, "--by", "age:quantiles=3")
    summary, _, behind = audit(*asked, "--cluster-by", "burst").partition("Behind the gaps\n")
    assert says(summary, "clusters of burst", "Design effects")
    assert behind.splitlines()[1] == saying("clusters of burst")
    assert "p trend (t)" in behind
    plain = audit(*asked)
    assert "allow for" not in plain
    assert "p trend (Cochran–Armitage)" in plain


def test_identifiers_are_left_out_by_default_with_a_remedy(csv):
    frame = pd.read_csv(csv).assign(subject=[f"s{i // 3}" for i in range(400)], tags="a")
    frame.to_csv(csv, index=False)
    out = audit(csv, "--cluster-by", "burst")
    assert "Audit by age, tags: " in out
    done = invoke(["audit", str(csv)])
    assert done.exit_code == 0
    assert says(done.stderr, "Not audited by subject", "50", "identifier", "cluster_by")


@pytest.mark.parametrize("by", [(), ("--by", "age")])
def test_a_file_without_group_columns_is_answered_with_the_way_to_join_them(csv, by):
    pd.read_csv(csv)[["path", "y_true", "y_pred"]].to_csv(csv, index=False)
    with pytest.raises(TlkitError, match=saying("p.csv", "no group columns", "--groups FILE").pattern):
        audit(csv, *by)


def test_an_export_hides_small_cells(csv, tmp_path):
    audit(csv, "--by", "age:bins=19,60", "--export", tmp_path / "out.csv", "--min-cell-size", "20")
    table = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert list(table.columns) == ["by", "group", "images", "right"]
    assert (table["images"] == "hidden").sum() >= 2
    with pytest.raises(TlkitError, match=r"out.csv exists"):
        audit(csv, "--by", "age:bins=19,60", "--export", tmp_path / "out.csv")
    with pytest.raises(TlkitError, match=saying("'age:bins=old'", "no cut of age").pattern):
        audit(csv, "--by", "age:bins=old")


def test_names_from_a_file_cannot_break_lines_or_control_the_terminal(capsys):
    from tlkit.cli.output import print_lines, print_tables
    from tlkit.tables import Column, Table

    print_tables([Table("t", "", (Column("group", "group"), Column("n", "n")), (("a\nb\x1b[31m", "7"),))])
    print_lines(["a\x1b[2J", "two\nlines"])
    assert capsys.readouterr().out == "group     n\n--------  -\na�b�[31m  7\na�[2J\ntwo\nlines\n"


def test_evaluate_prints_twenty_classes_and_allows_for_clusters(tmp_path, csv):
    names = [f"kind {i:03d}" for i in range(100)]
    many = pd.DataFrame({"path": [f"{i}.png" for i in range(300)], "y_true": names * 3, "y_pred": names * 3})
    many.loc[:49, "y_pred"] = "kind 099"
    many.to_csv(tmp_path / "many.csv", index=False)
    shown = invoke(["-q", "evaluate", str(tmp_path / "many.csv")])
    assert shown.exit_code == 0 and shown.stdout.count("kind 0") < 40 and "of 100" in shown.stdout
    stored = json.loads(invoke(["-q", "evaluate", str(tmp_path / "many.csv"), "--json"]).stdout)
    assert len(stored["per_class"]) == 100 and len(stored["confusion_cells"]) == 150
    clustered = invoke(["-q", "evaluate", str(csv), "--cluster-by", "burst"])
    assert clustered.exit_code == 0 and says(clustered.stdout, "80 clusters of burst")


def test_the_file_of_groups_is_read_once(csv, tmp_path, monkeypatch):
    groups, gates, seen = tmp_path / "groups.csv", tmp_path / "gates.yaml", []
    table = pd.read_csv(csv, dtype=str)
    table[["path"]].assign(shift=["day", "night"] * 200).to_csv(groups, index=False)
    gates.write_text("gates_version: 1\nlimits: [{by: shift, at_least: 0.01}]\n")
    read = joined_tables.read_csv_table
    monkeypatch.setattr(joined_tables, "read_csv_table", lambda file: seen.append(file) or read(file))
    assert "shift" in audit(csv, "--groups", groups, "--by", "shift", "--gate", gates) and seen == [groups]
    seen.clear()
    compared = invoke(["compare", str(csv), str(csv), "--groups", str(groups), "--by", "shift"])
    assert (compared.exit_code, seen) == (0, [groups]), compared.output


def test_a_table_joined_to_a_run_is_logged_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = np.arange(200) % 2
    test = predictions_of(y, np.where(np.arange(200) < 20, 1 - y, y), classes=("cat", "dog"), light=["day"] * 200)
    table = pd.DataFrame({"path": test.path, "label": np.array(["cat", "dog"])[y], "light": "day"})
    recipe = "recipe_version: 1\nname: pets\ndata: {root: photos, metadata: meta.csv, groups: [light]}\n"
    write_run(Path("runs/pets"), recipe + "model: {name: test_resnet, weights: none}\nstrategy: frozen\n", table, test)
    pd.DataFrame({"path": test.path, "light": ["day", "night"] * 100}).to_csv("groups.csv", index=False)
    Path("gates.yaml").write_text("gates_version: 1\nlimits: [{by: light, at_least: 0.01}]\n")
    done = invoke(["audit", "runs/pets", "--groups", "groups.csv", "--details", "--gate", "gates.yaml"])
    assert done.exit_code == 0 and "night" in done.stdout, done.output
    assert len([line for line in done.stderr.splitlines() if says(line, "groups.csv", "light")]) == 1, done.stderr


def test_a_table_is_joined_again_where_the_predictions_have_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = np.arange(200) % 2
    test = predictions_of(y, y, classes=("cat", "dog"), light=["day"] * 200)
    table = pd.DataFrame({"path": test.path, "label": np.array(["cat", "dog"])[y], "light": "day"})
    recipe = "recipe_version: 1\nname: pets\ndata: {root: photos, metadata: meta.csv, groups: [light]}\n"
    path = Path("runs/pets")
    run = write_run(path, recipe + "model: {name: test_resnet, weights: none}\nstrategy: frozen\n", table, test)
    joined = joined_tables.read_joined(pd.DataFrame({"path": test.path, "shift": ["early", "late"] * 100}))
    first = run.predictions(groups=joined)
    assert run.predictions(groups=joined) is first and "shift" in first.groups
    other = predictions_of(y, 1 - y, classes=("cat", "dog"), light=["day"] * 200)
    other.to_parquet(run.directory.predictions("test"))
    assert (run.predictions(groups=joined).y_pred == 1 - y).all()
