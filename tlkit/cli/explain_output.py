"""Drawings of `tlkit explain`: maps on images, filters, feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.cli.output import write_svg

if TYPE_CHECKING:
    from tlkit.analysis.image_explanations import ImageExplanations
    from tlkit.runs.run import Run

MOST_DRAWN = 48


def draw_explanations(
    run: Run,
    found: ImageExplanations,
    images: Sequence[Path],
    *,
    sheet: Path | None,
    filters: Path | None,
    feature_maps: Path | None,
) -> None:
    """Write those of the three drawings that have a file."""
    if sheet is None and filters is None and feature_maps is None:
        return
    from itertools import islice

    from tlkit.analysis.explain_images import pictures_of
    from tlkit.inference.attribution import first_filters, last_feature_maps
    from tlkit.inference.predictor import load_predictor
    from tlkit.render.plots import plot_channels, plot_explanations, plot_filters

    model = load_predictor(run, device="cpu")
    if sheet is not None:
        pictures = [picture for _, picture in islice(pictures_of(model, images), MOST_DRAWN)]
        shown = found.images[: len(pictures)]
        write_svg(sheet, lambda: plot_explanations(shown, pictures))
    if filters is not None:
        weights = first_filters(model.network)
        write_svg(filters, lambda: plot_filters(weights))
    if feature_maps is not None:
        from tlkit.data.loading.batch import normalize

        path, picture = next(pictures_of(model, images))
        import torch

        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]
        maps = last_feature_maps(model.network, normalize(pixels, model.facts.preprocess))[0]
        write_svg(feature_maps, lambda: plot_channels(maps, title=Path(path).name))
