"""Creates the run of a repaired head: the parent's backbone and images, the new head, its judgement and its origin."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from tlkit.audit.repair_result import Repair
from tlkit.errors import RunError
from tlkit.features.features import Features
from tlkit.features.heads import LinearWeights
from tlkit.inference.predictor import Predictor
from tlkit.models.model_files import save_artifact
from tlkit.models.model_format import TENSORS_FILE
from tlkit.models.network import Network
from tlkit.output_files import require_writable
from tlkit.recipe import Recipe, dump_recipe, load_recipe
from tlkit.runs import RunDirectory, write_lock
from tlkit.runs.lifecycle import replaced_run
from tlkit.runs.run import Run
from tlkit.samples import Samples
from tlkit.uncertainty.val_scores import store_val_scores


def recipe_of_repair(parent: Run, name: str | None, *, overwrite: bool) -> Recipe:
    """Return the parent's recipe under the new run's name, after checking that no such run exists.

    Raises:
        TlkitError: the name is not valid, the run exists, or the result cannot be written.
    """
    name = name or f"{parent.directory.name}-repaired"
    recipe = load_recipe(parent.directory.recipe, {"name": name})
    RunDirectory.require_free(parent.path.parent / name, overwrite=overwrite)
    require_writable({"The result": parent.directory.repair}, error=RunError)
    return recipe


def stored_linear_weights(predictor: Predictor) -> LinearWeights | None:
    """Return weight and bias of a stored head; None where it is not linear."""
    head = predictor.network.head
    if not isinstance(head, torch.nn.Linear):
        return None
    weight, bias = (tensor.detach().cpu().float().numpy() for tensor in (head.weight, head.bias))
    return LinearWeights(weight, bias)


def repaired_predictor(predictor: Predictor, part: LinearWeights) -> Predictor:
    """Return a predictor with the same backbone and another head."""
    old, facts = predictor.network, predictor.facts
    classes, width = part.weight.shape
    with torch.random.fork_rng(devices=()):  # a new head draws weights, which are replaced
        network = Network(old.backbone, num_features=width, num_classes=classes, drop_rate=facts.drop_rate)
    assert isinstance(network.head, torch.nn.Linear), "a new network has a linear head"
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(part.weight))
        network.head.bias.copy_(torch.from_numpy(part.bias))
    return Predictor(network, replace(facts, head={}, calibration=None), device=predictor.device)


def create_repaired_run(
    parent: Run,
    result: Repair,
    *,
    recipe: Recipe,
    predictor: Predictor,
    features: Features,
    samples: Samples,
    overwrite: bool,
) -> Run:
    """Return the new run of a repaired head, in its parent's folder, with predictions, evaluation, audit and report.

    `recipe` has the new run's name; `predictor` has the parent's backbone and the new head; `features` are those of all
    splits.

    Raises:
        RunError: the run exists, or another process writes it.
    """
    path = parent.path.parent / recipe.name
    with write_lock(path):
        RunDirectory.require_free(path, overwrite=overwrite)
        with replaced_run(path):
            directory = RunDirectory.create(path)
            model = _copy_parent(directory, parent, result, recipe=recipe, predictor=predictor)
            for split in parent.directory.predicted_splits:
                predictions = model.predict_features(features, samples.split(split))
                directory.predictions(split).parent.mkdir(exist_ok=True)
                predictions.to_parquet(directory.predictions(split))
                if split == "val":  # it also chose the head
                    store_val_scores(directory.model, predictions, chose_epoch=True)
            directory.write_json(directory.repair, result.to_dict())
            directory.set_status("finished")
            return _evaluated(Run(directory))


def _evaluated(run: Run) -> Run:
    """Return the run after storing evaluation and audit of each split, and the report."""
    for split in run.directory.predicted_splits:
        run.evaluate(split)
        if run.recipe.audit.by:
            run.audit(split=split)
    if run.recipe.report.enabled:
        run.report()
    return run


def _copy_parent(
    directory: RunDirectory, parent: Run, result: Repair, *, recipe: Recipe, predictor: Predictor
) -> Predictor:
    """Return the predictor with its new facts, after writing model, recipe, environment and the parent's tables."""
    origin = {
        "parent": result.parent,
        "parent_digest": _digest(parent.directory.model / TENSORS_FILE),
        "method": result.chosen,
        "by": list(result.by),
        "judged_by": result.judged_by,
        "margin": result.margin,
    }
    header = f"# The head of this run comes from: tlkit repair {result.parent}" + "".join(
        f" --by {column}" for column in result.by
    )
    directory.write_text(directory.recipe, f"{header}\n{dump_recipe(recipe)}")
    directory.write_json(directory.environment, {**parent.environment, "repair": origin})
    old = parent.directory
    for source, target in (
        (old.split, directory.split),
        (old.excluded, directory.excluded),
        (old.leaks, directory.leaks),
        (old.alike, directory.alike),
        (old.attribution, directory.attribution),
    ):
        if source.is_file():
            shutil.copyfile(source, target)
    facts = replace(predictor.facts, head={"kind": "repaired", **origin})
    save_artifact(directory.model, predictor.network.state_dict(), facts)
    return Predictor(predictor.network, facts, device=predictor.device)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
