"""The feature cache: keys, blocks, damage, the size limit, and a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import saying, says

from tlkit.features import FeatureCache, Features, Provenance, View
from tlkit.features import cache as cache_module
from tlkit.features.features import canonical_options
from tlkit.preprocess import Preprocess

MADE_BY = Provenance("resnet18", "0f" * 32, "pooled", Preprocess(), "rules 1, pillow 13", "torch/cpu", "float32")


def keys_of(n, made_by=MADE_BY):
    return [made_by.key(f"{i:064x}") for i in range(n)]


def rows(n, width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


PREPROCESSES = st.sampled_from(
    [
        Preprocess(),
        *(
            Preprocess(**change)
            for change in (
                {"image_size": (224, 225)},
                {"resize": "squash"},
                {"crop_pct": 0.9},
                {"interpolation": "bilinear"},
                {"mean": (0.5, 0.5, 0.4)},
                {"std": (0.5, 0.4, 0.5)},
                {"background": (0, 255, 255)},
            )
        ),
    ]
)
TEXTS = st.sampled_from(["a", "b", "a,b", '"', ""])
PROVENANCES = st.builds(
    Provenance,
    TEXTS,
    TEXTS,
    TEXTS,
    PREPROCESSES,
    TEXTS,
    TEXTS,
    st.sampled_from(["float32", "bfloat16"]),
    st.none() | st.builds(View, TEXTS, st.integers(0, 2), st.integers(0, 2), TEXTS),
    TEXTS,
    TEXTS,
)


@settings(max_examples=200, deadline=None)
@given(PROVENANCES, PROVENANCES, TEXTS, TEXTS)
def test_a_key_changes_if_and_only_if_an_input_changes(one, other, image, other_image):
    same = one == other and image == other_image
    assert (one.key(image, sample_id=1) == other.key(other_image, sample_id=1)) == same
    assert (one.digest == other.digest) == (one == other)
    assert Provenance.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_the_version_of_the_cache_changes_the_key_and_a_sample_does_so_with_a_view(monkeypatch):
    viewed = replace(MADE_BY, view=View("light", 0, 1))
    assert viewed.key("ab", sample_id=1) != viewed.key("ab", sample_id=2)
    assert viewed.key("ab") != replace(viewed, view=replace(viewed.view, made_with="albumentations 2.0.9")).key("ab")
    assert MADE_BY.key("ab", sample_id=1) == MADE_BY.key("ab", sample_id=2)  # nothing is drawn without a view
    before = MADE_BY.key("ab")
    monkeypatch.setattr("tlkit.features.features.CACHE_VERSION", 3)
    assert replace(MADE_BY).key("ab") != before


def test_cache_keys_stay_equal_from_release_to_release():
    """Caches on users' disks are found by it; where it has to change, `CACHE_VERSION` is raised."""
    assert MADE_BY.key("ab" * 32) == "be818310ebf9f89384089111574e776fd5a6ef13a1bdbef81ad0635d1a7558b8"
    assert MADE_BY.digest == "cd77faf639887a31b3207c105e021b5fe6c768d27320ae4cc04c1d0387e01cf8"


def test_canonical_options_do_not_depend_on_order():
    assert canonical_options({"b": [1, 2], "a": None}) == canonical_options({"a": None, "b": (1, 2)})
    assert canonical_options({}) == ""


def test_added_features_are_read_by_another_object_in_any_order(tmp_path):
    keys, x = keys_of(50), rows(50)
    cache = FeatureCache(tmp_path)
    entry = cache.entry(MADE_BY)
    assert entry.missing(keys) == list(range(50))
    for start in range(0, 50, 20):
        entry.add(keys[start : start + 20], x[start : start + 20])
    other = FeatureCache(tmp_path).entry(MADE_BY)
    order = np.random.default_rng(1).permutation(50)[:31]
    assert other.missing([keys[i] for i in order]) == []
    np.testing.assert_array_equal(other.read([keys[i] for i in order]), x[order])
    (info,) = cache.info()
    assert (info.made_by, info.images) == (MADE_BY, 50)
    on_disk = sum(path.stat().st_size for path in tmp_path.glob("*/*") if path.name not in ("manifest.json", ".lock"))
    assert info.size_bytes == on_disk
    assert FeatureCache(tmp_path).entry(replace(MADE_BY, dtype="bfloat16")).missing(keys) == list(range(50))


def test_large_features_are_mapped_from_disk_and_equal_those_in_memory(tmp_path, monkeypatch):
    keys, x = keys_of(90), rows(90)
    entry = FeatureCache(tmp_path).entry(MADE_BY)
    entry.add(keys[:40], x[:40])
    entry.add(keys[40:], x[40:])
    order = [*range(30, 60), 89, *range(10), 3, 3]
    monkeypatch.setattr(cache_module, "IN_MEMORY_BYTES", 0)
    entry.missing(keys)
    mapped = entry.read([keys[i] for i in order])
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, x[order])
    assert not mapped.flags.writeable
    assert not [path for path in entry.path.iterdir() if path.suffix not in (".npy", ".json")]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "sidecar"])
