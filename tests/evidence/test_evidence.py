"""The evidence of a run: valid by the formats' own validators, equal for equal runs, silent about small cells."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from measurements import made_drift, made_robustness, made_unknown
from messages import saying, says
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.audit import audit_groups
from tlkit.errors import TlkitError
from tlkit.evaluation import evaluate
from tlkit.evidence.evidence import Evidence, write_evidence
from tlkit.predictions import Predictions
from tlkit.render.published_figures import published_figures
from tlkit.uncertainty import assess_sets

RECIPE = """\
recipe_version: 1
name: pets
data: {root: photos, metadata: meta.csv, groups: [light, place]}
model: {name: resnet18, weights: hub}
strategy: frozen
audit: {by: [light, place], min_group_size: 2}
"""
FILES = ("MODEL_CARD.md", "bom.cdx.json", "croissant.json", "evidence.json")
SECRET = "dusk-of-three"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a run of 403 images: day (300, 9 wrong), night (100, 50 wrong), and three at dusk (1 wrong)."""
    monkeypatch.chdir(tmp_path)
    light = ["day"] * 300 + ["night"] * 100 + [SECRET] * 3
    place = ["in", "out"] * 201 + ["in"]
    y = np.arange(403) % 2
    wrong = np.zeros(403, dtype=bool)
    wrong[[*range(9), *range(300, 350), 400]] = True
    paths = [f"{i}.png" for i in range(403)]
    predictions = predictions_of(
        y, np.where(wrong, 1 - y, y), classes=("cat", "dog"), path=paths, light=light, place=place
    )
    table = pd.DataFrame({"path": paths, "label": np.array(["cat", "dog"])[y], "light": light, "place": place})
    found = write_run(
        tmp_path / "runs" / "pets", RECIPE, table.assign(digest=[f"{i:064x}" for i in range(403)]), predictions
    )
    weights = {"source": "pip:w", "origin": "w.pth", "digest": "ab" * 32, "license": "Apache License 2.0"}
    data = {"root": "photos", "fingerprint": "cd" * 32}
    packages = {"torch": "2.13.0+cpu", "scikit_learn": "1.9"}
    found.directory.write_json(
        found.directory.environment, {"tlkit": "0.1.0", "data": data, "weights": weights, "packages": packages}
    )
    found.directory.model.mkdir()
    (found.directory.model / "model.safetensors").write_bytes(b"tensors")
    return found


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_cyclonedx_accepts_the_bill_of_materials(run, version):
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema").SchemaVersion.from_version(version)
    write_evidence(run, bom_version=version)
    text = (run.path / "bom.cdx.json").read_text(encoding="utf-8")
    assert validation.JsonStrictValidator(schema).validate_str(text) is None
    broken = text.replace('"lowerBound"', '"lower"')
    assert validation.JsonStrictValidator(schema).validate_str(broken) is not None


