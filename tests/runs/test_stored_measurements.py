"""What commands measured is kept with the run, survives the next command, and is shown by its report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from measurements import made_benchmark, made_drift, made_label_next, made_robustness, made_unknown
from messages import says
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.audit.heat_maps import HeatMaps, ImageHeatMap
from tlkit.cli.run_or_file import find_run
from tlkit.evaluation.drift_report import DriftReport
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.evaluation.unknown_report import UnknownReport
from tlkit.exported.bench import Benchmark
from tlkit.runs.gate_run import gate
from tlkit.runs.run_pages import contents_for_report
from tlkit.runs.stored_judgements import stored_result, stored_results
from tlkit.runs.stored_measurements import (
    MOST_IMAGE_SETS,
    name_of_images,
    store_benchmark,
    store_drift,
    store_heat_maps,
    store_label_next,
    store_robustness,
    store_unknown,
)

RECIPE = "recipe_version: 1\nname: pets\ndata: {root: photos}\nmodel: {name: test_resnet, weights: none}\n"


@pytest.fixture
def run():
    predictions = predictions_of([0, 1] * 20, [0, 1, 1, 1] * 10, classes=("cat", "dog"))
    table = pd.DataFrame({"path": predictions.path, "label": ["cat", "dog"] * 20})
    return write_run(Path("runs/pets"), RECIPE, table, predictions)


def test_the_report_takes_what_was_measured_of_its_split_only(run):
    before = contents_for_report(run)
    assert (before.robustness, dict(before.drift), dict(before.speed)) == (None, {}, {})
    wrong = before.images.worst.wrong[0].path
    store_robustness(run.directory, made_robustness(split="test"))
    store_robustness(run.directory, made_robustness(split="val"))
    store_drift(run.directory, "new/july", made_drift())
    store_unknown(run.directory, made_unknown())
    store_benchmark(run.directory, made_benchmark("here"))
    store_heat_maps(
        run.directory, "test", HeatMaps("grad_cam", {wrong: ImageHeatMap("dog", "AAAA"), "z": ImageHeatMap("", "B")})
    )
    after = contents_for_report(run)
    assert after.robustness.split == "test"
    assert after.unknown.to_dict() == made_unknown().to_dict() and before.unknown is None
    assert list(after.drift) == ["new/july"] and list(after.speed) == ["here"]
    assert dict(after.images.heat) == {wrong: ImageHeatMap("dog", "AAAA")}  # of an image that is shown


def test_a_narrow_question_does_not_replace_a_wide_answer(run):
    wide, narrow = made_robustness(), made_robustness(jpeg=0.3)
    store_robustness(run.directory, narrow)
    store_robustness(run.directory, wide)
    store_robustness(run.directory, narrow)
    kept = stored_result(run.directory, run.directory.robustness, "test", RobustnessReport.from_dict)
    assert kept == wide


def test_foreign_images_stay_until_the_threshold_changes(run):
    def stored():
        return stored_result(run.directory, run.directory.unknown, "test", UnknownReport.from_dict)

    store_unknown(run.directory, made_unknown())
    store_unknown(run.directory, made_unknown(foreign=False))
    assert stored().to_dict() == made_unknown().to_dict()
    store_unknown(run.directory, made_unknown(90, foreign=False))  # another threshold
    assert not stored().foreign


def test_drift_is_kept_for_the_latest_sets_of_images(run):
    for number in range(MOST_IMAGE_SETS + 2):
        store_drift(run.directory, f"week {number}", made_drift())
    store_drift(run.directory, "week 3", made_drift("NO DRIFT FOUND"))
    kept = stored_results(run.directory, run.directory.drift, DriftReport.from_dict)
    assert list(kept) == ["week 2", "week 4", "week 5", "week 6", "week 7", "week 3"]
    assert kept["week 3"].verdict == "NO DRIFT FOUND"


def test_speed_is_kept_for_each_processor(run):
    for processor in ("one", "two", "one"):
        store_benchmark(run.directory, made_benchmark(processor))
    assert list(stored_results(run.directory, run.directory.bench, Benchmark.from_dict)) == ["one", "two"]


FILES = {
    "robustness": ("robustness.json", "tlkit robustness"),
    "unknown": ("unknown.json", "tlkit unknown"),
    "drift": ("drift.json", "tlkit drift"),
    "label-next": ("label_next.json", "tlkit label-next"),
    "speed": ("bench.json", "tlkit bench"),
}


def store_all(run):
    """Store one measurement of each kind."""
    store_robustness(run.directory, made_robustness(split="test"))
    store_unknown(run.directory, made_unknown())
    store_drift(run.directory, "new/july", made_drift())
    store_label_next(run.directory, "pool", made_label_next())
    store_benchmark(run.directory, made_benchmark("here"))


@pytest.mark.parametrize("section", FILES)
@pytest.mark.parametrize("damage", ["newer", "field", "text"])
def test_a_report_leaves_out_what_cannot_be_read_and_names_file_and_remedy(run, section, damage, caplog):
    store_all(run)
    name, command = FILES[section]
    file = run.path / name
    ((key, values),) = json.loads(file.read_text()).items()
    changed = values | ({"format_version": 99} if damage == "newer" else {"confidence": "high"})
    file.write_text("{half a" if damage == "text" else json.dumps({key: changed}))
    page = run.report().read_text(encoding="utf-8")
    shown = set(re.findall(r'<section id="([\w-]+)"', page))
    assert shown & set(FILES) == set(FILES) - {section}
    (notice,) = re.findall(r'<div class="notice">(.*?)</div>', page, re.DOTALL)
    remedy = ("pip install -U tlkit",) if damage == "newer" else (f"{command} {run.path}", "Delete it")
    assert says(notice, name, *remedy)
    assert says(caplog.text, name)
    assert json.loads(file.read_text() if damage != "text" else "{}") == ({key: changed} if damage != "text" else {})


def test_a_report_of_readable_files_has_no_notice(run):
    store_all(run)
    assert 'class="notice"' not in run.report().read_text(encoding="utf-8")


def test_a_new_result_is_not_lost_where_the_file_that_is_there_cannot_be_read(run, caplog):
    for name, _ in FILES.values():
        (run.path / name).write_text("{half a")
    (run.path / "heat_maps.json").write_text("{half a")
    store_all(run)  # a command prints its result after this, so nothing is raised
    store_heat_maps(run.directory, "test", HeatMaps("grad_cam", {"a": ImageHeatMap("dog", "AAAA")}))
    for name in (*(name for name, _ in FILES.values()), "heat_maps.json"):
        assert (run.path / name).read_text() == "{half a"
        assert says(caplog.text, "not stored", name)


def test_a_set_of_images_is_called_by_its_folder():
    assert name_of_images(["new/july/a.jpg", "new/july/b.jpg"]) == "new/july"
    assert name_of_images(["old/b.jpg", "new/july/a.jpg"]) == "new/july and 1 more folder"
    assert name_of_images(["a.jpg", "new/b.jpg"]) == "this folder and 1 more folder"
    assert name_of_images(["/home/ann/pets/new/a.jpg"]) == "pets/new"  # a report is for others, too
    assert name_of_images([str(Path.cwd() / "new" / "a.jpg"), "new/b.jpg"]) == "new"
    assert name_of_images([]) == "new images"
    assert name_of_images(["images[0]", "images[1]"]) == "new images"


@pytest.mark.parametrize("ending", ["", ".parquet"])
def test_a_run_that_holds_parquet_files_is_a_run(run, ending):
    path = run.path.rename(run.path.with_name(f"pets{ending}"))
    pd.DataFrame({"digest": ["0"]}).to_parquet(path / "image_properties.parquet")  # of `tlkit slices`
    found = find_run(path, split="test")
    assert found is not None and found.path == path
    Path("gates.yaml").write_text(f"gates_version: 1\nno_worse_than: {{baseline: {path}, margin: 0.1}}\n")
    assert gate(found, "gates.yaml").verdict == "PASS"  # as good as itself
