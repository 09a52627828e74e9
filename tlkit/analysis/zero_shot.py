"""`zero_shot`: classifies images by the names of classes, with an image-text model and without training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from tlkit.analysis.class_texts import Classes, ClassTexts, read_synonyms, read_templates
from tlkit.analysis.labelled_images import read_labelled
from tlkit.arrays import Floats32, Mask
from tlkit.choices import TEMPLATES
from tlkit.data.augment.transforms import build_transform
from tlkit.data.loading.batch import Failure, normalize
from tlkit.data.loading.dataset import ImageDataset
from tlkit.data.sources.given_images import GivenImages, ImageSource, read_images
from tlkit.data.sources.read_samples import is_list
from tlkit.errors import DataError, first_few
from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.zero_shot_report import SynonymChange, ZeroShotReport
from tlkit.features.features import Features
from tlkit.inference.devices import choose_device
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.models.backbone import Backbone
from tlkit.models.image_text import ImageTextModel, load_image_text_model, named_templates
from tlkit.models.text_head import require_empty_folder, store_text_head
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.notebook_progress import with_notebook_bar
from tlkit.output_files import require_folder, require_folder_name
from tlkit.predictions import Predictions, Unreadable
from tlkit.samples import Samples
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.hypothesis_tests import mcnemar
from tlkit.stats.intervals import wilson
from tlkit.stats.logit_scaling import FEWEST_IMAGES, LogitScaling, fit_scaling
from tlkit.stats.paired import Pairs, paired_difference

logger = logging.getLogger(__name__)

MOST_NAMED = 20
"""Images that change their class, of which a report names the paths."""
MOST_COMPARED = 256
"""Images on which a stored head is scaled and compared with the image-text model."""


@dataclass(frozen=True)
class ZeroShot:
    """Predictions by the names of classes, and the report on them.

    Attributes:
        predictions: one row per readable image; with `y_true` where the images have labels.
        report: how many are right, what was done, and what synonyms change.
        unreadable: the images without a prediction.
    """

    predictions: Predictions
    report: ZeroShotReport
    unreadable: tuple[Unreadable, ...] = ()


@with_notebook_bar("computing features")
def zero_shot(
    images: GivenImages,
    classes: Classes,
    *,
    model: str,
    weights: str | Path | None = None,
    templates: str | os.PathLike[str] | Sequence[str] = TEMPLATES,
    synonyms: Classes | None = None,
    val: str | Path | None = None,
    split: str | None = None,
    root: str | Path | None = None,
    list_columns: Mapping[str, str] | None = None,
    columns: Sequence[str] = (),
    label_classes: Mapping[str, str] | None = None,
    use_labels: bool = True,
    store: str | Path | None = None,
    device: str = "auto",
    embedding: EmbedOptions | None = None,
    progress: Progress | None = None,
) -> ZeroShot:
    """Return predictions of images by the names of classes, with an image-text model such as CLIP.

    The probabilities are open_clip's own: softmax over the classes of the logit scale times the cosine of image and
    text embedding (Radford et al. 2021, section 3.1.2). Embeddings of images are cached, so other class names, prompts
    or synonyms take no pass over the images. What images are is not known to the model beyond these names: the true
    class may be none of them.

    Args:
        images: a folder, a list of images, tar shards, or images as `Predictor.predict` takes them. The labels of class
            folders, of a list and of shards are used where they are names of the classes.
        classes: a file of lines `name` or `name = word | other word`; or the names; or the words by class name.
        model: `hf-hub:ORG/REPO`, a folder in that form, or a name of open_clip with `weights`.
        weights: a file of weights, for a name of open_clip.
        templates: "simple" (seven prompts of Radford et al.), "imagenet" (their 80), "plain" (the bare name), a file of
            prompts, or the prompts, each with `{}` for the name.
        synonyms: other words by class, as a file of lines `name = word` or a mapping: what they change is reported.
        val: labelled images, none of them among `images`, on which a temperature is fitted.
        split: only images of this split.
        root: folder of the paths of lists, also of val; default: each list's own.
        list_columns: the lists' own name of a column, where it is another: {"path": "image"}.
        columns: group columns to take from a list or shards.
        label_classes: the class of labels that have another name, such as {"ants": "ant"}.
        use_labels: False = labels of the images are not read.
        store: folder to write a tlkit model to, whose linear head holds the class names; see `store_text_head`.
        device: auto, cpu, cuda or mps.
        embedding: how embeddings are computed and where they are kept; the engine is always torch.
        progress: called with (images done, images in all) for those whose embeddings are not in the cache.

    Raises:
        MissingExtraError: open_clip is not installed.
        DataError: class names, templates, synonyms or labels are wrong, images of val are judged, too, or none can be
            read.
        ModelError: the model is not available, or `store` cannot hold its image side.

    Example:
        >>> found = zero_shot("photos", ["cat", "dog"], model="clip", device="cpu")
        >>> found.report.labelled, found.predictions.proba.shape
        (60, (60, 2))
    """
    texts = ClassTexts.of(classes)
    others, prompts = read_synonyms(synonyms, texts), read_templates(templates)
    if store is not None:
        require_folder_name(store, name="store")
        require_folder(store, name="store")
        require_empty_folder(Path(store))
    judged = None
    if use_labels:
        judged = read_labelled(
            images,
            texts,
            split=split,
            columns=columns,
            stated=label_classes or {},
            root=root,
            list_columns=list_columns,
        )
    if judged is None and (split is not None or columns or label_classes or root is not None or list_columns):
        raise DataError(
            "The images have no labels of these classes, so they have no splits, columns and classes to match."
        )
    known = None if val is None else _val_samples(val, texts, label_classes or {}, root, list_columns)
    place = choose_device(device, key="device")
    loaded = load_image_text_model(model, weights=weights, device=place)
    prompts = named_templates(str(templates)) if prompts is None else prompts
    options = replace(embedding or EmbedOptions(), engine="torch", fold_batch_norm=False, device=place)
    backbone = image_backbone(loaded)
    given = judged if judged is not None else read_images(images, background=loaded.preprocess.background)
    features = embed(given, backbone=backbone, options=options, progress=progress)
    head = embed_classes(loaded, texts, prompts)
    proba = class_probabilities(features.x, head)
    scaling, before = None, None
    if known is not None:
        if judged is not None:
            before = _predictions(texts, features, proba, judged)
        scaling = _fit_temperature(known, texts, embed(known, backbone=backbone, options=options), head, features)
    calibrated = proba if scaling is None else scaling.apply(proba)
    predictions = _predictions(texts, features, calibrated, judged)
    if store is not None:
        pictures = _pictures(given, features, loaded)
        store_text_head(
            Path(store),
            loaded,
            head,
            texts.words,
            templates=prompts,
            temperature=None if scaling is None else scaling.temperature,
            pictures=pictures,
        )
    changes = _synonym_changes(
        others, predictions, model=loaded, texts=texts, templates=prompts, features=features, head=head
    )
    report = _report(
        predictions, before, model=loaded, texts=texts, templates=prompts, scaling=scaling, synonyms=changes
    )
    return ZeroShot(predictions, report, _unreadable(given, features, loaded))


def image_backbone(model: ImageTextModel) -> Backbone:
    """Return the image side as a backbone: embeddings whose length is the logit scale."""
    side = model.tower
    digest = tensors_digest(side.state_dict())
    size = model.preprocess.image_size
    with torch.inference_mode():
        width = side(torch.zeros(1, 3, *size, device=side.logit_scale.device)).shape[1]
    made_by = {"open_clip": version("open_clip_torch"), "model_cfg": model.config}
    facts = replace(model.weights, digest=digest)
    return Backbone(f"open_clip {model.name}", side, int(width), model.preprocess, facts, made_by)


def embed_classes(model: ImageTextModel, texts: ClassTexts, templates: Sequence[str]) -> Floats32:
    """Return the unit embedding of each class, (C, E): of its word, or the mean over its words at unit length."""
    names = [word for words in texts.words.values() for word in words]
    found = model.embed_names(names, templates)
    if len(names) == len(texts.words):
        return found
    ends = np.cumsum([len(words) for words in texts.words.values()])
    parts = np.split(found, ends[:-1])
    means: Floats32 = np.stack([part[0] if len(part) == 1 else part.mean(axis=0) for part in parts])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    many = np.array([[len(part) > 1] for part in parts])
    unit: Floats32 = np.where(many, means / lengths, means).astype(np.float32)
    return unit


def class_probabilities(x: npt.NDArray[np.float32], head: Floats32) -> Floats32:
    """Return the softmax (N, C) of scaled embeddings (N, E) of images with unit embeddings (C, E) of classes."""
    with torch.inference_mode():
        logits = torch.from_numpy(np.array(x)) @ torch.from_numpy(head).T
        proba: Floats32 = torch.softmax(logits, dim=-1).numpy()
    return proba


def _predictions(
    texts: ClassTexts, features: Features, proba: npt.NDArray[np.floating], judged: Samples | None
) -> Predictions:
    if judged is None:
        return Predictions.build(classes=texts.classes, path=features.path, proba=proba)
    rows = np.flatnonzero(np.isin(judged.paths, features.path))
    return Predictions.build(
        classes=texts.classes,
        path=judged.paths[rows],
        y_true=judged.table["label"].to_numpy()[rows],
        proba=proba,
        groups=judged.groups.iloc[rows].reset_index(drop=True),
        verbatim=True,
    )


def _val_samples(
    val: str | Path,
    texts: ClassTexts,
    stated: Mapping[str, str],
    root: str | Path | None,
    list_columns: Mapping[str, str] | None,
) -> Samples:
    """Return the labelled images of val: of its split val where it has splits."""
    root, list_columns = (root, list_columns) if is_list(val) else (None, None)
    found = read_labelled(
        val, texts, split=None, columns=(), stated=stated, root=root, list_columns=list_columns, unused_is_wrong=False
    )
    if found is None:
        raise DataError(f"{val} has no labels of these classes, so no temperature can be fitted. Name class folders.")
    own = found.split("val")
    return own if len(own) else found


def _fit_temperature(
    known: Samples, texts: ClassTexts, features: Features, head: Floats32, judged: Features
) -> LogitScaling:
    """Return temperature scaling fitted on labelled images (Guo et al. 2017), see `tlkit.stats.temperature`."""
    both = set(features.digest.tolist()) & set(judged.digest.tolist())
    if both:
        names = [str(path) for path, one in zip(features.path, features.digest, strict=True) if one in both]
        raise DataError(
            f"{len(both)} images of val are judged, too: {first_few(names)}. A temperature fitted on them would look "
            "better than it is. Name other images: --val FOLDER."
        )
    place = {name: code for code, name in enumerate(texts.classes)}
    label_of = dict(zip(known.paths.tolist(), known.table["label"], strict=True))
    y = np.array([place[label_of[str(path)]] for path in features.path], dtype=np.int64)
    if len(y) < FEWEST_IMAGES:
        raise DataError(
            f"val has {len(y)} readable images, but a temperature needs {FEWEST_IMAGES}. Add some, or leave --val out."
        )
    return fit_scaling(class_probabilities(features.x, head), y, method="temperature")


def _synonym_changes(
    others: Mapping[str, tuple[str, ...]],
    predictions: Predictions,
    *,
    model: ImageTextModel,
    texts: ClassTexts,
    templates: Sequence[str],
    features: Features,
    head: Floats32,
) -> tuple[SynonymChange, ...]:
    """Return what each replacement changes, then all of them at once; p-values are Holm's over these rows."""
    if not others:
        return ()
    replaced = embed_classes(model, texts.replaced(others), templates)
    rows = []
    names = [*others, *([""] if len(others) > 1 else [])]
    for name in names:
        own = replaced
        if name:
            code = texts.classes.index(name)
            own = head.copy()
            own[code] = replaced[code]
        after = class_probabilities(features.x, own).argmax(axis=1)
        rows.append(_synonym_change(name, after, texts=texts, others=others, predictions=predictions))
    adjusted = holm([row.p for row in rows])
    return tuple(replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=True))


