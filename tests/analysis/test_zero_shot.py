"""Zero-shot: open_clip's own probabilities, labels and their accuracy, calibration, synonyms."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import write_image_folder
from image_text_models import PREPROCESS, RESNET, TIMM, VIT, write_model
from messages import says
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

import tlkit
from tlkit.errors import DataError
from tlkit.evaluation.zero_shot_report import ZeroShotReport

open_clip = pytest.importorskip("open_clip")

NAMES = ["blue", "sea green", "red"]
TEMPLATES = ["a photo of a {}.", "art of the {}."]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "clip")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path, cache) -> Path:
    """Noisy images of three colours, whose folders have other names than two of the classes."""
    folder = write_image_folder(tmp_path / "photos", classes=("blue", "green", "red"), **{"": 12})
    (folder / "green").rename(folder / "sea_green")
    return folder


def reference(model: Path, files, names=NAMES, templates=TEMPLATES) -> np.ndarray:
    """The probabilities that open_clip's own functions give, as its page of usage writes them."""
    loaded, transform = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model}")
    loaded.eval()
    images = torch.stack([transform(Image.open(file)) for file in files])
    head = open_clip.build_zero_shot_classifier(loaded, tokenizer, names, templates, num_classes_per_batch=None)
    with torch.no_grad():
        features = loaded.encode_image(images, normalize=True)
        return (loaded.logit_scale.exp() * features @ head).softmax(dim=-1).numpy()


def shots(folder: Path, count: int = 5) -> list[Path]:
    """Write photos of several aspect ratios, one of them gray and one a JPEG."""
    rng, files = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(count):
        height, width = ((40, 60), (61, 37), (32, 32), (90, 33), (50, 100))[number % 5]
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        file = folder / f"{number}.{'jpg' if number == 2 else 'png'}"
        (picture.convert("L") if number == 3 else picture).save(file)
        files.append(file)
    return files


@pytest.mark.parametrize(
    ("vision", "resize_mode"), [(VIT, "shortest"), (RESNET, "longest"), (TIMM, "squash")], ids=["vit", "resnet", "timm"]
)
def test_probabilities_are_those_of_open_clip(vision, resize_mode, tmp_path, cache):
    folder = write_model(tmp_path / "m", vision=vision, preprocess={**PREPROCESS, "resize_mode": resize_mode})
    files = shots(tmp_path / "shots")
    found = tlkit.zero_shot(files, NAMES, model=str(folder), templates=TEMPLATES, device="cpu")
    assert found.predictions.classes == tuple(NAMES) and found.report.accuracy is None
    np.testing.assert_allclose(found.predictions.proba, reference(folder, files), atol=1e-6)
    assert np.ptp(found.predictions.proba, axis=0).max() > 1e-3  # the images differ


def test_labels_are_matched_and_judged(photos, model):
    found = tlkit.zero_shot(photos, NAMES, model=str(model), templates=TEMPLATES, device="cpu")
    table = found.predictions.table()
    assert set(table["y_true"]) == set(NAMES) and len(table) == 36
    np.testing.assert_allclose(
        found.predictions.proba, reference(model, [photos / path for path in table["path"]]), atol=1e-6
    )
    right = int((table["y_true"] == table["y_pred"]).sum())
    accuracy = found.report.accuracy
    assert accuracy.value == pytest.approx(right / 36)
    assert (accuracy.low, accuracy.high) == pytest.approx(proportion_confint(right, 36, method="wilson"))
    assert ZeroShotReport.from_dict(found.report.to_dict()) == found.report
    assert tlkit.evaluate(found.predictions).accuracy == accuracy


