"""Finders of a learning rate or a batch size for a recipe."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tlkit.choices import RATE_STEPS
from tlkit.data.loading.batch import Batch
from tlkit.errors import RecipeError
from tlkit.lightning import pl
from tlkit.models.tuning_results import BatchSizes, RateSweep
from tlkit.models.tuning_sweep import sweep_rates, time_batch_sizes
from tlkit.preflight.recipe_queries import require_steps
from tlkit.process_state import preserved_process_state
from tlkit.recipe import Recipe, load_recipe
from tlkit.training.cached_features import FeatureBatches, cached_features, threads_for
from tlkit.training.prepare import Prepared, prepare

logger = logging.getLogger(__name__)

SWEEPS = 3
"""Sweeps of learning rates, each over other batches."""


@preserved_process_state()
def find_learning_rate(
    recipe: str | Path | Recipe | Prepared,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    steps: int = RATE_STEPS,
) -> RateSweep:
    """Return the losses of a copy of a recipe's model at learning rates from 1e-6 to 10, and a suggestion.

    Two more sweeps over other batches show how sure the suggestion is; see `RateSweep.suggested_range`.

    Args:
        recipe: a recipe file, a recipe, or a prepared recipe, which is not changed.
        overrides: changes to a recipe file.
        steps: optimizer steps, at least 10.

    Raises:
        TlkitError: the recipe, the data or the weights cannot be used, or the head is a scikit-learn head.

    Example:
        >>> find_learning_rate("recipes/quickstart.yaml").suggested  # doctest: +SKIP
        'Suggested: train: {learning_rate: 0.0021}'
    """
    if steps < 10:
        raise RecipeError(f"A sweep of learning rates needs 10 steps or more. Got {steps}.")
    prepared = _prepared(recipe, overrides)
    with _batches(prepared) as batches:
        logger.info("Trying learning rates over %d steps, %d times, on copies of the model.", steps, SWEEPS)
        sweeps = [
            sweep_rates(prepared.classifier, batches, steps=steps, first_batch=number * steps, device=prepared.device)
            for number in range(SWEEPS)
        ]
    return replace(sweeps[0], repeated=tuple(sweep.suggested for sweep in sweeps[1:]))


@preserved_process_state()
def find_batch_size(
    recipe: str | Path | Recipe | Prepared,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    memory_mb: float | None = None,
) -> BatchSizes:
    """Return the throughput of a copy of a recipe's model at doubling batch sizes, and a suggestion.

    Args:
        recipe: a recipe file, a recipe, or a prepared recipe, which is not changed.
        overrides: changes to a recipe file.
        memory_mb: memory by which the process may grow on a CPU; default: 80 % of the free memory.

    Raises:
        TlkitError: the recipe, the data or the weights cannot be used, or the head is a scikit-learn head.
    """
    prepared = _prepared(recipe, overrides)
    with _batches(prepared) as batches:
        images = len(prepared.data.samples.split("train"))
        logger.info("Timing batch sizes up to %d images, on a copy of the model.", images)
        return time_batch_sizes(
            prepared.classifier,
            batches,
            largest=images,
            current=prepared.recipe.data.batch_size,
            memory_mb=memory_mb,
            device=prepared.device,
        )


def _prepared(recipe: str | Path | Recipe | Prepared, overrides: Mapping[str, Any] | Iterable[str]) -> Prepared:
    if not isinstance(recipe, Recipe | Prepared):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise RecipeError(
            "overrides need a recipe file, and this recipe is already loaded. Pass the file's path instead."
        )
    require_steps(recipe if isinstance(recipe, Recipe) else recipe.recipe)
    return prepare(recipe) if isinstance(recipe, Recipe) else recipe


@contextmanager
def _batches(prepared: Prepared) -> Iterator[_Normalized]:
    """Yield the training batches, of images or cached features."""
    cached = cached_features(prepared)
    with threads_for(prepared, cached):
        yield _Normalized(prepared.data if cached is None else FeatureBatches(prepared, cached))


class _Normalized:
    """Iterable of normalized training batches: images, targets, rows."""

    def __init__(self, data: pl.LightningDataModule) -> None:
        self._data, self._loader = data, data.train_dataloader()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for batch in self._loader:
            ready: Batch = self._data.on_after_batch_transfer(batch, 0)
            yield ready.image, ready.target, ready.index
