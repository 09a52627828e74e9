"""Pictures of a run: what they show is what the run's own data, transform and predictions say."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from messages import saying
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix

import tlkit
from tlkit.analysis import plot_feature_maps, plot_filters, plot_map
from tlkit.analysis.run_plots import map_points
from tlkit.errors import DataError
from tlkit.training.fit import fit

mpl.use("Agg")


@pytest.fixture
def run(tiny_recipe):
    return fit(tiny_recipe(), {"train.epochs": 1, "report.enabled": False, "augment": "heavy"})


def captions(ax):
    return [text.get_text() for text in ax.texts]


def test_the_plots_show_the_runs_own_images_and_figures(run):
    batch = tlkit.show_batch(run, images=4)
    pixels = [np.asarray(image.get_array()) for image in batch.images]
    assert [one.shape for one in pixels] == [(32, 32, 3)] * 4  # the size the network sees
    plain = tlkit.show_batch(run, images=4, augmented=False)
    again = tlkit.show_batch(run, images=4)
    later = tlkit.show_batch(run, images=4, epoch=1)
    same = [np.array_equal(one, two.get_array()) for one, two in zip(pixels, again.images, strict=True)]
    assert all(same)  # a pure function of seed, epoch and image
    for other in (plain, later):
        assert not all(np.array_equal(one, two.get_array()) for one, two in zip(pixels, other.images, strict=True))

    predictions = run.predictions()
    worst = int(np.argmin(predictions.proba[np.arange(len(predictions)), predictions.y_true]))
    top = tlkit.plot_top_losses(run, images=3)
    assert len(top.images) == 3
    first = captions(top)[1]
    assert first.splitlines()[0].startswith(predictions.classes[predictions.y_pred[worst]])
    assert first.splitlines()[1] == f"is {predictions.classes[predictions.y_true[worst]]}"
    with Image.open(run.samples.root / predictions.path[worst]) as original:
        expected = np.asarray(original.convert("RGB")).mean((0, 1))
    assert np.asarray(top.images[0].get_array()).mean((0, 1)) == pytest.approx(expected, abs=3)

    cells = tlkit.plot_confusion(run)
    counts = confusion_matrix(predictions.y_true, predictions.y_pred)
    assert sorted(captions(cells)) == sorted(str(count) for count in counts.ravel() if count)

    run.samples.root.rename(run.samples.root.with_name("moved"))
    for plot in (tlkit.show_batch, tlkit.plot_top_losses):
        with pytest.raises(DataError, match=saying("any more").pattern):
            plot(run)


def test_a_map_has_a_thumbnail_for_each_image_at_its_point(run):
    ax = plot_map(run, split="train", images=8, method="pca")
    assert len(ax.artists) == 8
    assert "n = 8" in ax.get_xlabel()
    with pytest.raises(DataError, match=saying("method", "'umap'", "'tsne'", "'pca'").pattern):
        plot_map(run, split="train", method="umap")
    with pytest.raises(DataError, match=saying("4").pattern):
        plot_map(run, split="train", images=2)


def test_the_pca_of_a_map_is_scikit_learns():
    x = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    expected = PCA(2, svd_solver="full").fit_transform(x.astype(np.float64))
    assert np.abs(map_points(x, method="pca")) == pytest.approx(np.abs(expected))
    assert map_points(x, method="tsne").shape == (20, 2)


def test_filters_and_feature_maps_are_those_of_the_runs_backbone(run):
    import torch

    network = tlkit.load_model(run).network
    convolution = next(module for module in network.backbone.modules() if isinstance(module, torch.nn.Conv2d))
    tiles = plot_filters(run).images
    assert len(tiles) == min(64, len(convolution.weight))
    weights = convolution.weight[0].detach().numpy().transpose(1, 2, 0)
    shown = np.asarray(tiles[0].get_array(), dtype=float)
    assert np.corrcoef(shown.ravel(), weights.ravel())[0, 1] == pytest.approx(1.0)

    image = run.samples.root / str(run.samples.paths[0])
    maps = plot_feature_maps(run, image)
    assert len(maps.images) == min(64, network.backbone.num_features)
    assert image.name in maps.get_title() or any(image.name in text for text in captions(maps))
    with pytest.raises(DataError, match=saying("nothing.png").pattern):
        plot_feature_maps(run, "nothing.png")