def test_labels_that_are_no_classes_are_left_out_or_named(photos, model, caplog):
    caplog.set_level(logging.INFO, "tlkit")
    found = tlkit.zero_shot(photos, ["cat", "dog"], model=str(model), templates="plain", device="cpu")
    assert found.report.accuracy is None and found.report.n == 36 and says(caplog.text, "blue", "unlabelled")
    with pytest.raises(DataError) as error:
        tlkit.zero_shot(photos, ["blue", "red", "greenish"], model=str(model), device="cpu")
    assert says(error, "sea_green", "--class sea_green=NAME")
    stated = {"sea_green": "greenish"}
    judged = tlkit.zero_shot(
        photos, ["blue", "red", "greenish"], model=str(model), label_classes=stated, templates="plain", device="cpu"
    )
    assert judged.report.labelled == 36
    free = tlkit.zero_shot(photos, ["blue", "red"], model=str(model), use_labels=False, templates="plain", device="cpu")
    assert free.report.labelled == 0
    with pytest.raises(DataError, match="no labels of these classes"):
        tlkit.zero_shot(photos, ["cat", "dog"], model=str(model), split="test", device="cpu")


def test_several_words_of_a_class_are_averaged_at_unit_length(photos, model):
    words = {"blue": ["blue", "navy"], "sea green": ["sea green"], "red": ["red", "crimson", "scarlet"]}
    found = tlkit.zero_shot(photos, words, model=str(model), templates=TEMPLATES, device="cpu")
    loaded, transform = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model}")
    with torch.no_grad():
        means = [
            open_clip.build_zero_shot_classifier(loaded, tokenizer, own, TEMPLATES).mean(dim=1)
            for own in words.values()
        ]
        head = torch.stack([mean / mean.norm() for mean in means], dim=1)
        images = torch.stack([transform(Image.open(photos / path)) for path in found.predictions.path])
        expected = (loaded.logit_scale.exp() * loaded.encode_image(images, normalize=True) @ head).softmax(dim=-1)
    np.testing.assert_allclose(found.predictions.proba, expected.numpy(), atol=1e-6)


def test_the_temperature_is_the_best_on_val_and_changes_no_class(photos, model, tmp_path):
    val = write_image_folder(tmp_path / "v", classes=("blue", "red"), val=15) / "val"
    plain = tlkit.zero_shot(photos, NAMES, model=str(model), templates=TEMPLATES, device="cpu")
    found = tlkit.zero_shot(photos, NAMES, model=str(model), templates=TEMPLATES, val=val, device="cpu")
    files = sorted(val.rglob("*.png"))
    scores = np.log(reference(model, files).astype(np.float64))
    y = np.array([NAMES.index(file.parent.name) for file in files])
    doubt = 1 / (len(y) + 2)  # smoothed targets, as temperature scaling has them here
    targets = np.full((len(y), 3), doubt / 2)
    targets[np.arange(len(y)), y] = 1 - doubt
    best = minimize_scalar(
        lambda log: -(targets * log_softmax(scores / np.exp(log), axis=1)).sum(), bounds=(-9, 9), method="bounded"
    )
    assert found.report.temperature == pytest.approx(np.exp(best.x), rel=1e-2) and found.report.calibrated_on == 30
    expected = softmax(np.log(plain.predictions.proba.astype(np.float64)) / found.report.temperature, axis=1)
    np.testing.assert_allclose(found.predictions.proba, expected, atol=1e-6)
    np.testing.assert_array_equal(found.predictions.y_pred, plain.predictions.y_pred)
    assert found.report.log_loss_before == plain.report.log_loss != found.report.log_loss


def test_images_of_val_are_not_judged(photos, model):
    with pytest.raises(DataError) as error:
        tlkit.zero_shot(photos, NAMES, model=str(model), val=photos, device="cpu")
    assert says(error, "36 images of val are judged")