def test_the_bill_of_materials_has_slices_intervals_weights_and_packages(run):
    write_evidence(run)
    bom = read(run.path, "bom.cdx.json")
    card = bom["metadata"]["component"]["modelCard"]
    metrics = {(one["type"], one["slice"]): one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["accuracy", "all images"] == {
        "type": "accuracy",
        "slice": "all images",
        "value": f"{343 / 403:.4f}",
        "confidenceInterval": {
            "lowerBound": f"{run.evaluation().accuracy.low:.4f}",
            "upperBound": f"{run.evaluation().accuracy.high:.4f}",
        },
    }
    assert {("accuracy", "place = in"), ("accuracy", "place = out"), ("recall", "class = cat")} <= set(metrics)
    components = {one["bom-ref"]: one for one in bom["components"]}
    weights = components["pretrained-weights"]
    assert weights["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert weights["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert components["pkg:pypi/scikit-learn@1.9"]["name"] == "scikit_learn"
    assert "pkg:pypi/torch@2.13.0%2Bcpu" in components
    assert components["dataset"]["data"][0]["type"] == "dataset"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # rdflib 7.6 warns of its own ConjunctiveGraph
def test_mlcroissant_reads_the_images_from_the_description(run):
    mlcroissant = pytest.importorskip("mlcroissant")
    write_evidence(run)
    dataset = mlcroissant.Dataset(run.path / "croissant.json")  # raises where the description is not valid
    assert not dataset.metadata.ctx.issues.errors
    rows = [{key.partition("/")[2]: value.decode() for key, value in one.items()} for one in dataset.records("images")]
    table = run.samples.table
    assert len(rows) == len(table) == 403
    assert [row["path"] for row in rows] == table["path"].tolist()
    assert [row["light"] for row in rows] == run.samples.groups["light"].tolist()
    classes = [one["classes/name"] for one in dataset.records("classes")]
    assert classes == ["cat", "dog"]


def test_equal_runs_give_equal_files_and_another_model_another_serial_number(run, tmp_path):
    write_evidence(run, tmp_path / "a")
    write_evidence(run, tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    (run.directory.model / "model.safetensors").write_bytes(b"others")
    write_evidence(run, tmp_path / "c")
    assert read(tmp_path / "a", "bom.cdx.json")["serialNumber"] != read(tmp_path / "c", "bom.cdx.json")["serialNumber"]


def test_a_small_cell_and_those_it_follows_from_are_in_no_file(run):
    write_evidence(run)
    for name in FILES:
        text = (run.path / name).read_text(encoding="utf-8")
        assert SECRET not in text, name
        assert "light = night" not in text, name  # the next smallest: all but it would give the three
        assert not any("night" in line and "0.5" in line for line in text.splitlines()), name
    assert "night (below the rest)" in (run.path / "evidence.json").read_text()  # the finding stays, without a number
    evidence = read(run.path, "evidence.json")
    hidden = {(one["metric"], one["slice"]): (one["rows"], one["of"]) for one in evidence["figures"]["hidden"]}
    assert hidden["accuracy", "light"] == (2, 3)
    assert hidden["accuracy", "light × place"][0] == hidden["accuracy", "light × place"][1]
    write_evidence(run, run.path.parent / "strict", min_cell_size=250)
    assert "place = in" not in (run.path.parent / "strict" / "MODEL_CARD.md").read_text()
    shown = {one["slice"] for one in evidence["figures"]["shown"]}
    assert "light = day" in shown and not any("×" in one for one in shown)


def test_no_column_of_published_counts_gives_a_hidden_one():
    rng = np.random.default_rng(0)
    for _ in range(30):
        sizes = rng.integers(1, 40, 5)
        group = np.repeat(list("abcde"), sizes)
        y = rng.integers(0, 2, sizes.sum())
        predictions = predictions_of(y, np.where(rng.random(len(y)) < 0.8, y, 1 - y), g=list(group))
        audit = audit_groups(predictions, by="g", min_group_size=2)
        figures = published_figures(evaluate(predictions), audit, min_cell_size=5)
        numbers = {one.slice.removeprefix("g = "): one.n for one in figures.shown if one.group}
        missing = [int(n) for name, n in zip("abcde", sizes, strict=True) if name not in numbers]
        assert all(n >= 5 for n in numbers.values())
        assert not missing or sum(missing) >= 5 or len(missing) == 5


def test_clauses_name_file_figure_verdict_and_what_is_missing_and_claim_nothing(run):
    evidence = write_evidence(run)
    known = {(one.source, one.clause): one for one in evidence.clauses}
    assert known["EU AI Act", "Art. 10(2)(f)"].verdict == run.get_audit().verdict
    assert known["NIST AI RMF 1.0", "MEASURE 2.11"].files
    assert {one.source for one in evidence.clauses} >= {"EU AI Act", "ISO/IEC TS 12791:2024", "NIST AI RMF 1.0"}
    assert all(one.figure or one.not_assessed for one in evidence.clauses)
    written = {one.path for one in evidence.files} | {"evidence.json"}
    assert {file for one in evidence.clauses for file in one.files} - written <= {"leaks.csv", "excluded.csv"}
    for name in FILES:
        text = (run.path / name).read_text(encoding="utf-8").lower()
        assert "complian" not in text and "conform to" not in text and "unbiased" not in text
    assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict()))) == evidence
    with pytest.raises(TlkitError, match=saying("newer tlkit").pattern):
        Evidence.from_dict(evidence.to_dict() | {"format_version": 99})
    assert [table.name for table in evidence.tables()] == ["clauses", "figures", "files"]


def clause(evidence, source, name):
    return next(one for one in evidence.clauses if (one.source, one.clause) == (source, name))


def test_what_was_not_measured_is_named_as_not_assessed(run):
    evidence = write_evidence(run)
    resilience = clause(evidence, "EU AI Act", "Art. 15(4)")
    assert (resilience.files, resilience.figure, resilience.verdict) == ((), "", "")
    assert says(resilience.not_assessed, "corrupted", "another source, camera or time")
    unsure = clause(evidence, "NIST AI RMF 1.0", "MEASURE 2.6")
    assert unsure.files == () and says(unsure.not_assessed, "Abstention", "Conformal sets", "images of no class")
    assert says(clause(evidence, "NIST AI RMF 1.0", "MEASURE 2.4").not_assessed, "camera", "production")


