"""Images are taken as paths, folders, Pillow images, arrays, bytes and open files, one or many, with equal results."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from messages import says
from PIL import Image, ImageOps

import tlkit
from tlkit.errors import DataError
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.predictor import Predictor
from tlkit.models.backbone import create_backbone
from tlkit.models.classifier import Classifier

ORIENTATION = 274


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return create_backbone("test_resnet", weights="none", image_size=(32, 32))


@pytest.fixture
def model(backbone):
    classifier = Classifier(backbone, classes=["ant", "bee"])
    return Predictor(classifier.network, classifier.facts())


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path, pixels, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def in_memory(path):
    """Yield the name of each kind in which the content of a file can be given, and the image."""
    content = path.read_bytes()
    yield "Path", path
    yield "bytes", content
    yield "bytearray", bytearray(content)
    yield "BytesIO", io.BytesIO(content)
    with Image.open(path) as image:
        yield "Pillow, not decoded", image
    yield "Pillow from memory", Image.open(io.BytesIO(content))


def test_a_file_of_any_kind_gives_the_probabilities_of_its_path(model, tmp_path):
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    large = Image.fromarray(noise(12, 16, 3)).resize((605, 423), Image.Resampling.BICUBIC)  # decoded at reduced scale
    files = [
        saved(tmp_path / "plain.png", noise(40, 50, 3)),
        saved(tmp_path / "turned.jpg", noise(40, 50, 3), exif=turned),
        saved(tmp_path / "large.jpg", large),
        saved(tmp_path / "animated.gif", noise(40, 50), save_all=True, append_images=[Image.fromarray(noise(40, 50))]),
    ]
    for file in files:
        wanted = model.predict(str(file))
        assert wanted.proba.shape == (1, 2) and wanted.path.tolist() == [str(file)]
        for kind, image in in_memory(file):
            for given in (image, [image]):
                assert model.predict(given).proba.tobytes() == wanted.proba.tobytes(), (file.name, kind)
        with file.open("rb") as stream:
            stream.read(3)
            assert model.predict(stream).proba.tobytes() == wanted.proba.tobytes()
            assert stream.tell() == 3


def test_pixels_give_the_probabilities_of_a_file_that_stores_them_without_loss(model, tmp_path):
    deep = noise(30, 40).astype(np.uint16) * 257
    turned = Image.Exif()
    turned[ORIENTATION] = 8
    for name, pixels, options in (
        ("gray", noise(30, 40), {}),
        ("color", noise(30, 40, 3), {}),
        ("transparent", noise(30, 40, 4), {}),
        ("strided", noise(60, 40, 3)[::2, ::-1], {}),
        ("palette", Image.fromarray(noise(30, 40, 3)).quantize(16), {}),
        ("one bit", Image.fromarray(noise(30, 40)).convert("1"), {}),
        ("16 bits", Image.fromarray(deep), {}),
        ("turned by EXIF", Image.fromarray(noise(30, 40, 3)), {"exif": turned}),
    ):
        picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
        picture.save(tmp_path / f"{name}.png", **options)
        wanted = model.predict(tmp_path / f"{name}.png").proba.tobytes()
        loaded = Image.open(tmp_path / f"{name}.png")
        loaded.load()
        for given in (loaded, loaded.copy(), *([] if options else [pixels])):
            assert model.predict(given).proba.tobytes() == wanted, name
        if name == "gray":
            assert model.predict(pixels[..., None]).proba.tobytes() == wanted
        if options:
            upright = ImageOps.exif_transpose(loaded)
            assert upright.size == (30, 40)
            assert (
                model.predict(upright).proba.tobytes() == model.predict(np.asarray(upright)).proba.tobytes() == wanted
            )


def test_a_later_frame_is_predicted_as_the_user_sees_it(model, tmp_path):
    frames = [Image.fromarray(noise(40, 50, seed=seed)) for seed in (1, 2)]
    with Image.open(saved(tmp_path / "two.gif", frames[0], save_all=True, append_images=frames[1:])) as image:
        image.seek(1)
        assert model.predict(image).proba.tobytes() == model.predict(frames[1]).proba.tobytes()


def test_kinds_can_be_mixed_and_keep_their_order_and_names(model, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    one = saved(folder / "one.png", noise(40, 40, 3, seed=1))
    two = saved(folder / "two.png", noise(40, 40, 3, seed=2))
    array = noise(40, 40, 3, seed=3)
    result = model.predict([array, folder, two, one.read_bytes(), array])
    assert result.path.tolist() == ["images[0]", str(one), str(two), "images[3]", "images[4]"]
    alone = [model.predict(image).proba[0] for image in (array, one, two, one, array)]
    np.testing.assert_allclose(result.proba, alone, atol=1e-6)
    many = model.predict(path for path in (one, two))
    assert many.path.tolist() == model.predict(np.array([str(one), str(two)])).path.tolist() == [str(one), str(two)]
    assert model.predict(str(folder)).path.tolist() == [str(one), str(two)]


def test_damaged_bytes_are_left_out_and_named_by_their_place(model, caplog):
    result = model.predict([noise(40, 40, 3), b"<html>", Image.new("LAB", (40, 40))])
    assert result.path.tolist() == ["images[0]"]
    assert says(caplog.messages, "images[1]", "HTML") and says(caplog.messages, "images[2]", "LAB")
    with pytest.raises(DataError, match="cannot be read"):
        model.predict(b"nothing")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("bee.jpg", ("bee.jpg does not exist",)),
        (["/no/such/bee.jpg", "ant.jpg"], ("/no/such/bee.jpg", "ant.jpg does not exist")),
        ([], ("No image",)),
        (3, ("int", "path", "Pillow")),
        ([noise(4, 4, 3), None], ("images[1]", "NoneType", "Pillow")),
        ({"a": 1}, ("dict",)),
        (np.zeros((4, 4, 3)), ("float64", "uint8")),
        (noise(4, 4, 2), ("(4, 4, 2)", "(H, W, 3)")),
        (noise(2, 4, 4, 3), ("(2, 4, 4, 3)", "list")),
        (noise(0, 4, 3), ("(0, 4, 3)",)),
        (io.StringIO("text"), ("text", "rb")),
    ],
)
def test_what_cannot_be_images_is_refused_with_what_to_do(model, backbone, given, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ask in (model.predict, lambda images: embed(images, backbone=backbone)):
        with pytest.raises(DataError) as error:
            ask(given)
        for part in parts:
            assert says(error.value.problems, part)
        assert len(error.value.problems) == (
            len(given) if isinstance(given, list) and isinstance(given[:1], str) else len(error.value.problems)
        )


def test_embed_takes_the_same_kinds_and_caches_them_by_content(backbone, tmp_path, caplog):
    file = saved(tmp_path / "one.jpg", noise(40, 50, 3))
    options = EmbedOptions(engine="torch")
    wanted = tlkit.embed(str(file), backbone=backbone, options=options)
    assert wanted.x.shape == (1, backbone.num_features) and wanted.path.tolist() == [str(file)]
    for kind, image in in_memory(file):
        found = embed(image, backbone=backbone, options=options)
        assert found.x.tobytes() == wanted.x.tobytes() and found.digest.tolist() == wanted.digest.tolist(), kind
    assert embed(tmp_path, backbone=backbone, options=options).path.tolist() == [str(file)]
    with Image.open(file) as image:
        pixels = np.asarray(image)
    found = embed([pixels, pixels], backbone=backbone, options=options)
    assert found.path.tolist() == ["images[0]", "images[1]"]
    assert found.x[0].tobytes() == found.x[1].tobytes() == wanted.x[0].tobytes()
