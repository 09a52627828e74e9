"""Pictures of a run for notebooks: a batch as training sees it, its worst errors, doubtful labels, a map of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlkit.analysis.label_audit import LabelAudit
from tlkit.data.checks.thumbnails import open_small
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.decode.decoding import UnreadableImageError, open_rgb
from tlkit.errors import DataError
from tlkit.features.features import Features
from tlkit.models.model_format import FACTS_FILE
from tlkit.preprocess import Preprocess
from tlkit.render.plots import plot_channels, plot_contact_sheet
from tlkit.render.plots import plot_confusion as plot_confusion_of
from tlkit.render.plots import plot_filters as plot_filters_of
from tlkit.render.plots.image_map_plot import plot_image_map
from tlkit.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 128  # pixels of a picture


def show_batch(
    run: Run,
    ax: Axes | None = None,
    *,
    split: str = "train",
    images: int = 16,
    epoch: int = 0,
    augmented: bool = True,
    columns: int = 8,
) -> Axes:
    """Plot images as the network sees them: framed, scaled and, of train, augmented as in an epoch.

    Args:
        run: the run; its recipe says how images are augmented, its model how they are framed.
        ax: where to draw; default: a new figure.
        split: its name; only train is augmented.
        images: how many, evenly spaced over the split's list.
        epoch: whose augmentation, from 0: each epoch draws anew.
        augmented: False shows train without augmentation.
        columns: images beside each other.

    Raises:
        DataError: the split has no images, or none can be read.
        RunError: the run has no model, so its framing is not known.

    Example:
        >>> from tlkit import open_run
        >>> run = open_run("runs/pets")
        >>> show_batch(run, images=4).get_figure().savefig("sheet.png")
    """
    from tlkit.data.augment.transforms import build_transform, sample_id_of
    from tlkit.preflight.recipe_queries import augmentation

    recipe = run.recipe
    facts = run.directory.read_model_facts() or run.directory.read_json(run.directory.model / FACTS_FILE)
    preprocess = Preprocess.from_dict(facts["preprocess"])
    augment = augmentation(recipe) if split == "train" and augmented else None
    transform = build_transform(preprocess, augment=augment)
    samples = run.samples.split(split)
    if not len(samples):
        raise DataError(f"The run {run.path} has no images in the split {split!r}.")
    chosen = _spread(len(samples), images)
    shown = []
    for place in chosen:
        path = str(samples.paths[place])
        try:
            picture = open_rgb(Path(samples.root, path), DecodeOptions.of(recipe.data))[0]
        except UnreadableImageError:
            continue
        pixels = transform(picture, seed=recipe.seed, epoch=epoch, sample_id=sample_id_of(path))
        shown.append((pixels, samples.classes[samples.targets[place]]))
    if not shown:
        raise DataError(f"None of the images to show is at {samples.root} any more.")
    title = f"{split}, epoch {epoch + 1}: {recipe.augment.preset}" if augment is not None else split
    return plot_contact_sheet({title: shown}, ax, columns=columns)


def plot_top_losses(
    run: Run, ax: Axes | None = None, *, split: str | None = None, images: int = 16, columns: int = 8
) -> Axes:
    """Plot the images with the highest loss: what each is, what the model says, and how sure it is.

    Args:
        run: the run.
        ax: where to draw; default: a new figure.
        split: test by default, or val where there is no test split.
        images: at most so many, the highest loss, −ln(probability of the true class), first.
        columns: images beside each other.

    Raises:
        RunError: the run has no predictions for the split.
        DataError: the predictions have no labels or probabilities, or none of the images can be read.

    Example:
        >>> from tlkit import open_run
        >>> run = open_run("runs/pets")
        >>> plot_top_losses(run, images=4).get_figure().savefig("sheet.png")
    """
    from tlkit.stats.calibration import log_losses

    split = run.judged_split(split)
    known = run.predictions(split).labelled
    if known.proba is None or not len(known):
        raise DataError(f"The predictions for {split} have no labels or no probabilities, so there is no loss.")
    confidence = known.proba[np.arange(len(known)), known.y_pred]
    losses = log_losses(known.proba, known.y_true)
    rows = np.argsort(-losses, kind="stable")[:images]
    captions = [
        f"{known.classes[known.y_pred[row]]} {confidence[row]:.0%}\nis {known.classes[known.y_true[row]]}"
        for row in rows
    ]
    pictures = _pictures(run, [str(known.path[row]) for row in rows])
    shown = [(one, text) for one, text in zip(pictures, captions, strict=True) if one is not None]
    return plot_contact_sheet(
        {f"{split}: highest losses; predicted above, true class below": shown}, ax, columns=columns
    )


def plot_confusion(run: Run, ax: Axes | None = None, *, split: str | None = None) -> Axes:
    """Plot the confusion matrix of a split; of an evaluation it is `tlkit.render.plots.plot_confusion`.

    Args:
        run: the run.
        ax: where to draw; default: a new figure.
        split: test by default, or val where there is no test split.

    Raises:
        RunError: the run has no predictions for the split.

    Example:
        >>> from tlkit import open_run
        >>> run = open_run("runs/pets")
        >>> plot_confusion(run).get_figure().savefig("sheet.png")
    """
    return plot_confusion_of(run.evaluation(split), ax)


def plot_suspects(run: Run, audit: LabelAudit, ax: Axes | None = None, *, images: int = 16, columns: int = 8) -> Axes:
    """Plot the images with the most doubtful labels, with label and suggestion, so that a person can decide.

    Args:
        run: the run whose labels were audited.
        audit: from `tlkit.audit_labels`.
        ax: where to draw; default: a new figure.
        images: at most so many, the most doubtful first.
        columns: images beside each other.

    Raises:
        DataError: none of the images can be read.

    Example:
        >>> from tlkit import audit_labels, open_run
        >>> run = open_run("runs/pets")
        >>> plot_suspects(run, audit_labels(run)).get_figure().savefig("sheet.png")
    """
    suspects = audit.suspects[:images]
    pictures = _pictures(run, [one.path for one in suspects]) if suspects else []
    shown = [
        (picture, f"{place}. {one.label}\n{one.suggested}?")
        for place, (picture, one) in enumerate(zip(pictures, suspects, strict=True), start=1)
        if picture is not None
    ]
    title = f"{len(audit.suspects)} doubtful labels: label above, suggestion below"
    return plot_contact_sheet({title: shown} if shown else {}, ax, columns=columns)


def plot_map(
    run: Run,
    features: Features | None = None,
    ax: Axes | None = None,
    *,
    split: str = "val",
    images: int = 150,
    method: str = "tsne",
    seed: int = 0,
) -> Axes:
    """Plot images as thumbnails on a plane where images with similar features are near each other.

    t-SNE (van der Maaten & Hinton 2008) keeps neighbourhoods: distances between clusters and their sizes mean nothing.
    PCA keeps the directions of largest variance.

    Args:
        run: the run whose images they are.
        features: from `tlkit.embed`, with rows for the split's images; default: those of the run's own backbone.
        ax: where to draw; default: a new figure.
        split: its name.
        images: at most so many, evenly spaced over the split's list.
        method: tsne or pca.
        seed: of t-SNE.

    Raises:
        DataError: there are fewer than 4 images, none can be read, or the method is unknown.

    Example:
        >>> from tlkit import open_run
        >>> run = open_run("runs/pets")
        >>> plot_map(run, images=8, method="pca").get_figure().savefig("sheet.png")
    """
    samples = run.samples.split(split)
    if len(samples) < 4 or images < 4:
        raise DataError(f"A map needs at least 4 images; {split} has {len(samples)}, and images is {images}.")
    chosen = _spread(len(samples), images)
    paths = [str(samples.paths[place]) for place in chosen]
    if features is None:
        from tlkit.inference.embed_run import embed_run

        features = embed_run(run, splits=split)
    points = map_points(features.of(paths).x, method=method, seed=seed)
    labels = [samples.classes[samples.targets[place]] for place in chosen]
    return plot_image_map(points, _pictures(run, paths, side=48), labels, ax, method=method)


def plot_filters(run: Run, ax: Axes | None = None) -> Axes:
    """Plot the filters of the first convolution of a run's backbone as colors; of arrays: `render.plots.plot_filters`.

    Args:
        run: the run.
        ax: where to draw; default: a new figure.

    Raises:
        ModelError: the backbone has no convolution on RGB, or the run has no model.

    Example:
        >>> from tlkit import open_run
        >>> plot_filters(open_run("runs/pets")).get_figure().savefig("filters.png")
    """
    from tlkit.inference.attribution import first_filters
    from tlkit.inference.predictor import load_predictor

    return plot_filters_of(first_filters(load_predictor(run, device="cpu").network), ax)


def plot_feature_maps(run: Run, image: str | Path, ax: Axes | None = None) -> Axes:
    """Plot the last feature maps of a run's backbone for one image, each scaled to its own range.

    Args:
        run: the run.
        image: path of the image, which is framed and scaled as for prediction.
        ax: where to draw; default: a new figure.

    Raises:
        DataError: the image cannot be read.
        ModelError: the backbone has no feature maps, as vision transformers with tokens, or the run has no model.

    Example:
        >>> from tlkit import open_run
        >>> plot_feature_maps(open_run("runs/pets"), "photos/cat/00.png").get_figure().savefig("maps.png")
    """
    import torch

    from tlkit.analysis.explain_images import pictures_of
    from tlkit.data.loading.batch import normalize
    from tlkit.inference.attribution import last_feature_maps
    from tlkit.inference.predictor import load_predictor

    model = load_predictor(run, device="cpu")
    found = next(pictures_of(model, [Path(image)]), None)
    if found is None:
        raise DataError(f"{image} cannot be read. Name another image.")
    pixels = torch.from_numpy(found[1].copy()).permute(2, 0, 1)[None]
    maps = last_feature_maps(model.network, normalize(pixels, model.facts.preprocess))[0]
    return plot_channels(maps, ax, title=Path(image).name)


def map_points(x: npt.NDArray[np.float32], *, method: str, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return two coordinates of each feature vector, shape (N, 2), by scikit-learn's t-SNE or PCA.

    Raises:
        DataError: the method is unknown.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    vectors = np.asarray(x, dtype=np.float64)
    if method == "pca":
        return np.asarray(PCA(2, random_state=seed).fit_transform(vectors))
    if method != "tsne":
        raise DataError(f"method is {method!r}. Use 'tsne' or 'pca'.")
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors))


def _spread(n: int, most: int) -> list[int]:
    """Return at most so many positions, evenly spaced over n."""
    count = min(n, most)
    return [place * n // count for place in range(count)] if count > 0 else []


def _pictures(run: Run, paths: Sequence[str], *, side: int = SIDE) -> list[npt.NDArray[np.uint8] | None]:
    """Return small pictures, each (H, W, 3), None where a file cannot be read.

    Raises:
        DataError: none can be read.
    """
    root, options = run.samples.root, DecodeOptions.of(run.recipe.data)
    opened = [open_small(Path(root, path), side=side, decode_options=options) for path in paths]
    for one in opened:
        if one is not None:
            one.thumbnail((side, side))
    if paths and all(one is None for one in opened):
        raise DataError(f"None of the images to show is at {root} any more.")
    return [None if one is None else np.asarray(one) for one in opened]
