"""Doctor and summary of all sources: folders, lists of images and tar shards."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from messages import saying, says
from tars import write_folder_as_tar

import tlkit
from tlkit.data.checks.dataset_summary import contact_sheets, summarize_data
from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.checks.doctor import diagnose, thumbnails
from tlkit.data.checks.quarantine import exclude_quarantined, write_quarantine
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import DataError
from tlkit.render.report.dataset_pages import require_own_page, write_diagnosis


@pytest.fixture
def sick(photos, tmp_path):
    """Two classes of ten images: one cut short, one copied under the other label; and a stray file."""
    data = (photos / "ant/0.png").read_bytes()
    (photos / "ant/0.png").write_bytes(data[: len(data) // 2])
    shutil.copy(photos / "ant/1.png", photos / "bee/copy.png")
    (photos / "ant/notes.txt").write_text("stray")
    return photos


def as_list(root, folder):
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [(path, path.split("/")[0], "day" if "1" in path else "") for path in paths]
    file = folder / "list.csv"
    pd.DataFrame(rows, columns=["path", "label", "light"]).to_csv(file, index=False)
    return file


def as_shard(root, folder):
    return write_folder_as_tar(folder / "train-000.tar", root)


def kinds(diagnosis: Diagnosis) -> dict[str, int]:
    return {f.kind: f.count for f in diagnosis.findings if f.kind in ("truncated", "across-labels", "not-by-name")}


def test_every_source_gets_the_same_findings(sick, tmp_path_factory):
    of_folder = tlkit.data_doctor(sick)
    assert kinds(of_folder) == {"truncated": 1, "across-labels": 1, "not-by-name": 1}
    assert of_folder.listed_in == ""
    shards = tmp_path_factory.mktemp("shards")
    for source, what in ((as_list(sick, sick), "the list"), (as_shard(sick, shards), "the shards")):
        diagnosis, samples = diagnose(source)
        assert kinds(diagnosis) == {"truncated": 1, "across-labels": 1}
        assert (diagnosis.source, diagnosis.images) == (str(source), 21)
        assert diagnosis.listed_in == what.removeprefix("the ")
        assert says(diagnosis.tables()[0].title, f"Only the images in {what}")
        assert Diagnosis.from_dict(diagnosis.to_dict()) == diagnosis
        assert len(thumbnails(diagnosis)) > 0
        file = write_quarantine(shards / f"{source.stem}-fix.csv", diagnosis, samples)
        assert len(exclude_quarantined(read_samples(source), file)) == 21 - 3


def test_several_folders_are_examined_together(sick, tmp_path_factory, make_image):
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(sick / "bee", other / "bee")
    (other / "loose.png").write_bytes(b"")
    diagnosis = tlkit.data_doctor([sick, other])
    assert diagnosis.images == 32
    found = {finding.kind: finding.items for finding in diagnosis.findings}
    assert found["loose"] == (f"{other}/loose.png",)
    assert "layout" not in found, "a folder with one class is a part, not a fault"
    with pytest.raises(DataError, match=saying("overlap", "images", "count").pattern):
        tlkit.data_doctor([sick, sick / "ant"])


def test_a_source_that_is_unusable_for_training_is_examined(photos):
    shutil.rmtree(photos / "bee")
    diagnosis = tlkit.data_doctor(as_list(photos, photos))
    assert diagnosis.findings[0].kind == "layout"
    assert says(diagnosis.findings[0].items[0], "'ant'", "class")


def test_every_source_has_a_summary(sick, tmp_path_factory):
    shards = tmp_path_factory.mktemp("shards")
    of_folder, _ = summarize_data(sick)
    for source in (as_list(sick, sick), as_shard(sick, shards)):
        summary, samples = summarize_data(source)
        assert (summary.counts, summary.modes, summary.sizes) == (of_folder.counts, of_folder.modes, of_folder.sizes)
        assert summary.root == str(source)
        assert set(contact_sheets(samples)) == {"ant", "bee"}
    summary, _ = summarize_data(sick / "list.csv", groups=["light"])
    assert summary.groups["light"]["day"]["train"] == 2


def test_a_page_replaces_only_one_of_its_own_kind(sick, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    page = out / "page.html"
    require_own_page(page, command="doctor")
    write_diagnosis(page, tlkit.data_doctor(sick), thumbnails={})
    require_own_page(page, command="doctor")
    with pytest.raises(DataError) as caught:
        require_own_page(page, command="summary")
    assert caught.value.problems == (saying(page, "another", "--overwrite"),)
    require_own_page(page, command="summary", overwrite=True)
    with pytest.raises(DataError, match=saying("folder", "Give", "name").pattern):
        require_own_page(out, command="doctor", overwrite=True)