def test_robustness_and_drift_are_evidence_once_they_are_stored_and_name_no_group_or_file(run):
    run.directory.robustness.write_text(json.dumps({"test": made_robustness(group=SECRET).to_dict()}))
    drift = made_drift(path=f"{SECRET}.jpg").to_dict()
    run.directory.drift.write_text(json.dumps({SECRET: drift, "other": made_drift("NO DRIFT FOUND").to_dict()}))
    evidence = write_evidence(run)
    resilience = clause(evidence, "EU AI Act", "Art. 15(4)")
    assert resilience.files == ("robustness.json", "drift.json")
    assert says(
        resilience.figure, "2 of 3 corruptions", "darkness from severity 1", "2 sets of new images", "drift in 1"
    )
    assert resilience.verdict == "LOSS"
    assert "corrupted" not in resilience.not_assessed and "camera" not in resilience.not_assessed
    assert clause(evidence, "NIST AI RMF 1.0", "MEASURE 2.4").verdict == "DRIFT"
    assert clause(evidence, "NIST AI RMF 1.0", "MEASURE 2.5").verdict == "LOSS"
    assert {one.path for one in evidence.files if one.private} >= {"robustness.json", "drift.json"}
    for name in FILES:
        assert SECRET not in (run.path / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("verdict", ["DRIFT", "NO DRIFT FOUND"])
def test_the_clause_on_inconsistencies_has_the_verdict_on_drift_where_it_is_the_worst(run, verdict):
    run.directory.drift.write_text(json.dumps({"july": made_drift(verdict).to_dict()}))
    assert clause(write_evidence(run), "EU AI Act", "Art. 15(4)").verdict == verdict


@pytest.mark.parametrize("foreign", [False, True])
def test_a_detector_is_evidence_of_what_was_measured_of_it_and_names_no_set(run, foreign):
    run.directory.unknown.write_text(json.dumps({"test": made_unknown(foreign=foreign, name=SECRET).to_dict()}))
    evidence = write_evidence(run)
    unsure = clause(evidence, "NIST AI RMF 1.0", "MEASURE 2.6")
    assert says(unsure.figure, "4.5%", "test") and ("90.0%" in unsure.figure) == foreign
    assert ("no class" in unsure.not_assessed) == (not foreign)
    assert "unknown.json" in unsure.files and "unknown.json" in {one.path for one in evidence.files if one.private}
    for name in FILES:
        assert SECRET not in (run.path / name).read_text(encoding="utf-8"), name


def test_abstention_and_sets_are_evidence_where_val_has_probabilities(run):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    right = np.where(rng.random(400) < 0.9, rng.uniform(0.6, 1.0, 400), rng.uniform(0.0, 0.4, 400))
    proba = np.where(y[:, None] == [0, 1], right[:, None], 1 - right[:, None])
    groups = pd.DataFrame({"light": ["day", "night"] * 200, "place": ["in", "in", "out", "out"] * 100})
    for split, rows in {"val": slice(0, 300), "test": slice(300, 400)}.items():
        part = Predictions.build(
            classes=("cat", "dog"),
            path=[f"{split}{i}.png" for i in range(len(y[rows]))],
            y_true=y[rows],
            proba=proba[rows],
            groups=groups[rows].reset_index(drop=True),
        )
        part.to_parquet(run.directory.predictions(split))
    evidence = write_evidence(run)
    unsure = clause(evidence, "EU AI Act", "Art. 15(4), backup and fail-safe plans")
    assert unsure.files == ("predictions/val.parquet", "predictions/test.parquet")
    sets = assess_sets(run.predictions("test"), run.predictions("val"))
    assert says(unsure.figure, "wrong answers", sets.overall.coverage.format(), "300 images of val")
    assert unsure.verdict == sets.overall.verdict
    assert "Conformal" not in unsure.not_assessed and "images of no class" in unsure.not_assessed


def test_a_stored_result_of_a_newer_tlkit_is_not_assessed_and_named(run, caplog):
    newer = made_robustness().to_dict() | {"format_version": 99}
    run.directory.robustness.write_text(json.dumps({"test": newer}))
    assert says(clause(write_evidence(run), "EU AI Act", "Art. 15(4)").not_assessed, "corrupted")
    assert says(caplog.text, "robustness.json", "newer tlkit")


def test_an_edited_card_is_kept_and_other_files_are_not_replaced(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="tlkit")
    (run.path / "MODEL_CARD.md").write_text("mine")
    write_evidence(run)
    assert (run.path / "MODEL_CARD.md").read_text() == "mine"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bom.cdx.json").write_text("{}")
    with pytest.raises(TlkitError, match=saying("bom.cdx.json", "--overwrite").pattern):
        write_evidence(run, tmp_path / "out")
    assert (tmp_path / "out" / "bom.cdx.json").read_text() == "{}"
    write_evidence(run, tmp_path / "out", overwrite=True)
    assert read(tmp_path / "out", "bom.cdx.json")["bomFormat"] == "CycloneDX"
    with pytest.raises(TlkitError, match=saying("min_cell_size", "2").pattern):
        write_evidence(run, min_cell_size=1)


def test_the_hub_reads_the_rates_of_groups_from_the_card_and_none_of_a_small_one(run):
    write_evidence(run)
    results = {one.metric_name: one for one in ModelCard.load(run.path / "MODEL_CARD.md").data.eval_results}
    row = run.get_audit().group_table("place").row(("in",))
    found = results["accuracy of place = in"]
    assert found.metric_value == pytest.approx(row.rate.value, abs=5e-5)
    assert found.metric_args["interval"] == pytest.approx([row.rate.low, row.rate.high], abs=5e-5)
    assert not any("light = night" in name or SECRET in name for name in results)
