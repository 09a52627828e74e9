"""`explain_images`: where in images a run's model looks, checked against random weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from tlkit.analysis.image_explanations import ImageExplanation, ImageExplanations
from tlkit.arrays import Floats
from tlkit.audit.error_examples import worst_images
from tlkit.audit.heat_maps import HeatMaps, ImageHeatMap
from tlkit.choices import CONFIDENCE, SEED, ExplainMethod
from tlkit.data.augment.transforms import build_transform
from tlkit.data.checks.thumbnails import as_jpeg
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.loading.batch import Batch, normalize
from tlkit.data.loading.dataset import ImageDataset, create_loader
from tlkit.data.sources.given_images import GivenImages, ImageSource, read_images
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.inference.attribution import choose_method, heat_maps, randomized_network
from tlkit.inference.predictor import Predictor, load_predictor
from tlkit.notebook_progress import with_notebook_bar
from tlkit.runs.run import Run, open_run
from tlkit.runs.stored_measurements import MOST_HEAT_MAPS, store_heat_maps
from tlkit.spelling import known_name
from tlkit.stats.estimate import Estimate
from tlkit.stats.means import mean_estimate
from tlkit.stats.pointing_game import enlarged, peak_of

BATCH = 8
"""Images at once; gradients take several times the memory of a prediction."""
STORED_SIDE = 200
"""Pixels of the longer side of a stored map."""


@with_notebook_bar("explaining images")
def explain_images(
    run: Run | str | Path | Predictor,
    images: GivenImages | None = None,
    *,
    method: ExplainMethod = "auto",
    target: str | None = None,
    check: bool = False,
    seed: int = SEED,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> ImageExplanations:
    """Return where in images a run's model looks: one heat map per image.

    Maps of the run's own images are stored with it, so that its report shows them; not where `report.thumbnails` is 0.

    Args:
        run: a run with a stored model, its directory, or a model that is loaded.
        images: as `Predictor.predict` takes them; default: the wrong images that the run's report shows.
        method: grad_cam, for convolutional networks; attention (gradient-weighted) or rollout, for transformers;
            occlusion, for any model, 64 forward passes an image; auto = attention for a transformer, occlusion for a
            scikit-learn head, else grad_cam.
        target: class to explain; default: the predicted class of each image.
        check: also compare the maps with those of the same network with random weights.
        seed: of the random weights.
        device: auto, cpu, cuda or mps; not for a model that is loaded.
        progress: called with (images done, images in all).

    Raises:
        TlkitError: there is no such run or class, the method does not fit the model, Captum is not installed, or no
            image can be read.

    Example:
        >>> found = explain_images("runs/pets", "photos/cat/00.png", method="occlusion", device="cpu")
        >>> found.images[0].heat.shape
        (8, 8)
    """
    root, split_of = Path(), {}
    if isinstance(run, Predictor):
        if images is None:
            raise DataError("A loaded model has no images of its own. Name images, or pass the run.")
        predictor, name, confidence = run, run.facts.architecture, CONFIDENCE
    else:
        opened = run if isinstance(run, Run) else open_run(run)
        name, confidence = opened.directory.name, opened.recipe.evaluate.confidence
        images = shown_errors(opened) if images is None else images
        if opened.recipe.report.thumbnails:  # pictures are stored only where the report may show some
            root, split_of = opened.samples.root.resolve(), _split_of(opened)
        predictor = load_predictor(opened, device=device)
    classes = predictor.facts.classes
    target = None if target is None else known_name(target, classes)
    if target is not None and target not in classes:
        raise DataError(
            f"The model knows no class {target!r}.{did_you_mean(target, classes)} It knows {first_few(classes)}."
        )
    chosen = choose_method(predictor.network, method)
    other = randomized_network(predictor.network, seed=seed) if check else None
    files = read_images(images, background=predictor.facts.preprocess.background)
    found: list[ImageExplanation] = []
    similar: list[float] = []
    drawn: dict[str, dict[str, ImageHeatMap]] = {}
    for batch in _batches(predictor, files):
        pixels = normalize(batch.image.to(predictor.device), predictor.facts.preprocess)
        with torch.no_grad():
            proba = torch.softmax(predictor.network(pixels).float(), dim=1)
        predicted = proba.argmax(dim=1)
        explained = torch.full_like(predicted, classes.index(target)) if target is not None else predicted
        maps = heat_maps(predictor.network, pixels, explained, method=chosen)
        if other is not None:
            random_maps = heat_maps(other, pixels, explained, method=chosen)
            similar += [rank_correlation(one, two) for one, two in zip(maps, random_maps, strict=True)]
        sure = proba.max(dim=1).values.tolist()
        for place, heat in enumerate(maps.astype(np.float64)):
            found.append(
                ImageExplanation(
                    path=os.fspath(files[int(batch.index[place])]),
                    predicted=classes[int(predicted[place])],
                    confidence=float(sure[place]),
                    explained=classes[int(explained[place])],
                    heat=heat,
                    peak=peak_of(heat),
                    inner=_inner(heat),
                )
            )
            own = _path_below(root, found[-1].path) if split_of else ""
            if own in split_of and len(drawn.setdefault(split_of[own], {})) < MOST_HEAT_MAPS:
                picture = batch.image[place].permute(1, 2, 0).numpy()
                speaks = heat.max() > max(heat.min(), 0.0)  # else the picture would be bare
                drawn[split_of[own]][own] = ImageHeatMap(found[-1].explained, _drawn(heat, picture) if speaks else "")
        if progress is not None:
            progress(int(batch.index[-1]) + 1, len(files))
    if not found:
        raise DataError(f"None of the {len(files)} images can be read; the log says why.")
    for split, pictures in drawn.items():
        store_heat_maps(opened.directory, split, HeatMaps(chosen, pictures))
    similarity = None if other is None else _similarity(similar, confidence)
    return ImageExplanations(
        run=name, method=chosen, images=tuple(found), random_similarity=similarity, confidence=confidence
    )


def shown_errors(run: Run) -> list[Path]:
    """Return the wrong images that a run's report shows: those with the highest loss, and those of failing groups.

    Raises:
        DataError: no image is wrong.
    """
    shown = [worst_images(run.predictions())]
    if run.recipe.audit.by:
        shown += run.audit_images()
    root = run.samples.root
    paths = dict.fromkeys(one.path for images in shown for one in images.wrong)
    if not paths:
        raise DataError(f"{run.path} has no wrong image to explain. Name the images.")
    return [Path(root, path) for path in paths]


def _split_of(run: Run) -> dict[str, str]:
    """Return the split of each of the run's images, by path."""
    table = run.samples.table
    return dict(zip(table["path"].tolist(), table["split"].tolist(), strict=True))


