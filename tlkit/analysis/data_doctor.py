"""`data_doctor`: what a dataset suffers from; with a backbone, copies that only features give away as well."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tlkit.data.checks.diagnosis import Diagnosis
from tlkit.data.checks.doctor import FindMore, diagnose
from tlkit.data.checks.duplicates import DuplicateSet
from tlkit.data.checks.gray_thumbnails import GrayThumbnails
from tlkit.data.checks.near_duplicates import find_near_duplicates
from tlkit.data.decode.decoding import MAX_PIXELS
from tlkit.data.sources.source import Root
from tlkit.errors import ModelError, first_few
from tlkit.process_state import preserved_process_state
from tlkit.samples import Samples

Progress = Callable[[int, int], None]


@preserved_process_state()
def data_doctor(
    root: Root,
    *,
    embed: str | None = None,
    faces: bool = False,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Look at every image and folder of a dataset, and say what would spoil a training or its scores.

    Every file is decoded in full, in parallel; nothing is changed. The memory needed is about 1.5 kB an image;
    with `embed` it holds their features, too.

    Args:
        root: a folder, several of them, a list of images or tar shards, as for training (see `read_samples`). Of a list
            or shards only what they name is looked at, not what lies beside it.
        embed: a backbone whose weights are here, as `advise` takes it ("resnet18", "resnet18@file:mine.safetensors").
            Its features find cropped and recoloured copies, too; they stay in the cache. Needs torch.
        faces: look for faces as well, with OpenCV's frontal cascade; slow, and neither complete nor exact.
        max_pixels: images of more pixels than this count as bombs.
        workers: number of threads; default: one per core. Pillow decodes without holding Python's lock.
        progress: called from this thread with (images done, images in all).

    Raises:
        DataError: a folder, list or shard is missing or cannot be read, or a list or shard is wrong.
        ModelError: the weights of the backbone are not here.

    Example:
        >>> data_doctor("photos").findings  # doctest: +SKIP
    """
    find_more = None if embed is None else finder_by_features(embed, max_pixels=max_pixels)
    return diagnose(root, faces=faces, max_pixels=max_pixels, workers=workers, find_more=find_more, progress=progress)[
        0
    ]


def finder_by_features(
    name: str, *, max_pixels: int = MAX_PIXELS, on_image: Progress | None = None, on_pair: Progress | None = None
) -> FindMore:
    """Return what finds cropped and edited copies by the features of a backbone, for `diagnose`.

    Args:
        name: a backbone whose weights are here, as `advise` takes it.
        max_pixels: larger images count as unreadable.
        on_image: called with (images done, images in all) for those whose features are not in the cache.
        on_pair: called with (pairs compared, pairs in all).

    Raises:
        ModelError: there is no such backbone, there are several, or its weights are not here.
    """
    from tlkit.inference.embed import embed
    from tlkit.inference.embed_options import EmbedOptions
    from tlkit.inference.feature_leaks import rows_of
    from tlkit.models.backbone import create_backbone
    from tlkit.models.weights.available_weights import find_weights

    found = find_weights([name])
    there = [one for one in found if not one.problem]
    if not there:
        raise ModelError(*(f"The weights of {one.name} cannot be had here: {one.problem}." for one in found))
    if len({one.name for one in there}) > 1:
        raise ModelError(f"{name} could be {first_few([one.name for one in there])}. Name one of them.")
    backbone = create_backbone(there[0].name, weights=there[0].weights)

    def find_more(
        samples: Samples, readable: npt.NDArray[np.intp], known: DuplicateSet, gray_thumbnails: GrayThumbnails
    ) -> DuplicateSet:
        if len(readable) < 2:
            return known
        table = samples.table.iloc[readable].reset_index(drop=True)
        readable_samples = Samples(samples.root, samples.classes, table)
        options = EmbedOptions(max_pixels=max_pixels)
        features = embed(readable_samples, backbone=backbone, options=options, progress=on_image)
        rows = rows_of(samples, features.path)
        return find_near_duplicates(
            samples,
            features.x,
            rows,
            known=known,
            gray_thumbnails=gray_thumbnails,
            max_pixels=max_pixels,
            progress=on_pair,
        )

    return find_more
