"""Cached features equal those of plain torch, and only new or changed images pass through the backbone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from messages import saying, says
from PIL import Image

from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.batch import normalize
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.sources.folder import scan_folder
from tlkit.errors import DataError
from tlkit.features import FeatureCache
from tlkit.features.engines.engine_choice import create_engine
from tlkit.inference.embed import embed, embed_views
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.embed_run import embed_run
from tlkit.models.backbone import create_backbone
from tlkit.models.network import load_network
from tlkit.training.fit import fit


@pytest.fixture(params=["test_resnet", "test_vit", "test_efficientnet"])
def backbone(request):
    torch.manual_seed(0)
    return create_backbone(request.param, weights="none", image_size=(32, 32))


@pytest.fixture
def tiny(image_folder):
    torch.manual_seed(0)
    return create_backbone("test_resnet", weights="none", image_size=(32, 32)), scan_folder(image_folder(**{"": 10}))


def live(backbone, samples, *, augment=None, seed=0, epoch=0):
    """Return the features of every image by plain torch."""
    transform = build_transform(backbone.preprocess, augment=augment)
    loader = create_loader(ImageDataset(samples, transform=transform, seed=seed), batch_size=7)
    loader.sampler.set_epoch(epoch)
    module = backbone.module.eval()
    with torch.inference_mode():
        return np.concatenate([module(normalize(batch.image, backbone.preprocess)).numpy() for batch in loader])


def computed(caplog):
    """Return how many images have passed through the backbone since the last call."""
    counts = [int(m.split("backbone runs on ")[1].split()[0]) for m in caplog.messages if "backbone runs on " in m]
    caplog.clear()
    return sum(counts)


def test_cached_features_equal_live_ones(backbone, image_folder):
    samples = scan_folder(image_folder(**{"": 20}))
    expected = live(backbone, samples)
    for _ in range(2):
        features = embed(samples, backbone=backbone)
        np.testing.assert_allclose(features.x, expected, atol=1e-5)
        assert features.path.tolist() == samples.paths.tolist()
        assert features.x.dtype == np.float32 and features.width == backbone.num_features


def test_only_new_or_changed_images_are_computed(tiny, caplog):
    backbone, samples = tiny
    first = embed(samples, backbone=backbone)
    assert computed(caplog) == 20
    assert embed(samples, backbone=backbone).x.tobytes() == first.x.tobytes()

    assert computed(caplog) == 0
    changed = samples.root / samples.paths[3]
    Image.new("RGB", (40, 40), "black").save(changed)
    Image.new("RGB", (40, 40), "white").save(changed.with_name("new.png"))
    again = embed(scan_folder(samples.root), backbone=backbone)
    assert computed(caplog) == 2
    same = [path for path in samples.paths if path != samples.paths[3]]
    assert again.of(same).x.tobytes() == first.of(same).x.tobytes()
    assert not np.allclose(again.of([samples.paths[3]]).x, first.of([samples.paths[3]]).x)


def test_a_renamed_or_copied_image_keeps_its_features_and_other_preprocessing_has_its_own(tiny, caplog):
    backbone, samples = tiny
    first = embed(samples, backbone=backbone)
    larger = create_backbone("test_resnet", weights="none", image_size=(64, 64))
    caplog.clear()
    embed(samples, backbone=larger)
    assert computed(caplog) == 20
    file = samples.root / samples.paths[0]
    file.with_name("copy.png").write_bytes(file.read_bytes())
    file.rename(file.with_name("renamed.png"))
    again = embed(scan_folder(samples.root), backbone=backbone)
    assert computed(caplog) == 0
    for name in ("copy.png", "renamed.png"):
        np.testing.assert_array_equal(again.of([f"blue/{name}"]).x, first.x[:1])


def test_equal_weights_built_with_other_options_are_other_features(tiny, caplog):
    backbone, samples = tiny
    first = embed(samples, backbone=backbone)
    module = timm.create_model("test_resnet", num_classes=0, act_layer="silu")
    module.load_state_dict(backbone.module.state_dict())
    other = replace(backbone, module=module, options={"act_layer": "silu"})
    assert other.weights.digest == backbone.weights.digest
    caplog.clear()
    second = embed(samples, backbone=other)
    assert computed(caplog) == 20
    np.testing.assert_allclose(second.x, live(other, samples), atol=1e-5)
    assert not np.allclose(first.x, second.x)
    assert embed(samples, backbone=backbone).x.tobytes() == first.x.tobytes()
    assert {entry.made_by.options for entry in FeatureCache().info()} == {"", '{"act_layer":"silu"}'}


@pytest.mark.parametrize("guest", ["albumentations", "cv2"])
def test_another_version_of_the_augmentation_changes_views_but_not_plain_features(tiny, caplog, monkeypatch, guest):
    backbone, samples = tiny
    for expected, version in ((40, None), (20, "99.0")):
        if version:
            monkeypatch.setattr(f"{guest}.__version__", version)
        embed(samples, backbone=backbone)
        embed_views(samples, backbone=backbone, views=1, augment="light")
        assert computed(caplog) == expected
    (newest, *_) = FeatureCache().info()
    assert "99.0" in newest.made_by.view.made_with


def test_unreadable_images_are_left_out_and_named(tiny, caplog):
    backbone, samples = tiny
    (samples.root / samples.paths[2]).write_bytes(b"junk")
    features = embed(samples, backbone=backbone)
    assert len(features) == 19 and samples.paths[2] not in features.path
    assert says(caplog.messages, "1 of 20", "no features")
    # the first images are decoded twice, to choose an engine and to compute the features, but named once
    assert [samples.paths[2] in message for message in caplog.messages].count(True) == 1
    with pytest.raises(DataError, match=saying("1 of 20", "blue/002.png").pattern):
        features.of(samples.paths)
    with pytest.raises(DataError, match=saying("None", "1").pattern):
        embed([samples.root / samples.paths[2]], backbone=backbone)


def test_a_stale_digest_does_not_poison_the_cache(tiny, caplog):
    backbone, samples = tiny
    stale = type(samples)(samples.root, samples.classes, samples.table.assign(digest="ab" * 32))
    features = embed(stale, backbone=backbone)
    assert says(caplog.messages, "20 images", "changed")
    assert (features.digest != "ab" * 32).all()
    np.testing.assert_allclose(features.x, live(backbone, samples), atol=1e-5)


def test_a_damaged_block_is_computed_again(tiny, caplog):
    backbone, samples = tiny
    first = embed(samples, backbone=backbone)
    (block,) = FeatureCache().entry(first.made_by).blocks()
    block.path.write_bytes(block.path.read_bytes()[:-1] + b"x")
    caplog.clear()
    assert embed(samples, backbone=backbone).x.tobytes() == first.x.tobytes()
    assert says(caplog.messages, "damaged", "20 images", "again")
    assert computed(caplog) == 20


def test_views_are_what_training_sees_epoch_by_epoch(tiny, caplog):
    backbone, samples = tiny
    views = embed_views(samples, backbone=backbone, views=2, augment="medium", seed=3)
    for epoch, view in enumerate(views):
        np.testing.assert_allclose(view.x, live(backbone, samples, augment="medium", seed=3, epoch=epoch), atol=1e-5)
    assert not np.allclose(views[0].x, views[1].x)
    caplog.clear()
    embed_views(samples, backbone=backbone, views=3, augment="medium", seed=3)
    assert computed(caplog) == 20  # the third view alone


def test_features_do_not_depend_on_which_other_images_are_computed(tiny, tmp_path):
    backbone, samples = tiny
    whole = embed(samples, backbone=backbone, options=EmbedOptions(cache=FeatureCache(tmp_path / "one")))
    files = [samples.root / path for path in samples.paths]
    for i in (7, 3):
        alone = embed([files[i]], backbone=backbone, options=EmbedOptions(cache=FeatureCache(tmp_path / "other")))
        assert alone.x.tobytes() == whole.x[i : i + 1].tobytes()


def test_embed_run_uses_the_backbone_of_the_stored_model(tiny_recipe):
    run = fit(tiny_recipe(), {"train.epochs": 1, "report.enabled": False})
    features = embed_run(run)
    assert len(features) == 32
    part = features.of(run.predictions("val").path)
    network, _ = load_network(run.directory.model)
    with torch.inference_mode():
        proba = torch.softmax(network.head(torch.from_numpy(np.array(part.x))), dim=1).numpy()
    np.testing.assert_allclose(proba, run.predictions("val").proba, atol=1e-5)
    assert len(embed_run(Path("runs/tiny"), splits=["val"])) == len(part)


def test_each_engine_has_its_own_features_and_auto_chooses_alike_whatever_is_cached(tiny, caplog):
    backbone, samples = tiny
    by_torch = embed(samples, backbone=backbone, options=EmbedOptions(engine="torch"))
    assert computed(caplog) == 20
    np.testing.assert_allclose(by_torch.x, live(backbone, samples), atol=1e-5)
    chosen = embed(samples, backbone=backbone)
    assert chosen.made_by.engine == "onnxruntime/cpu"
    assert computed(caplog) == 20
    by_onnx = embed(samples, backbone=backbone, options=EmbedOptions(engine="onnxruntime"))
    assert by_onnx.x.tobytes() == chosen.x.tobytes()
    assert computed(caplog) == 0


def test_auto_runs_no_network_if_all_features_are_cached(tiny, monkeypatch):
    backbone, samples = tiny
    first = embed(samples, backbone=backbone)
    for name in ("choose_engine", "create_engine", "fold_batch_norm"):
        monkeypatch.setattr(f"tlkit.inference.embed.{name}", None)
    monkeypatch.setattr(torch.nn.Module, "__call__", None)
    again = embed(samples, backbone=backbone)
    assert again.made_by == first.made_by
    assert again.x.tobytes() == first.x.tobytes()


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("onnxruntime.__version__", "99.0"),
        ("torch.__version__", "99.0"),
        ("tlkit.inference.embed.DECODER", "rules 1, pillow 99"),
    ],
)
def test_features_of_another_version_of_engine_or_decoder_are_not_used(tiny, caplog, monkeypatch, target, value):
    backbone, samples = tiny
    embed(samples, backbone=backbone)
    assert computed(caplog) == 20
    with monkeypatch.context() as patch:
        patch.setattr(target, value)
        changed = embed(samples, backbone=backbone)
        assert computed(caplog) == 20
        assert value in (changed.made_by.decoder + changed.made_by.engine_build)
    embed(samples, backbone=backbone)
    assert computed(caplog) == 0


def test_engines_are_compared_on_readable_images(tiny, monkeypatch):
    backbone, samples = tiny
    for path in samples.paths[:9]:
        (samples.root / path).write_bytes(b"junk")
    seen = []

    def choose(module, folded, pixels, **_):
        seen.append(pixels)
        return create_engine("torch", folded(), pixels, device="cpu")

    monkeypatch.setattr("tlkit.inference.embed.choose_engine", choose)
    assert len(embed(samples, backbone=backbone)) == 11
    (pixels,) = seen
    real = pixels.flatten(1).any(dim=1).tolist()
    assert real == [True] * 7 + [False] * 25  # rows 9 to 15 of the files; the others of the batch are black
