"""The steps of a fit hand values to its report: it reads nothing that it has written."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from kill_runs import interrupt_after
from PIL import Image
from pyarrow import parquet

from tlkit.runs.run import open_run
from tlkit.training.fit import fit

AUDIT = "audit: {by: [camera], min_group_size: 3}\n"
RESULTS = ("evaluation", "audit", "explanation")


@pytest.fixture
def photos(tiny_recipe, tmp_path):
    """Return a recipe whose old camera has every image of one class wrong, with a leak and an attribution."""
    columns = ", metadata: meta.csv, groups: [camera, person]"
    recipe = tiny_recipe(train=12, val=6, test=24, more=columns, tail=AUDIT, report=True)
    root = tmp_path / "colours"
    (root / "train" / "red" / "leak.png").write_bytes((root / "test" / "red" / "000.png").read_bytes())
    (root / "train" / "red" / "broken.png").write_bytes(b"no image")
    rows = []
    for file in sorted(root.rglob("*.png")):
        path = file.relative_to(root).as_posix()
        old = path.startswith("test") and file.stem >= "012"
        if old:
            Image.new("RGB", (32, 32), "blue" if "red" in path else "red").save(file, pnginfo=None)
            file.write_bytes(file.read_bytes() + path.encode())  # no two files are identical
        camera = "old" if old else "new" if int(file.stem[-1:] or 0, 36) % 5 else ""
        rows.append((path, camera, f"p{len(rows) // 3}"))
    pd.DataFrame(rows, columns=["path", "camera", "person"]).to_csv(root / "meta.csv", index=False)
    (root / "ATTRIBUTION.txt").write_text("\nColours by A. Painter, CC BY.\n")
    return recipe


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Return the files of the run that were read, by name; training may read its checkpoints."""
    found = []

    def recorded(read):
        def one(file, *arguments, **options):
            path = Path(file)
            inside = tmp_path / "runs" in path.absolute().parents and "checkpoints" not in path.parts
            if inside and path.suffix != ".partial":  # which is opened to be synced
                found.append(path.name)
            return read(file, *arguments, **options)

        return one

    def opened(file, mode="r", *arguments, **options):
        if "r" in mode and not isinstance(file, int):
            return recorded(lambda path: real(path, mode, *arguments, **options))(file)
        return real(file, mode, *arguments, **options)

    real = io.open
    monkeypatch.setattr("io.open", opened)  # of pathlib
    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(pd, "read_csv", recorded(pd.read_csv))
    monkeypatch.setattr(parquet, "read_table", recorded(parquet.read_table))
    return found


VARIANTS = {
    "cached features": {"strategy.kind": "frozen"},
    "pixels": {"strategy.kind": "full"},
    "scikit-learn head": {"strategy.kind": "frozen", "strategy.head": "lda"},
    "no audit, no thumbnails": {"strategy.kind": "frozen", "audit.by": [], "report.thumbnails": 0},
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(one, id=name, marks=() if "cached" in name else pytest.mark.series)
        for name, one in VARIANTS.items()
    ],
)
def test_the_report_of_a_fit_is_the_one_that_its_run_writes_later(photos, reads, changes):
    path = Path("runs/tiny")
    run = fit(photos, changes)
    assert reads == []
    page = (path / "report.html").read_bytes()
    for part in (b"train/red/leak.png", b"train/red/broken.png", b"A. Painter", b"random weights"):
        assert part in page
    audited = (b"Images behind the gaps" in page, b"Behind the gaps" in page)
    assert audited == (("audit.by" not in changes),) * 2
    assert run.report().read_bytes() == page
    assert reads != []
    stored = {name: getattr(run.directory, name) for name in RESULTS if getattr(run.directory, name).is_file()}
    assert set(stored) == ({"evaluation"} if "audit.by" in changes else set(RESULTS))
    before = {name: file.read_bytes() for name, file in stored.items()}
    for file in stored.values():
        file.unlink()
    again = open_run(path)
    for split in ("test", "val"):
        again.evaluation(split)
        again.get_audit(split)
    assert again.report().read_bytes() == page  # and so do the figures that are computed from the files
    assert {name: file.read_bytes() for name, file in stored.items()} == before


@pytest.mark.series
def test_the_report_of_an_interrupted_and_of_a_resumed_fit_is_the_one_that_its_run_writes_later(photos, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        run = fit(photos, {"train.epochs": 3})
    assert run.status == "interrupted"
    page = run.directory.report.read_bytes()
    assert b"interrupted" in page
    assert run.report().read_bytes() == page
    run.directory.repair.write_text("{}")  # of a head that is trained further
    run = fit(photos, {"train.epochs": 3}, resume=True)
    assert not run.directory.repair.exists()
    page = run.directory.report.read_bytes()
    assert len(run.history) == 3
    assert run.report().read_bytes() == page


def test_a_run_that_is_resumed_has_no_row_of_an_epoch_that_it_trains_again(tiny_recipe, monkeypatch):
    """The process was killed after the row of epoch 2, before its checkpoint."""
    recipe, changes = tiny_recipe(report=True), {"train.epochs": 3, "data.batch_size": 4}
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        run = fit(recipe, changes)
    assert len(run.history) == 1
    metrics = run.directory.metrics
    metrics.write_text(metrics.read_text() + metrics.read_text().splitlines()[1].replace("1,", "2,", 1) + "\n")
    assert run.history["epoch"].tolist() == [1, 2]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        run = fit(recipe, changes, resume=True)
    assert run.status == "interrupted"
    assert run.history["epoch"].tolist() == [1]
    page = run.directory.report.read_bytes()
    assert run.report().read_bytes() == page


def test_each_line_of_the_audit_is_logged_once_and_one_accuracy_has_one_interval(photos, caplog):
    caplog.set_level("INFO", logger="tlkit")
    chosen = {"strategy.kind": "frozen", "strategy.head": "lda", "report.enabled": False}
    run = fit(photos, {**chosen, "audit.by": ["camera"], "audit.cluster_by": "person"})
    lines = [text for text in caplog.messages if "Audit by" in text or "Group column" in text or "person:" in text]
    assert lines and len(lines) == len(set(lines))
    assert {"val", "test"} <= set(run.directory.read_json(run.directory.audit))
    for split in ("val", "test"):
        assert run.evaluation(split).accuracy == run.get_audit(split).overall
        assert run.evaluation(split).cluster_by == "person"
