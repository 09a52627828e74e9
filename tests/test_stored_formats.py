"""Stored formats: every version that was ever written is read, newer ones are refused, and no change goes unnoticed.

The fixtures are what tlkit wrote, as literals. A test that fails here after a change to a stored format wants a new
version with an upgrade function (`docs/versions.md`), and the fixture of the new version beside the old ones.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from hashlib import sha256
from types import UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from messages import saying, says

import tlkit
from tlkit.audit.audit_result import Audit
from tlkit.audit.error_examples import NearestImage
from tlkit.audit.explanation import Explanation
from tlkit.audit.repair_result import Repair
from tlkit.audit.slices.slice_report import SliceReport
from tlkit.errors import ModelError, RunError, TlkitError
from tlkit.evaluation import Evaluation
from tlkit.evaluation.drift_report import DriftReport
from tlkit.evaluation.label_thresholds import LabelThresholds
from tlkit.evaluation.robustness_report import RobustnessReport
from tlkit.exported.bench import Benchmark
from tlkit.features.cache import FeatureCache
from tlkit.features.cache_format import CACHE_FORMAT, CACHE_VERSION, warn_of_format
from tlkit.features.features import Provenance
from tlkit.models.model_files import ModelFacts, read_model_facts
from tlkit.models.model_format import FACTS_FILE, MODEL_FORMAT
from tlkit.preprocess import Preprocess
from tlkit.runs import RunDirectory
from tlkit.runs.directory import RUN_FORMAT
from tlkit.stored_formats import Format

PREPROCESS = {
    "image_size": [224, 224],
    "resize": "crop",
    "crop_pct": 0.875,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "background": [255, 255, 255],
}
WEIGHTS = {"source": "hub", "origin": "resnet18.a1_in1k", "digest": "0f" * 32, "license": "apache-2.0"}
FIRST = {
    "format_version": 1,
    "architecture": "resnet18",
    "classes": ["ants", "bees"],
    "preprocess": PREPROCESS,
    "drop_rate": 0.0,
    "weights": WEIGHTS,
}
HEAD = {"kind": "knn", "file": "head.skops"}
THRESHOLD = {"value": 0.4, "low": 0.3, "high": 0.6, "n": 40, "note": ""}
RULE = {
    "thresholds": {
        "thresholds": [{"label": name, "threshold": THRESHOLD, "positives": 9, "f1": 0.8} for name in ("ants", "bees")],
        "images": 40,
        "confidence": 0.95,
    }
}
SCALING = {"method": "temperature", "scale": [1.5], "offset": [], "n": 40}
DECODER = {"kind": "unet", "channels": 64, "values": [0, 7], "void": 255}
MODELS = {
    1: FIRST,
    2: {**FIRST, "format_version": 2, "options": {"act_layer": "silu"}, "head": HEAD},
    3: {**FIRST, "format_version": 3, "options": {}, "head": HEAD, "preprocess": {**PREPROCESS, "decode": "reduced"}},
    4: {**FIRST, "format_version": 4, "options": {}, "head": {}, "calibration": SCALING},
    5: {
        **FIRST,
        "format_version": 5,
        "options": {},
        "head": {},
        "calibration": None,
        "task": "multilabel",
        "target_scale": None,
        "rule": RULE,
    },
    6: {
        **FIRST,
        "format_version": 6,
        "options": {},
        "head": {},
        "calibration": None,
        "task": "segmentation",
        "target_scale": None,
        "rule": {},
        "decoder": DECODER,
        "quantiles": None,
    },
}
MADE_BY = Provenance("resnet18", "0f", "pooled", Preprocess(), "rules 1", "torch/cpu", "float32")


def test_every_format_has_an_upgrade_from_each_version_that_was_written():
    for one in (RUN_FORMAT, MODEL_FORMAT, CACHE_FORMAT):
        assert sorted(one.upgrades) == list(range(1, one.version)), one.name
    assert sorted(MODELS) == list(range(1, MODEL_FORMAT.version + 1)), "a fixture of the new version is missing"


@pytest.mark.parametrize("version", MODELS)
def test_a_model_of_every_version_is_read_and_its_file_stays_as_it_is(version, tmp_path):
    file = tmp_path / FACTS_FILE
    file.write_text(json.dumps(MODELS[version]))
    before = file.read_bytes()
    facts = read_model_facts(tmp_path)
    assert file.read_bytes() == before
    assert (facts.architecture, facts.classes) == ("resnet18", ("ants", "bees"))
    assert facts.preprocess.decode == ("reduced" if version == 3 else "full")
    assert facts.head_file == (HEAD["file"] if version in (2, 3) else None)
    assert facts.options == ({"act_layer": "silu"} if version == 2 else {})
    assert (facts.calibration is not None) == (version == 4)
    expected = {5: ("multilabel", RULE), 6: ("segmentation", {})}
    assert (facts.task, facts.rule) == expected.get(version, ("multiclass", {}))
    assert facts.decoder == (DECODER if version == 6 else {}) and facts.quantiles is None
    if version == 5:
        assert LabelThresholds.from_dict(facts.rule["thresholds"]).values == {"ants": 0.4, "bees": 0.4}


@pytest.mark.parametrize("version", MODELS)
def test_a_model_is_written_in_the_lowest_version_that_holds_it(version):
    written = json.loads(json.dumps(ModelFacts.from_dict(MODELS[version]).to_dict()))
    assert written["format_version"] == version
    assert written["tlkit"] == tlkit.__version__
    assert written.keys() - {"tlkit", "options", "head"} == MODELS[version].keys() - {"options", "head"}
    assert written["preprocess"] == MODELS[version]["preprocess"]
    assert written.get("calibration") == MODELS[version].get("calibration")
    assert ModelFacts.from_dict(written) == ModelFacts.from_dict(MODELS[version])


def test_a_newer_model_names_the_release_to_install(tmp_path):
    newer = {**FIRST, "format_version": MODEL_FORMAT.version + 1, "tlkit": "7.2.0"}
    (tmp_path / FACTS_FILE).write_text(json.dumps(newer))
    with pytest.raises(ModelError) as caught:
        read_model_facts(tmp_path)
    assert says(str(caught.value), tmp_path / FACTS_FILE, "newer tlkit", "pip install tlkit==7.2.0")
    (tmp_path / FACTS_FILE).write_text(json.dumps({**newer, "tlkit": "7.2.0; echo"}))
    with pytest.raises(ModelError, match="pip install -U tlkit"):
        read_model_facts(tmp_path)


def test_a_run_of_the_first_version_is_opened_and_a_newer_one_names_its_release(tmp_path):
    directory = RunDirectory.create(tmp_path / "mine")
    assert directory.read_json(directory.path / "run.json").keys() == {"format_version", "tlkit", "status", "updated"}
    first = {"format_version": 1, "status": "finished", "updated": "2026-11-22T04:15:45+00:00"}
    directory.write_json(directory.path / "run.json", first)
    assert RunDirectory.open(directory.path).status == "finished"
    assert directory.read_json(directory.path / "run.json") == first
    directory.write_json(directory.path / "run.json", {**first, "format_version": 99, "tlkit": "9.0.0"})
    for ask in (lambda: RunDirectory.open(directory.path), lambda: directory.status):
        with pytest.raises(RunError, match=saying("mine", "format 99", "tlkit==9.0.0").pattern):
            ask()


def test_the_files_of_a_run_keep_their_names(tmp_path):
    directory = RunDirectory(tmp_path)
    named = {
        name: getattr(directory, name).relative_to(tmp_path).as_posix()
        for name, value in vars(RunDirectory).items()
        if isinstance(value, property) and name not in ("name", "predicted_splits", "status")
    }
    named["predictions"] = directory.predictions("test").relative_to(tmp_path).as_posix()
    assert FILES.items() <= named.items(), f"format {RUN_FORMAT.version} of a run has these files; see docs/versions.md"


FILES = {
    "recipe": "recipe.yaml",
    "environment": "environment.json",
    "split": "split.csv",
    "excluded": "excluded.csv",
    "leaks": "leaks.csv",
    "alike": "alike.csv",
    "checkpoints": "checkpoints",
    "attribution": "attribution.txt",
    "model": "model",
    "metrics": "metrics.csv",
    "compute_format": "compute_format.json",
    "inputs": "inputs.json",
    "soup": "soup.json",
    "evaluation": "evaluation.json",
    "audit": "audit.json",
    "explanation": "explanation.json",
    "slices": "slices.json",
    "image_properties": "image_properties.parquet",
    "neighbors": "neighbors.json",
    "card": "MODEL_CARD.md",
    "repair": "repair.json",
    "report": "report.html",
    "log": "run.log",
    "predictions": "predictions/test.parquet",
}


def cached(folder, *, version: int, release: str | None):
    """Write an entry of the feature cache as a tlkit of that version does; return its keys and features."""
    entry = FeatureCache(folder).entry(MADE_BY)
    keys, x = [MADE_BY.key(str(number)) for number in range(3)], np.eye(3, dtype=np.float32)
    entry.add(keys, x)
    for file in entry.path.glob("*.json"):
        values = json.loads(file.read_text())
        del values["tlkit"]
        file.write_text(json.dumps(values | {"format_version": version} | ({"tlkit": release} if release else {})))
    return keys, x


def test_cached_features_of_every_version_are_read(tmp_path):
    for version in range(1, CACHE_FORMAT.version + 1):
        keys, x = cached(tmp_path / str(version), version=version, release=None)
        entry = FeatureCache(tmp_path / str(version)).entry(MADE_BY)
        assert entry.missing(keys) == []
        np.testing.assert_array_equal(entry.read(keys), x)
        assert [info.images for info in FeatureCache(tmp_path / str(version)).info()] == [3]


def test_cached_features_of_a_newer_version_are_computed_again_and_stay_where_they_are(tmp_path, caplog):
    warn_of_format.cache_clear()
    keys, x = cached(tmp_path, version=CACHE_FORMAT.version + 1, release="8.1.0")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    cache = FeatureCache(tmp_path)
    entry = cache.entry(MADE_BY)
    assert entry.missing(keys) == [0, 1, 2]
    assert cache.info() == []
    assert says(caplog.text, "newer tlkit", "tlkit==8.1.0") and len(caplog.records) == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before
    entry.add(keys, x + 1)
    np.testing.assert_array_equal(entry.read(keys), x + 1)


def test_the_files_of_the_cache_keep_their_form(tmp_path):
    FeatureCache(tmp_path).entry(MADE_BY).add(["k"], np.ones((1, 2), dtype=np.float32))
    found = {frozenset(json.loads(file.read_text())) for file in tmp_path.rglob("*.json")}
    stamp = {"format_version", "tlkit"}
    assert found == {frozenset(stamp | {"made_by"}), frozenset(stamp | {"width", "checksum", "keys"})}
    assert (CACHE_FORMAT.version, CACHE_VERSION) == (1, 2)


def test_an_earlier_version_without_an_upgrade_is_refused_with_the_remedy():
    with pytest.raises(TlkitError, match=saying("format 3", "reads format 4", "tlkit audit RUN").pattern):
        Audit.from_dict({"version": 3, "complete": True})
    gap = Format("a size", 5, "Measure again.", upgrades={2: dict, 3: dict, 4: dict})
    with pytest.raises(TlkitError, match=saying("This size", "format 1", "formats 2 to 5", "Measure again").pattern):
        gap.current({"format_version": 1}, what="This size was")


def test_upgrades_run_in_order_and_leave_the_given_values_alone():
    steps = {number: lambda values, number=number: {**values, "ran": [*values["ran"], number]} for number in (1, 2, 3)}
    given = {"format_version": 2, "ran": []}
    assert Format("a size", 4, "", upgrades=steps).current(given, what="") == {"format_version": 4, "ran": [2, 3]}
    assert given == {"format_version": 2, "ran": []}


def required(kind, seen=()) -> str:
    """Return the fields that stored values must have, down to plain types: fields with a default may be absent."""
    if is_dataclass(kind):
        if kind in seen:
            return kind.__name__
        hints = get_type_hints(kind)
        needed = [one for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
        return f"{{{', '.join(f'{one.name}: {required(hints[one.name], (*seen, kind))}' for one in needed)}}}"
    parts = dict.fromkeys(required(part, seen) for part in get_args(kind) if not isinstance(part, str))
    if list(parts) == ["literal"]:  # more words that are allowed are no other form
        return "literal"
    inner = ", ".join(required(part, seen) for part in get_args(kind) if not isinstance(part, str))
    name = "one of" if get_origin(kind) in (Union, UnionType) else getattr(get_origin(kind) or kind, "__name__", "any")
    return "array" if name == "ndarray" else "literal" if get_origin(kind) is Literal else f"{name}[{inner}]"


STORED = {
    Evaluation: "bf18c65e67a5",
    Audit: "8f0d63485aec",
    Explanation: "f056fb0a5b2c",
    SliceReport: "50c4d9cc163a",
    Repair: "adc24e17998b",
    NearestImage: "77f937558257",
    RobustnessReport: "8c165b2f3926",
    DriftReport: "486bec52efe4",
    Benchmark: "4d09b63dd255",
}
"""Results that a run keeps, with a digest of the fields that they need."""


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_result_needs_the_same_fields_as_long_as_its_version_is_the_same(kind):
    """Raise the version and add an upgrade, or give the new field a default, so that stored results can be read."""
    assert sha256(required(kind).encode()).hexdigest()[:12] == STORED[kind]


def test_quantiles_of_numbers_come_back():
    numbers = {**MODELS[6], "classes": [], "task": "regression", "target_scale": [3.0, 2.0], "decoder": {}}
    facts = ModelFacts.from_dict(numbers | {"quantiles": [0.05, 0.95]})
    assert facts.quantiles == (0.05, 0.95)
    assert ModelFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