def test_synonyms_are_replaced_one_by_one_and_compared_image_by_image(photos, model):
    synonyms = {"blue": "azure", "red": ["scarlet"]}
    found = tlkit.zero_shot(photos, NAMES, model=str(model), templates=TEMPLATES, synonyms=synonyms, device="cpu")
    files = [photos / path for path in found.predictions.path]
    before = reference(model, files).argmax(axis=1)
    y = np.array([found.predictions.y_true])[0]
    cases = {"blue": ["azure", *NAMES[1:]], "red": [*NAMES[:2], "scarlet"], "": ["azure", "sea green", "scarlet"]}
    assert [row.label for row in found.report.synonyms] == list(cases)
    assert sum(row.changed.value for row in found.report.synonyms) > 0
    for row in found.report.synonyms:
        after = reference(model, files, names=cases[row.label]).argmax(axis=1)
        changed = int((after != before).sum())
        assert row.changed.value == pytest.approx(changed / 36) and len(row.images) == min(changed, 20)
        assert row.accuracy.value == pytest.approx((after == y).mean() - (before == y).mean())
        b, c = int(((before == y) & (after != y)).sum()), int(((before != y) & (after == y)).sum())
        if b + c:
            assert row.p == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue)
        if row.label:
            code = NAMES.index(row.label)
            assert row.gained == int(((after != before) & (after == code)).sum())
            assert row.lost == int(((after != before) & (before == code)).sum())


def test_a_second_run_with_other_names_takes_no_pass_over_the_images(photos, model):
    seen: list[int] = []
    count = lambda done, total: seen.append(done)  # noqa: E731
    tlkit.zero_shot(photos, NAMES, model=str(model), templates="plain", device="cpu", progress=count)
    assert seen[-1] == 36
    seen.clear()
    tlkit.zero_shot(photos, ["sky", "sea", "blood"], model=str(model), templates="plain", device="cpu", progress=count)
    assert seen == []


def test_a_list_keeps_its_columns_and_splits(photos, model, tmp_path):
    rows = [
        f"{path.relative_to(tmp_path)},{path.parent.name.replace('_', ' ')},{'val' if i % 2 else 'test'},{i % 3}"
        for i, path in enumerate(sorted(photos.rglob("*.png")))
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split,light", *rows]) + "\n")
    arguments = {"model": str(model), "templates": "plain", "device": "cpu"}
    found = tlkit.zero_shot(tmp_path / "list.csv", NAMES, split="test", columns=["light"], **arguments)
    assert len(found.predictions) == 18 and set(found.predictions.groups["light"]) == {"0", "1", "2"}
    calibrated = tlkit.zero_shot(
        photos / "red", NAMES, val=write_image_folder(tmp_path / "v", train=3, val=12), **arguments
    )
    assert calibrated.report.calibrated_on == 24  # of a dataset with splits, its val


def test_an_image_that_cannot_be_read_is_named_with_its_reason(photos, model):
    (photos / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    found = tlkit.zero_shot(photos, NAMES, model=str(model), templates="plain", device="cpu")
    assert len(found.predictions) == 36 and [one.path for one in found.unreadable] == ["red/broken.png"]
    assert found.unreadable[0].reason


def test_a_stored_head_is_scaled_on_images_that_can_be_read(photos, model, tmp_path, monkeypatch):
    """Of 36 images two are drawn for the comparison, the first and the last; neither can be read."""
    monkeypatch.setattr("tlkit.analysis.zero_shot.MOST_COMPARED", 2)
    files = sorted(photos.rglob("*.*"))
    for file in (files[0], files[-1]):
        file.write_bytes(b"no image")
    found = tlkit.zero_shot(photos, NAMES, model=str(model), templates="plain", store=tmp_path / "m", device="cpu")
    assert len(found.predictions) == len(files) - 2
    kept = [photos / path for path in found.predictions.path]
    stored = tlkit.load_model(tmp_path / "m", device="cpu").predict(kept)
    np.testing.assert_array_equal(stored.y_pred, found.predictions.y_pred)


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "no labels"])
def test_a_tar_shard_is_read_in_place(labels, photos, model, tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for number, file in enumerate(sorted(photos.rglob("*.png"))):
            shard.add(file, arcname=f"{number:03d}.png")
            if labels:
                content = file.parent.name.encode()
                info = tarfile.TarInfo(f"{number:03d}.cls")
                info.size = len(content)
                shard.addfile(info, io.BytesIO(content))
    found = tlkit.zero_shot(tmp_path / "shard.tar", NAMES, model=str(model), templates="plain", device="cpu")
    assert (found.report.n, found.report.labelled) == (36, 36 * labels)