def _synonym_change(
    name: str,
    after: npt.NDArray[np.int64],
    *,
    texts: ClassTexts,
    others: Mapping[str, tuple[str, ...]],
    predictions: Predictions,
) -> SynonymChange:
    before = predictions.y_pred
    changed: Mask = after != before
    code = texts.classes.index(name) if name else -1
    accuracy: Estimate | None = None
    p: float | None = None
    labelled = predictions.y_true >= 0
    if labelled.any():
        pairs = Pairs.from_correct((before == predictions.y_true)[labelled], (after == predictions.y_true)[labelled])
        accuracy = paired_difference(pairs)
        test = mcnemar(pairs.first, pairs.second)
        p = None if test is None else test.p
    return SynonymChange(
        label=name,
        before=texts.words[name] if name else (),
        after=others[name] if name else (),
        changed=wilson(int(changed.sum()), len(changed)),
        gained=int((changed & (after == code)).sum()) if name else None,
        lost=int((changed & (before == code)).sum()) if name else None,
        accuracy=accuracy,
        p=p,
        p_holm=None,
        images=tuple(map(str, predictions.path[changed][:MOST_NAMED])),
    )


def _report(
    predictions: Predictions,
    before: Predictions | None,
    *,
    model: ImageTextModel,
    texts: ClassTexts,
    templates: tuple[str, ...],
    scaling: LogitScaling | None,
    synonyms: tuple[SynonymChange, ...],
) -> ZeroShotReport:
    labelled = len(predictions.labelled)
    judged = evaluate(predictions, metrics="headline") if labelled else None
    earlier = evaluate(before, metrics="headline") if before is not None and labelled else None
    return ZeroShotReport(
        model=model.name,
        digest=model.weights.digest,
        open_clip=version("open_clip_torch"),
        words=texts.words,
        templates=templates,
        n=len(predictions),
        labelled=labelled,
        accuracy=None if judged is None else judged.accuracy,
        log_loss=None if judged is None else judged.log_loss,
        log_loss_before=None if earlier is None else earlier.log_loss,
        logit_scale=model.logit_scale,
        temperature=None if scaling is None else scaling.temperature,
        calibrated_on=0 if scaling is None else scaling.n,
        synonyms=synonyms,
    )


