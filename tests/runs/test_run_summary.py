"""A run in brief, the list of runs, and the log of a fit."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from messages import saying, says
from run_fixtures import day_and_night, write_recipe

from tlkit.cli.output import print_run
from tlkit.errors import RunError
from tlkit.runs.run_log import collected_log
from tlkit.runs.run_summary import RunList, RunSummary, list_runs, summarize_run
from tlkit.runs.run_summary_tables import summary_lines
from tlkit.tables.text import to_lines
from tlkit.training.fit import fit


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of two epochs with a group column."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TLKIT_CACHE", str(folder / "cache"))
        run = fit(write_recipe(folder, groups={"light": day_and_night}))
    return folder / run.path


@pytest.fixture
def run(fitted, tmp_path):
    from tlkit.runs.run import open_run

    return open_run(shutil.copytree(fitted, tmp_path / "runs" / fitted.name))


def test_a_summary_holds_the_stored_figures_and_comes_back_from_json(run):
    found = summarize_run(run)
    assert found.accuracy == run.evaluation().accuracy
    assert [(one.by, one.verdict) for one in found.verdicts] == [("light", run.get_audit().verdict)]
    assert RunSummary.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("width", [80, 120])
def test_a_summary_is_at_most_25_lines_within_the_width(run, width):
    lines = list(summary_lines(summarize_run(run), width=width))
    assert len(lines) <= 25
    assert all(len(line) <= width for line in lines if str(run.path) not in line)  # paths and commands are for copying
    assert not any("\x1b" in line for line in lines)


def test_every_table_is_printed_with_details_and_in_the_log(run, capsys):
    print_run(run, details=True)
    shown, log = capsys.readouterr().out, run.directory.log.read_text()
    for table in (*run.evaluation().tables(), *run.get_audit().tables()):
        assert table.title in shown and table.title in log
    assert says(log, "Epoch", "1 of 2") and "DEBUG" in log


def test_runs_are_listed_newest_first_with_state_and_damage(run):
    folder = run.path.parent
    for name in ("dead", "broken", "wrong"):
        shutil.copytree(run.path, folder / name)
    figures = json.loads((folder / "wrong" / "evaluation.json").read_text())
    figures["test"]["accuracy"]["high"] = "much"
    (folder / "wrong" / "evaluation.json").write_text(json.dumps(figures))
    (folder / "dead" / "run.json").write_text(
        json.dumps({"format_version": 1, "status": "running", "updated": "2030-01-01T00:00:00+00:00"})
    )
    (folder / "broken" / "audit.json").write_text("{")
    (folder / "other").mkdir()
    found = list_runs(folder)
    assert found.runs[0].name == "dead"
    by_name = {one.name: one for one in found.runs}
    assert set(by_name) == {"tiny", "dead", "broken", "wrong"}
    assert by_name["tiny"].accuracy == run.evaluation().accuracy
    assert (by_name["tiny"].state, by_name["dead"].state, by_name["broken"].state) == ("finished", "stopped", "damaged")
    assert by_name["tiny"].verdict == run.get_audit().verdict
    assert "audit.json" in by_name["broken"].problem
    assert says(by_name["wrong"].problem, "evaluation.json", "much")
    assert "damaged" in "\n".join(to_lines(found.tables(), width=100))
    assert RunList.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(("given", "said"), [("nowhere", "not a folder"), (".", "no run")])
def test_a_folder_without_runs_is_told(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=saying(given, "tlkit").pattern):
        list_runs(given)


def test_a_run_in_place_of_a_folder_of_runs_is_told(run):
    with pytest.raises(RunError, match=saying("is a run itself", "tlkit show").pattern):
        list_runs(run.path)


def test_the_log_takes_details_that_the_process_does_not_show_and_leaves_logging_as_it_was(caplog, tmp_path):
    logger = logging.getLogger("tlkit")
    caplog.set_level(logging.WARNING, logger="tlkit")
    mine = logging.NullHandler()
    logger.addHandler(mine)
    before = logger.level, logger.propagate, list(logger.handlers)
    with collected_log() as log:
        logging.getLogger("tlkit.some").debug("before the file")
        log.open(tmp_path / "run.log")
        logging.getLogger("tlkit.some").info("detail")
        logging.getLogger("tlkit.some").warning("shown")
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
    logger.removeHandler(mine)
    assert caplog.messages == ["shown"]
    assert [line.split()[-1] for line in (tmp_path / "run.log").read_text().splitlines()] == ["file", "detail", "shown"]


def test_a_log_that_cannot_be_written_costs_no_run(tmp_path):
    with collected_log() as log:
        log.open(tmp_path / "missing" / "run.log")
        logging.getLogger("tlkit").warning("lost")
    assert not Path(tmp_path / "missing").exists()
