"""Sources are checked for existence before they are read."""

from __future__ import annotations

import pytest
from messages import saying

from tlkit.data.sources.read_samples import read_samples, require_source
from tlkit.errors import DataError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"root": ()}, saying("CSV", "images", "folders")),
        ({"root": "photo"}, saying("'photo'", "working", "directory")),
        ({"root": ["photos", "photo"]}, saying("folder", "photo", "exist")),
        ({"root": "list.csv"}, saying("list.csv", "images", "exist")),
        ({"root": "train-{0..1}.tar"}, saying("2", "train-0.tar", "train-1.tar")),
        ({"root": "train-*.tar"}, saying("file", "matches", "train")),
    ],
)
def test_a_missing_source_has_the_same_message_as_reading_it(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=message.pattern) as early:
        require_source(**given)
    if given.get("root") != ["photos", "photo"]:
        with pytest.raises(DataError) as late:
            read_samples(**given)
        assert str(late.value) == str(early.value)


def test_all_missing_sources_are_reported_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        require_source([tmp_path / "a", tmp_path / "b"])
    assert len(caught.value.problems) == 2


def test_existing_sources_are_not_read(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "list.csv").write_text("no list at all")
    require_source(tmp_path / "photos")
    require_source(tmp_path / "list.csv")
    with pytest.raises(DataError):
        read_samples(tmp_path / "photos", manifest=tmp_path / "list.csv")