def _pictures(given: Samples | Sequence[ImageSource], features: Features, model: ImageTextModel) -> torch.Tensor:
    """Return some of the images with features, normalized (B, 3, H, W): evenly spaced ones, up to `MOST_COMPARED`."""
    dataset = ImageDataset(given, transform=build_transform(model.preprocess), quiet=True)
    readable = np.flatnonzero(np.isin(_names(given), features.path))
    places = np.unique(np.linspace(0, len(readable) - 1, min(MOST_COMPARED, len(readable))).astype(int))
    items = [dataset[int(row)] for row in readable[places]]
    pixels = np.stack([item.image for item in items if not isinstance(item, Failure)])
    return normalize(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), model.preprocess)


def _names(given: Samples | Sequence[ImageSource]) -> list[str]:
    return given.paths.tolist() if isinstance(given, Samples) else [os.fspath(one) for one in given]


def _unreadable(
    given: Samples | Sequence[ImageSource], features: Features, model: ImageTextModel
) -> tuple[Unreadable, ...]:
    """Return the images that have no embedding, with the reasons."""
    names = _names(given)
    known = set(features.path.tolist())
    missing = [row for row, name in enumerate(names) if name not in known]
    if not missing:
        return ()
    dataset = ImageDataset(given, transform=build_transform(model.preprocess), quiet=True)
    return tuple(Unreadable(row, names[row], _reason(dataset, row)) for row in missing)


def _reason(dataset: ImageDataset, row: int) -> str:
    failure = dataset[row]
    return failure.reason if isinstance(failure, Failure) else "it could not be read at the first attempt"