def test_a_damaged_block_is_removed_and_only_its_images_are_missing(tmp_path, caplog, damage):
    keys, x = keys_of(30), rows(30)
    entry = FeatureCache(tmp_path).entry(MADE_BY)
    entry.add(keys[:20], x[:20])
    entry.add(keys[20:], x[20:])
    victim = next(block for block in entry.blocks() if keys[0] in block.keys)
    data = bytearray(victim.path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        victim.path.write_bytes(data)
    elif damage == "cut":
        victim.path.write_bytes(data[:-3])
    elif damage == "remove":
        victim.path.unlink()
    else:
        victim.sidecar.write_text('{"format_version": 1, "keys"')
    fresh = FeatureCache(tmp_path).entry(MADE_BY)
    assert fresh.missing(keys) == list(range(20))
    assert any("computed again" in message for message in caplog.messages)
    fresh.add(keys[:20], x[:20])
    np.testing.assert_array_equal(fresh.read(keys), x)
    assert FeatureCache(tmp_path).entry(MADE_BY).missing(keys) == []


def test_prune_removes_the_least_recently_used_blocks_and_keeps_those_in_use(tmp_path, caplog):
    cache = FeatureCache(tmp_path)
    entry = cache.entry(MADE_BY)
    keys = keys_of(30)
    for part in range(3):
        entry.add(keys[10 * part : 10 * part + 10], rows(10, seed=part))
        os.utime(entry._rows[keys[10 * part]][0].sidecar, (part, part))
    size = sum(block.size_bytes for block in entry.blocks())
    other = FeatureCache(tmp_path).entry(MADE_BY)
    other.missing(keys[:10])  # the oldest is used again
    assert cache.prune(limit_bytes=size - 1) > 0
    assert FeatureCache(tmp_path).entry(MADE_BY).missing(keys) == list(range(10, 20))
    assert cache.prune(limit_bytes=0, keep=other.in_use) > 0
    assert FeatureCache(tmp_path).entry(MADE_BY).missing(keys) == list(range(10, 30))
    assert says(caplog.text, "more than its limit", "kept")
    assert cache.prune(limit_bytes=0) > 0
    assert FeatureCache(tmp_path).entry(MADE_BY).missing(keys) == list(range(30))


def test_a_block_removed_by_another_process_raises_and_is_then_missing(tmp_path):
    keys = keys_of(4)
    entry = FeatureCache(tmp_path).entry(MADE_BY)
    entry.add(keys, rows(4))
    FeatureCache(tmp_path).prune(limit_bytes=0)
    with pytest.raises(cache_module.CacheBlockLostError):
        entry.read(keys)
    assert entry.missing(keys) == [0, 1, 2, 3]


def test_rows_are_found_by_path_and_missing_ones_are_named():
    features = Features(rows(3), np.array(["a.png", "b.png", "c.png"]), np.array(["0", "1", "2"]), MADE_BY)
    np.testing.assert_array_equal(features.of(["c.png", "a.png"]).x, features.x[[2, 0]])
    with pytest.raises(Exception, match=saying("1", "2", "d.png").pattern):
        features.of(["a.png", "d.png"])


WRITER = """
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_feature_cache import MADE_BY, keys_of, rows
from tlkit.features import FeatureCache
entry = FeatureCache({folder!r}).entry(MADE_BY)
keys, x = keys_of(400), rows(400, width=64)
with entry.writing():
    missing = entry.missing(keys)
    print(len(missing), flush=True)
    for start in range(0, len(missing), 8):
        part = missing[start : start + 8]
        entry.add([keys[i] for i in part], x[part])
print("done", flush=True)
"""


def writer(folder):
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder))
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*map(str, Path(__file__).parents[1:3]), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)


@pytest.mark.slow
def test_a_writer_killed_at_random_points_resumes_to_the_same_bytes(tmp_path):
    rng = np.random.default_rng(7)
    left = []
    for _ in range(5):
        process = writer(tmp_path)
        left.append(int(process.stdout.readline()))  # it has begun to write
        time.sleep(float(rng.uniform(0, 0.05)))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        process.stdout.close()
    process = writer(tmp_path)
    assert process.communicate(timeout=60)[0].endswith("done\n")
    assert left[0] == 400 and left == sorted(left, reverse=True)
    entry = FeatureCache(tmp_path).entry(MADE_BY)
    assert entry.missing(keys_of(400)) == []
    assert entry.read(keys_of(400)).tobytes() == rows(400, width=64).tobytes()
    names = {path.suffix for path in entry.path.iterdir() if path.name != ".lock"}
    assert names == {".npy", ".json"}  # nothing half-written is left


def test_without_a_writable_cache_features_are_kept_for_the_process(tmp_path, caplog):
    """A file in the way stands for a folder without the right to write, which the tests' user may always have."""
    (tmp_path / "file").write_text("")
    folder, keys, x = tmp_path / "file" / "features", keys_of(3), rows(3)
    for _ in range(2):
        entry = FeatureCache(folder).entry(MADE_BY)
        if entry.missing(keys):
            with entry.writing():
                if entry.missing(keys):  # the second time they are there
                    entry.add(keys, x)
        np.testing.assert_array_equal(entry.read(keys), x)
    (message,) = caplog.messages
    assert message == saying(folder, "TLKIT_CACHE")
    assert len(list(entry.path.glob("*.npy"))) == 1
    assert not entry.path.is_relative_to(tmp_path)
