"""`tlkit fit` and `tlkit predict`: train a model, apply it to images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import PredictEngine, SetMethod, Views
from tlkit.cli.arguments import (
    MOST,
    Details,
    DeviceOption,
    ModelPath,
    OverrideArguments,
    OverwriteRun,
    RecipePath,
    WeightsOption,
)
from tlkit.cli.batch_output import is_batch, predict_parts
from tlkit.cli.box_output import is_box_model
from tlkit.cli.mask_output import is_mask_model
from tlkit.cli.model_source import ExportedFile, ModelSource, model_source_of, require_stored
from tlkit.cli.output import (
    draws_progress,
    image_progress,
    named_progress,
    print_predictions,
    print_run,
    require_predictions_file,
    require_run_first,
    wants_details,
    write_predictions,
)
from tlkit.cli.task_run import predicts_other_task
from tlkit.cli.unknown_output import require_threshold, write_unknown
from tlkit.errors import ModelError, PredictionsError


def fit(
    recipe: RecipePath,
    overrides: OverrideArguments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")] = False,
    overwrite: OverwriteRun = False,
    details: Details = False,
) -> None:
    """Fine-tune by a recipe, then predict, evaluate, audit and report."""
    shown = wants_details(details)
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.recipe import load_recipe
    from tlkit.training.fit import fit as fit_recipe
    from tlkit.training.launch import is_nonzero_rank, launch, processes_to_start

    if is_nonzero_rank():
        fit_recipe(recipe)  # trains what rank 0 broadcasts, and ends the process
    read = load_recipe(recipe, overrides or [])
    processes = processes_to_start(read)
    if processes > 1:
        raise typer.Exit(launch(sys.argv[1:], processes=processes))
    keep_freed_memory()
    with named_progress() as on_step:
        run = fit_recipe(read, resume=resume, overwrite=overwrite, progress=draws_progress(), on_step=on_step)
    print_run(run, details=shown)
    if run.status == "interrupted":
        raise typer.Exit(130)


def predict(
    run: ModelPath,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders, tar shards or lists of them.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write to this .csv, .parquet or .jsonl file; with --shard or --ray, or masks, to this folder."
        ),
    ] = None,
    device: DeviceOption = "auto",
    tta: Annotated[
        Views,
        typer.Option(help="Average over views of each image: flip = its mirror image, too; ten_crop = crops, too."),
    ] = "none",
    abstain_at_risk: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.999999,
            help="Add the column answered: no where the model is too unsure for this share of wrong answers.",
        ),
    ] = None,
    sets: Annotated[
        float | None,
        typer.Option(
            min=1e-6, max=0.999999, help="Add the column set: classes that hold the true one in this share of images."
        ),
    ] = None,
    sets_method: Annotated[SetMethod, typer.Option(help="How --sets are made; tlkit conformal compares them.")] = "lac",
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Say which images are unknown, by the threshold of `tlkit unknown RUN`.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="i/n: predict the i-th of n shares, from 0, as Parquet parts in --out; goes on if killed."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Predict as parts on the Ray cluster of this address; local = this machine.")
    ] = None,
    part_size: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Images of a part, with --shard or --ray.")
    ] = None,
    engine: Annotated[
        PredictEngine, typer.Option(help="What runs the backbone; auto = ONNX Runtime for many images on a CPU.")
    ] = "auto",
    weights: WeightsOption = None,
) -> None:
    """Predict images with a run, exported file or pretrained weights; an unreadable file has a row with the reason."""
    rules_given = {"--unknown": unknown, "--abstain-at-risk": abstain_at_risk is not None, "--sets": sets is not None}
    other = [name for name, given in rules_given.items() if given]
    batch = is_batch(shard=shard, ray=ray, part_size=part_size, out=out, other=other)
    if not batch and not is_mask_model(run) and not is_box_model(run):
        require_predictions_file(out)
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.data.sources.entries import Entry
    from tlkit.data.sources.listed_images import find_listed_images
    from tlkit.runs.answer_rules import AnswerRules

    for_runs = {"--tta": tta != "none", **rules_given, "--engine": engine != "auto"}
    model_source = _source(run, paths, weights=weights, device=device, ray=ray, for_runs=for_runs)
    of_classes = [*other, *(name for name, given in {"--shard": shard, "--ray": ray}.items() if given is not None)]
    if predicts_other_task(model_source, paths, out, tta=tta, engine=engine, refused=of_classes):
        return
    if batch:
        assert out is not None, "checked above"
        predict_parts(model_source, paths, out, tta=tta, shard=shard, ray=ray, part_size=part_size, engine=engine)
        return
    if isinstance(model_source, ExportedFile):
        _predict_exported(run, paths, out)
        return
    if unknown and engine not in ("auto", "torch"):
        raise PredictionsError(f"--engine {engine} cannot be used with --unknown, which runs in torch. Leave it out.")
    if unknown:
        require_threshold(require_stored(model_source), tta=tta)
    rules = None
    if abstain_at_risk is not None or sets is not None:
        if unknown:
            raise PredictionsError(
                "--unknown, and --abstain-at-risk or --sets, are two questions. Run predict for each."
            )
        rules = AnswerRules.of(run, risk=abstain_at_risk, coverage=sets, method=sets_method, tta=tta)
    left_out: list[Entry] = []
    files = find_listed_images(paths, left_out=left_out)
    keep_freed_memory()
    # after all checks of the input, since torch takes seconds to load
    from tlkit.inference.unknown_images import predict_unknown
    from tlkit.predictions import Unreadable

    unreadable: list[Unreadable] = []
    with image_progress("predicting images") as progress:
        model = model_source.load()
        if unknown:
            found = predict_unknown(model, files, run=run, progress=progress, on_unreadable=unreadable.append)
        else:
            predictions = model.predict(
                files, tta=tta, engine=engine, progress=progress, on_unreadable=unreadable.append
            )
    unreadable += [Unreadable(row, name, why) for row, (_, name, why) in enumerate(left_out, start=len(files))]
    if unknown:
        write_unknown(found, out, unreadable=unreadable)
    else:
        write_predictions(predictions if rules is None else rules.apply(predictions), out, unreadable=unreadable)


def _source(
    run: Path, paths: list[Path], *, weights: str | None, device: str, ray: str | None, for_runs: dict[str, bool]
) -> ModelSource | ExportedFile:
    """Return the model to predict with; `for_runs` says which options are given that an exported file does not have.

    Raises:
        ModelError: an exported file is named, and an option that is for runs alone.
        RunError: there is no run at the path.
    """
    from tlkit.exported import is_exported

    if not is_exported(run):
        require_run_first(run, paths)
        return model_source_of(run, weights, device=device)
    given = {**for_runs, "--weights": weights is not None, f"--device {device}": device not in ("auto", "cpu")}
    names = [name for name, is_given in given.items() if is_given]
    if names:
        also = " `tlkit export RUN --abstain-at-risk` puts a threshold into the file." if "risk" in names[0] else ""
        given_for = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} for runs"
        which = "it" if len(names) == 1 else "them"
        raise ModelError(f"{given_for}, and {run} is an exported file. Leave {which} out, or name the run.{also}")
    return ExportedFile(run.absolute(), workers=1 if ray else 0)  # an actor of Ray has one core


def _predict_exported(file: Path, paths: list[Path], out: Path | None) -> None:
    """Predict images with an exported file."""
    from tlkit.data.sources.entries import Entry
    from tlkit.data.sources.listed_images import find_listed_images
    from tlkit.exported.exported_predictor import load_exported
    from tlkit.predictions.unreadable import Unreadable

    model = load_exported(file)
    left_out: list[Entry] = []
    files = find_listed_images(paths, left_out=left_out)
    unreadable: list[Unreadable] = []
    with image_progress("predicting images") as progress:
        names, proba = model.scores(files, progress=progress, on_unreadable=unreadable.append)
    unreadable += [Unreadable(row, name, why) for row, (_, name, why) in enumerate(left_out, start=len(files))]
    if out is not None:
        write_predictions(model.table_of(names, proba), out, unreadable=unreadable)
        return
    labels = [model.classes[code] for code in proba.argmax(axis=1).tolist()]
    confidences = proba.max(axis=1).tolist()
    print_predictions(names, labels, confidences, further=model.answers(proba), unreadable=unreadable)
