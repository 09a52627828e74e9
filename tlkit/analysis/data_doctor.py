"""`data_doctor`: checks a dataset for defects; with a backbone, also for cropped and recolored near-duplicates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.checks.doctor import FindMore, diagnose
from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.data.checks.gray_thumbnails import GrayThumbnails
from tlkit.data.checks.near_duplicates import find_near_duplicates
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.read_samples import Root
from tlkit.errors import ModelError, first_few
from tlkit.notebook_progress import with_notebook_bar
from tlkit.process_state import preserved_process_state
from tlkit.samples import Samples

Progress = Callable[[int, int], None]


@preserved_process_state()
@with_notebook_bar("checking images")
def data_doctor(
    root: Root,
    *,
    manifest: str | Path | None = None,
    options: ListOptions = ListOptions(),
    embed: str | None = None,
    faces: bool = False,
    decode_options: DecodeOptions = DecodeOptions(),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Return the defects of a dataset that would harm training or evaluation.

    Every file is decoded in full, in parallel; nothing is changed. Memory: about 1.5 kB an image, and with `embed`
    their features.

    Args:
        root: a folder, several of them, a list of images or tar shards, as for training (see `read_samples`). Of a list
            or shards only the files that they name are checked.
        manifest: a file that lists the images below `root`.
        options: how a list is read.
        embed: a backbone whose weights are here, as `advise` takes it ("resnet18", "resnet18@file:mine.safetensors").
            Its features, which are cached, find cropped and recolored copies, too. Needs torch.
        faces: also detect faces with OpenCV's frontal cascade; slow, with misses and false alarms.
        decode_options: pixel limit and background color of decoding.
        workers: number of threads; default: one per core. Pillow decodes without holding Python's lock.
        progress: called from this thread with (images done, images in all).

    Raises:
        DataError: a folder, list or shard is missing or cannot be read, or a list or shard is wrong.
        ModelError: the weights of the backbone are not here.

    Example:
        >>> data_doctor("photos").images
        60
    """
    find_more = None if embed is None else finder_by_features(embed, decode_options=decode_options)
    diagnosis, _ = diagnose(
        root,
        manifest=manifest,
        options=options,
        faces=faces,
        decode_options=decode_options,
        workers=workers,
        find_more=find_more,
        progress=progress,
    )
    return diagnosis


def finder_by_features(
    name: str,
    *,
    decode_options: DecodeOptions = DecodeOptions(),
    on_image: Progress | None = None,
    on_pair: Progress | None = None,
) -> FindMore:
    """Return a function for `diagnose` that finds cropped and edited copies by the features of a backbone.

    `name` is a backbone as `advise` takes it. `decode_options` hold the pixel limit. `on_image` is called with (images
    done, images in all) for images without cached features, `on_pair` with (pairs compared, pairs in all).

    Raises:
        ModelError: there is no such backbone, there are several, or its weights are not here.
    """
    from tlkit.inference.embed import embed
    from tlkit.inference.embed_options import EmbedOptions
    from tlkit.inference.feature_leaks import rows_of
    from tlkit.models.backbone import create_backbone
    from tlkit.models.weights.available_weights import find_weights

    found = find_weights([name])
    available = [one for one in found if not one.problem]
    if not available:
        raise ModelError(*(f"The weights of {one.name} are not available here: {one.problem}." for one in found))
    if len({one.name for one in available}) > 1:
        raise ModelError(f"{name} could be {first_few([one.name for one in available])}. Name one of them.")
    backbone = create_backbone(available[0].name, weights=available[0].weights)

    def find_more(
        samples: Samples, readable: npt.NDArray[np.intp], known: DuplicateSet, gray_thumbnails: GrayThumbnails
    ) -> DuplicateSet:
        if len(readable) < 2:
            return known
        table = samples.table.iloc[readable].reset_index(drop=True)
        readable_samples = samples.with_table(table)
        options = EmbedOptions(decode=decode_options)
        features = embed(readable_samples, backbone=backbone, options=options, progress=on_image)
        rows = rows_of(samples, features.path)
        return find_near_duplicates(
            samples,
            features.x,
            rows,
            known=known,
            gray_thumbnails=gray_thumbnails,
            decode_options=decode_options,
            progress=on_pair,
        )

    return find_more