def _path_below(root: Path, path: str) -> str:
    """Return a path relative to a resolved folder; "" where it is not below."""
    whole = Path(path).resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else ""


def _drawn(heat: Floats, picture: npt.NDArray[np.uint8]) -> str:
    """Return a picture (H, W, 3) of a common size with its map on it, as a JPEG, base64."""
    from tlkit.render.plots.explanation_plot import overlay

    image = Image.fromarray(picture)
    scale = STORED_SIDE / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    return as_jpeg(Image.fromarray(overlay(heat, np.asarray(image))))


def pictures_of(model: Predictor, images: GivenImages) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield path and picture (H, W, 3) of each readable image as the network gets it, to draw maps on."""
    files = read_images(images, background=model.facts.preprocess.background)
    for batch in _batches(model, files):
        for place, picture in zip(batch.index.tolist(), batch.image.permute(0, 2, 3, 1).numpy(), strict=True):
            yield os.fspath(files[place]), picture


def rank_correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Return Spearman's rank correlation of two maps of the same shape; 0 where one of them is constant.

    Adebayo et al. (2018), section 4, judge maps by it.
    """
    from scipy.stats import rankdata

    one, two = (rankdata(each) - (each.size + 1) / 2 for each in (first, second))
    scale = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale > 0 else 0.0


def _similarity(values: Sequence[float], confidence: float) -> Estimate:
    return mean_estimate(values, confidence, lowest=-1.0, highest=1.0)


def _batches(predictor: Predictor, files: Sequence[ImageSource]) -> Iterator[Batch]:
    transform = build_transform(predictor.facts.preprocess)
    yield from create_loader(
        ImageDataset(files, transform=transform, decode_options=DecodeOptions()), batch_size=BATCH, num_workers=0
    )


def _inner(heat: Floats) -> float | None:
    """Return the share of the positive heat in the middle half of the width and of the height."""
    large = np.maximum(enlarged(heat, (64, 64)), 0.0)
    total = float(large.sum())
    return float(large[16:48, 16:48].sum()) / total if total > 0 else None
