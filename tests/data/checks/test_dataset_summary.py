from __future__ import annotations

import base64
import io
import json
from functools import partial

import pandas as pd
import pytest
from command import tlkit
from messages import saying, says
from PIL import Image

from tlkit.data.checks.dataset_summary import contact_sheets, summarize_data
from tlkit.errors import DataError
from tlkit.render.report.dataset_pages import write_summary


@pytest.fixture
def mixed(tmp_path, make_image):
    for split, count in (("train", 3), ("val", 2)):
        for label in ("ant", "bee"):
            for number in range(count):
                make_image(f"set/{split}/{label}/{number}.png", size=(40, 32))
    make_image("set/train/ant/large.jpg", size=(400, 100))
    with Image.open(tmp_path / "set/train/bee/0.png") as image:
        image.convert("L").save(tmp_path / "set/train/bee/0.png")
    (tmp_path / "set/train/bee/bad.jpg").write_bytes(b"no image")
    rows = [("train/ant/0.png", "day"), ("train/ant/1.png", "night"), ("val/ant/0.png", "night")]
    pd.DataFrame(rows, columns=["path", "light"]).to_csv(tmp_path / "light.csv", index=False)
    return tmp_path / "set"


def test_counts_sizes_modes_and_formats_are_summarized(mixed):
    summary, samples = summarize_data(mixed)
    assert summary.images == len(samples) == 12
    assert summary.counts == {"ant": {"train": 4, "val": 2, "test": 0}, "bee": {"train": 4, "val": 2, "test": 0}}
    assert summary.sizes == {"width": (40, 40, 400), "height": (32, 32, 100), "megapixels": (0.00128, 0.00128, 0.04)}
    assert summary.modes == {"RGB": 10, "L": 1}
    assert summary.formats == {"PNG": 10, "JPEG": 1}
    assert summary.unreadable == ("train/bee/bad.jpg",)
    counts, sizes, formats = summary.tables()
    assert [column.label for column in counts.columns] == ["class", "train", "val", "all"]
    assert counts.rows == (("ant", 4, 2, 6), ("bee", 4, 2, 6), ("all", 8, 4, 12))
    assert sizes.rows[2] == ("megapixels", 0.00128, 0.00128, 0.04)
    assert formats.rows == (("PNG", 10), ("JPEG", 1), ("RGB", 10), ("L", 1))
    assert formats.notes[0].startswith("1 file has")


def test_groups_are_counted_with_missing_values(mixed):
    summary, _ = summarize_data(mixed, metadata=mixed.parent / "light.csv", groups=["light"])
    assert summary.groups["light"] == {
        "(missing)": {"train": 6, "val": 3, "test": 0},
        "day": {"train": 1, "val": 0, "test": 0},
        "night": {"train": 1, "val": 1, "test": 0},
    }
    assert summary.tables()[1].rows == (("(missing)", 6, 3, 9), ("day", 1, 0, 1), ("night", 1, 1, 2), ("all", 8, 4, 12))


def test_groups_without_their_metadata_are_refused(mixed):
    with pytest.raises(DataError, match=saying("'light'", "CSV", "--metadata", "FILE").pattern):
        summarize_data(mixed, groups=["light"])


def test_a_very_long_header_is_read_completely(tmp_path, make_image):
    make_image("set/ant/1.png")
    path = make_image("set/bee/1.jpg")
    with Image.open(path) as image:
        image.load()
        image.save(path, comment=b"x" * 60_000, icc_profile=bytes(300_000))
    summary, _ = summarize_data(tmp_path / "set")
    assert summary.unreadable == ()
    assert summary.formats == {"PNG": 1, "JPEG": 1}


def test_the_page_has_one_contact_sheet_a_class_and_the_plot(mixed, tmp_path):
    summary, samples = summarize_data(mixed)
    sheets = contact_sheets(samples)
    assert sheets == contact_sheets(samples)
    with Image.open(io.BytesIO(base64.b64decode(sheets["ant"]))) as sheet:
        assert sheet.size == (640, 64)
    page = write_summary(tmp_path / "page.html", summary, sheets=sheets).read_text()
    assert page.count("data:image/jpeg") == 2
    assert page.count("data:image/svg+xml") == 2  # for wide and for narrow pages
    assert says(page, "1", "readable", "header")


@pytest.mark.slow
def test_the_command_prints_tables_or_json_and_writes_the_page(mixed, tmp_path):
    run = partial(tlkit, "data", "summary", cwd=tmp_path)
    metadata = mixed.parent / "light.csv"
    text = run(mixed, "--metadata", metadata, "--by", "light", "--html", "page.html").stdout
    assert says(text, "Images", "light", "split")
    assert (tmp_path / "page.html").is_file()
    assert json.loads(run(mixed, "--json").stdout)["images"] == 12
    assert run(mixed, "--html", "page.html").returncode == 0
    (tmp_path / "page.html").write_text("<p>my own notes</p>")
    refused = run(mixed, "--html", "page.html")
    assert refused.returncode == 2
    assert says(refused.stderr, "error", "page.html", "another", "--overwrite")
    assert run(mixed, "--html", "page.html", "--overwrite").returncode == 0
    assert "my own notes" not in (tmp_path / "page.html").read_text()
