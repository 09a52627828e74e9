"""The doctor finds every kind of fault that is planted into a sound dataset, and nothing else."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import tlkit as run_tlkit
from data_modules import data_module
from messages import saying, says
from PIL import Image

import tlkit
from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.checks.doctor import diagnose, thumbnails
from tlkit.data.checks.finding_kinds import KINDS
from tlkit.data.checks.quarantine import exclude_quarantined, write_quarantine
from tlkit.data.checks.thumbnails import draw_thumbnails
from tlkit.data.decode.jpeg_markers import scan_damage
from tlkit.errors import DataError


def picture(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    detail = generator.normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + detail, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def sound(root: Path) -> Path:
    for number, (split, label) in enumerate((s, c) for s in ("train", "val") for c in ("cat", "dog")):
        (root / split / label).mkdir(parents=True)
        for at in range(12):
            picture(100 * number + at).save(root / split / label / f"{at:02d}.jpg", quality=90)
    return root


def exif(**tags: object) -> Image.Exif:
    made = Image.Exif()
    for name, value in tags.items():
        made[{"orientation": 274, "artist": 315}[name]] = value
    return made


def out_of_focus() -> Image.Image:
    ramp = Image.linear_gradient("L").point(lambda value: int(0.45 * value + 10))
    return Image.merge("RGB", (ramp, ramp.rotate(90), ramp)).resize((480, 360))


def with_gps() -> Image.Exif:
    made = Image.Exif()
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 5.0, 0.0), 3: "E", 4: (4.0, 18.0, 0.0)})
    return made


def bomb() -> bytes:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 90_000, 90_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def plant(root: Path) -> dict[str, list[str]]:
    """Plant the faults; return which items each kind of finding must name."""
    cat = root / "train" / "cat"
    n = iter(range(1000, 2000))

    def new(name: str, data: bytes) -> str:
        (cat / name).write_bytes(data)
        return f"train/cat/{name}"

    def save(name: str, image: Image.Image, **options) -> str:
        image.save(cat / name, **options)
        return f"train/cat/{name}"

    def fresh() -> Image.Image:
        return picture(next(n))

    whole = jpeg(fresh())
    png = io.BytesIO()
    fresh().save(png, "PNG")
    damaged = bytearray(png.getvalue())
    damaged[len(damaged) // 2] ^= 0xFF
    restarts = bytearray(jpeg(fresh(), restart_marker_blocks=4))
    restarts[restarts.index(b"\xff\xd2") + 1] = 0xD5
    deep_jpeg = bytearray(jpeg(fresh()))
    deep_jpeg[deep_jpeg.index(b"\xff\xc0") + 4] = 12
    shallow = (np.asarray(fresh().convert("L")).astype(np.uint16) << 8) | 7
    planted = {
        "zero-byte": [new("zero.jpg", b"")],
        "html": [new("page.jpg", b"<!DOCTYPE html><title>404</title>")],
        "not-an-image": [new("text.png", b"hello, this is a text")],
        "truncated": [new("cut.jpg", whole[: len(whole) // 2]), new("noend.jpg", jpeg(fresh())[:-2])],
        "bomb": [new("bomb.png", bomb())],
        "damaged": [new("damaged.png", bytes(damaged))],
        "no-agreed-meaning": [save("float.tif", Image.fromarray(np.full((64, 64), 300.0, np.float32)))],
        "unsupported": [new("twelve.jpg", bytes(deep_jpeg))],
        "damaged-scan": [new("restart.jpg", bytes(restarts))],
        "wrong-ending": [new("really.png", jpeg(fresh()))],
        "damaged-metadata": [new("exif.jpg", jpeg(fresh(), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03"))],
        "animated": [save("moving.webp", fresh(), save_all=True, append_images=[fresh()], quality=90)],
        "several-pages": [save("pages.tif", fresh(), save_all=True, append_images=[fresh()])],
        "exif-rotated": [save("turned.jpg", fresh(), exif=exif(orientation=6), quality=90)],
        "grayscale": [save("gray.png", fresh().convert("L"))],
        "palette": [save("palette.png", fresh().quantize(200))],
        "cmyk": [save("press.jpg", fresh().convert("CMYK"), quality=90)],
        "deep": [save("scan.png", Image.fromarray(shallow))],
        "gif": [save("still.gif", fresh())],
        "tiny": [save("tiny.png", picture(next(n), (20, 24)))],
        "odd-aspect": [save("strip.png", picture(next(n), (240, 40)))],
        "dark": [save("night.png", fresh().point(lambda value: value // 5))],
        "bright": [save("snow.png", fresh().point(lambda value: 248 + value // 40))],
        "blurred": [save("blurred.png", out_of_focus())],
        "low-information": [save("blank.png", Image.new("RGB", (64, 64), (90, 120, 60)))],
        "gps": [save("holiday.jpg", fresh(), exif=with_gps(), quality=90)],
        "personal": [save("signed.jpg", fresh(), exif=exif(artist="Jane Doe"), quality=90)],
    }
    clear = fresh().convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    planted["transparent"] = [save("clear.png", clear)]
    light = fresh().convert("L")
    tinted = Image.merge("RGB", [light.point(lambda value, by=by: value + by) for by in (2, 0, 1)])
    planted["grayscale"] += [save("tinted.jpg", tinted, quality=85), "train/cat/scan.png", "train/cat/snow.png"]
    planted["nearly-black"] = [save("faint.png", Image.fromarray((shallow >> 5).astype(np.uint16)))]
    planted["deep"] += planted["nearly-black"]
    planted["grayscale"] += planted["nearly-black"]
    planted["dark"] += planted["nearly-black"]
    planted["huge"] = [new("huge.jpg", jpeg(picture(next(n)).resize((6000, 4500))))]
    return planted | plant_relations(root, fresh) | plant_in_folders(root, fresh)


def plant_relations(root: Path, fresh) -> dict[str, list[str]]:
    """Plant copies and classes out of proportion; return which items each kind of finding must name."""
    leak = root / "val" / "dog" / "leak.jpg"
    Image.open(root / "train" / "dog" / "03.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(leak, quality=70)
    painted = Image.open(root / "train" / "dog" / "06.jpg")
    painted.paste((255, 255, 255), (40, 30, 52, 42))
    painted.save(root / "train" / "dog" / "painted.png")
    shutil.copy(root / "train" / "dog" / "05.jpg", root / "train" / "dog" / "copy.jpg")
    Image.open(root / "val" / "dog" / "07.jpg").resize((64, 48)).save(root / "val" / "cat" / "label.png")
    for label, count in (("Dog", 12), ("rare", 2), ("many", 30)):
        for split in ("train", "val") if label != "rare" else ("train",):
            (root / split / label).mkdir()
            for at in range(count if split == "train" else 12):
                fresh().save(root / split / label / f"{at:02d}.jpg", quality=90)
    return {
        "across-splits": ["train/dog/03.jpg = val/dog/leak.jpg"],
        "across-labels": ["val/cat/label.png = val/dog/07.jpg"],
        "near-duplicates": ["train/dog/06.jpg ~ train/dog/painted.png"],
        "copies": ["train/dog/05.jpg = train/dog/copy.jpg", "val/cat/label.png = val/dog/07.jpg"],
        "case-collisions": ["'Dog' and 'dog'"],
        "few-images": ["rare (2)"],
        "imbalance": ["rare (2 of at most 44)"],
        "absent-class": ["rare (in val)"],
    }


def plant_in_folders(root: Path, fresh) -> dict[str, list[str]]:
    """Plant what a scan passes over; return which items each kind of finding must name."""
    outside = root.parent / "elsewhere"
    outside.mkdir()
    fresh().save(outside / "other.jpg", quality=90)
    (root / "train" / "dog" / "link.jpg").symlink_to(outside / "other.jpg")
    (root / "train" / "dog" / "nowhere.jpg").symlink_to(outside / "gone.jpg")
    (root / "train" / "dog" / "again").symlink_to(root / "train")
    (root / "train" / "dog" / "Thumbs.db").write_bytes(b"x")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    for name in ("notes.txt", "labels.csv.gz"):
        (root / "train" / "dog" / name).write_text("x")
    (root / "train" / "dog" / "MORE.ZIP").write_bytes(b"PK")
    (root / "train" / "old.tar.gz").write_bytes(b"x")
    (root / "train" / "dog" / "drawing.svg").write_text("<svg/>")
    fresh().save(root / "train" / "dog" / "unnamed", "PNG")
    os.mkfifo(root / "train" / "dog" / "pipe.jpg")
    (root / "train" / "empty").mkdir()
    fresh().save(root / "train" / "loose.jpg")
    shutil.copy(root / "train" / "dog" / "00.jpg", os.fsencode(root / "train" / "dog") + b"/caf\xe9.jpg")
    return {
        "outside": ["train/dog/link.jpg"],
        "broken-link": ["train/dog/nowhere.jpg"],
        "loop": ["train/dog/again/"],
        "junk": ["train/.ipynb_checkpoints/", "train/dog/Thumbs.db"],
        "not-by-name": ["train/dog/labels.csv.gz", "train/dog/notes.txt"],
        "archive": ["train/dog/MORE.ZIP", "train/old.tar.gz"],
        "unread-format": [saying("train/dog/drawing.svg", "SVG", "PNG"), saying("train/dog/unnamed", "PNG", "name")],
        "special-file": ["train/dog/pipe.jpg"],
        "empty-class": ["train/empty/"],
        "loose": ["train/loose.jpg"],
        "not-utf8": [r"'train/dog/caf\udce9.jpg'"],
    }


@pytest.fixture(scope="module")
def garden(tmp_path_factory):
    root = sound(tmp_path_factory.mktemp("garden") / "set")
    planted = plant(root)
    return root, planted, *diagnose(root, workers=2)


def test_a_sound_dataset_has_no_findings(tmp_path):
    diagnosis = tlkit.data_doctor(sound(tmp_path / "set"), faces=True)
    assert diagnosis.findings == ()
    assert diagnosis.quarantine == ()
    (table,) = diagnosis.tables()
    assert table.rows == ()
    assert table.title == saying(f"{tmp_path}/set", "48 images", "2 classes", "train 24, val 24")
    assert not diagnosis.reaches("info")


def test_every_planted_fault_is_found_and_nothing_else(garden):
    _, planted, diagnosis, _ = garden
    assert len(planted) >= 30
    wholes = {"copies", "across-splits", "across-labels", "near-duplicates"}
    found = {f.kind: sorted(f.files if f.files and f.kind not in wholes else f.items) for f in diagnosis.findings}
    assert found == {kind: sorted(items, key=str) for kind, items in planted.items()}
    assert all(finding.severity == KINDS[finding.kind].severity for finding in diagnosis.findings)
    (table,) = diagnosis.tables()
    assert table.column("count") == tuple(finding.count for finding in diagnosis.findings)
    of_lists_and_shards = {"missing-file", "listed-again", "wrong-row", "blank-row", "repeated", "set-aside"}
    of_lists_and_shards |= {"no-image", "no-majority", "no-class", "several-images", "tar-member", "sample-part"}
    of_masks = {"no-mask", "shared-mask", "mask-unusable", "mask-size", "mask-values", "void-mask", "extra-mask"}
    of_masks |= {"several-masks"}
    others = {"layout", "cannot-open", "faces", "burned-in", *of_lists_and_shards, *of_masks}
    assert set(KINDS) - set(planted) == others


def test_faulty_training_images_are_quarantined_with_reasons(garden):
    _, planted, diagnosis, _ = garden
    reasons = dict(diagnosis.quarantine)
    unreadable = (
        "zero-byte",
        "html",
        "not-an-image",
        "truncated",
        "bomb",
        "damaged",
        "no-agreed-meaning",
        "unsupported",
    )
    expected = {item for kind in unreadable for item in planted[kind]}
    assert set(reasons) == expected | {"train/dog/03.jpg", "val/cat/label.png", "val/dog/07.jpg"}
    assert reasons["train/dog/03.jpg"] == saying("val/dog/leak.jpg", "shows", "picture")
    assert reasons["val/dog/07.jpg"] == saying("same", "picture", "labelled")
    assert reasons["train/cat/zero.jpg"] == saying("0", "empty", "bytes")


def test_a_diagnosis_round_trips_through_json_and_renders(garden):
    diagnosis = garden[2]
    assert Diagnosis.from_dict(json.loads(json.dumps(diagnosis.to_dict()))) == diagnosis
    assert says(diagnosis._repr_html_(), "pictures", "split")
    with pytest.raises(DataError, match=saying("9", "1", "diagnosis", "format").pattern):
        Diagnosis.from_dict({**diagnosis.to_dict(), "format_version": 9})


def test_quarantined_images_are_excluded_from_training(garden, tmp_path, lines):
    root, _, diagnosis, samples = garden
    file = write_quarantine(tmp_path / "fixed.csv", diagnosis, samples)
    assert lines()[-1] == saying(file, f"data.quarantine: {file}")
    table = pd.read_csv(file, keep_default_na=False)
    assert table.columns.tolist() == ["path", "label", "split", "digest", "quarantine"]
    assert len(table) == diagnosis.images
    data = data_module(root, quarantine=file, num_workers=0, val=0)
    data.setup()
    assert set(data.samples.paths).isdisjoint(path for path, _ in diagnosis.quarantine)
    assert data.dataset.excluded == ()
    assert says(lines(), len(diagnosis.quarantine), diagnosis.images, file)
    with pytest.raises(DataError, match=saying("fixed.csv", "exists", "Remove it").pattern):
        write_quarantine(file, diagnosis, samples)


def test_a_file_that_changed_since_its_quarantine_is_kept_and_named(tmp_path, lines):
    root = sound(tmp_path / "set")
    samples = diagnose(root)[1]
    table = samples.table.assign(quarantine=["bad" if at < 2 else "" for at in range(len(samples))])
    table.to_csv(tmp_path / "m.csv", index=False)
    picture(9999).save(root / "train" / "cat" / "00.jpg")
    left = exclude_quarantined(diagnose(root)[1], tmp_path / "m.csv")
    assert "train/cat/00.jpg" in left.paths
    assert "train/cat/01.jpg" not in left.paths
    assert lines()[-1] == saying("1", "train/cat/00.jpg")
    reasons = ["x" if label == "cat" else "" for label in table["label"]]
    table.assign(quarantine=reasons).to_csv(tmp_path / "all.csv", index=False)
    with pytest.raises(DataError, match=saying("quarantines", "training", "image").pattern):
        exclude_quarantined(samples, tmp_path / "all.csv")
    with pytest.raises(DataError, match=saying("m.cvs", "'m.csv'").pattern):
        exclude_quarantined(samples, tmp_path / "m.cvs")


def test_quarantined_rows_that_belong_to_no_image_are_named(tmp_path, lines):
    samples = diagnose(sound(tmp_path / "set"))[1]
    table = samples.table.assign(quarantine=["bad", *[""] * (len(samples) - 1)])
    table.assign(path="photos/" + table["path"]).to_csv(tmp_path / "m.csv", index=False)
    assert len(exclude_quarantined(samples, tmp_path / "m.csv")) == len(samples)
    assert lines()[-1] == saying("m.csv", "not among the images (1)", f"photos/{samples.paths[0]}")


def test_a_folder_that_is_unusable_for_training_is_examined(tmp_path):
    (tmp_path / "only").mkdir()
    picture(1).save(tmp_path / "only" / "1.jpg")
    (tmp_path / "only" / "2.jpg").write_bytes(b"")
    diagnosis = tlkit.data_doctor(tmp_path)
    kinds = {finding.kind: finding.items for finding in diagnosis.findings}
    assert kinds["layout"][0] == saying(tmp_path, "'only'")
    assert kinds["zero-byte"] == (saying("only/2.jpg", "0"),)
    with pytest.raises(DataError, match="does not exist"):
        tlkit.data_doctor(tmp_path / "gone")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}, {"optimize": True}])
def test_sound_jpegs_of_every_kind_have_no_scan_damage(options):
    data = jpeg(picture(3), **options)
    assert scan_damage(data) == ""
    assert scan_damage(data + b"\0\0trailing") == ""


def test_a_foreign_marker_within_the_pixels_is_damage():
    data = bytearray(jpeg(picture(3)))
    at = data.rindex(b"\xff\xda") + 60
    data[at : at + 2] = b"\xff\xc9"
    assert scan_damage(bytes(data)) == saying("FFC9", "marker", "stands")


def test_all_copies_of_a_picture_have_thumbnails(tmp_path):
    root = sound(tmp_path / "set")
    picture(0).save(root / "train/cat/again.png")
    diagnosis = tlkit.data_doctor(root)
    (found,) = (finding for finding in diagnosis.findings if finding.kind == "copies")
    assert found.items == (saying("train/cat/00.jpg", "train/cat/again.png"),)
    assert found.files == ("train/cat/00.jpg", "train/cat/again.png")
    assert set(found.files) <= set(thumbnails(diagnosis))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_thumbnails_carry_no_metadata(tmp_path, ending):
    tags = with_gps()
    tags[315] = "Jane Doe"
    extra = {"comment": b"by Jane Doe", "xmp": b"<xmp>Jane Doe</xmp>"} if ending == "jpg" else {}
    picture(0).save(tmp_path / f"a.{ending}", exif=tags, **extra)
    assert b"Jane Doe" in (tmp_path / f"a.{ending}").read_bytes()
    drawn = base64.b64decode(draw_thumbnails(tmp_path, [f"a.{ending}"])[f"a.{ending}"])
    assert b"Jane Doe" not in drawn
    assert b"Exif" not in drawn
    assert set(Image.open(io.BytesIO(drawn)).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_page_shows_thumbnails_and_escapes_names(garden, tmp_path):
    from tlkit.render.report.dataset_pages import write_diagnosis

    diagnosis = garden[2]
    page = write_diagnosis(tmp_path / "out" / "page.html", diagnosis, thumbnails=thumbnails(diagnosis)).read_text()
    assert page.count("<img ") > 20
    assert "<script" not in page
    assert says(page, "train/dog/03.jpg", "val/dog/leak.jpg")
    assert says(page, "HTML", "page", "image")


@pytest.mark.slow
def test_the_command_exits_with_1_on_errors_and_2_on_bad_input(garden, tmp_path):
    doctor = partial(run_tlkit, "data", "doctor", cwd=tmp_path)
    done = doctor(garden[0], "--json", "--fix", "fix.csv", "--html", "page.html")
    assert done.returncode == 1, done.stderr
    assert Diagnosis.from_dict(json.loads(done.stdout)).findings == garden[2].findings
    assert (tmp_path / "page.html").is_file()
    assert doctor(garden[0], "--fail-on", "never").returncode == 0
    again = doctor(garden[0], "--fix", "fix.csv")
    assert again.returncode == 2
    assert says(again.stderr, "fix.csv", "exists", "already")
    clean = doctor(sound(tmp_path / "clean"), "--fail-on", "warning")
    assert clean.returncode == 0
    assert "Nothing found." in clean.stdout
