"""The command line: results to stdout, logs to stderr; exit 0 = done, 1 = a gate failed, 2 = wrong input."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlkit.choices import Views
from tlkit.cli import data, features, recipe
from tlkit.cli.output import find_run, print_json, print_lines, print_table, print_tables, read_file, start_logging

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="tlkit",
    help="Fine-tune pretrained image classifiers by a recipe, judge them with error bars, audit them across groups.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(recipe.app, name="recipe")
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to the recipe, such as train.epochs=3.")]
Split = Annotated[str | None, typer.Option(help="Split to judge; default: test, or val where there is no test.")]
RunPath = Annotated[Path, typer.Argument(help="A run directory, such as runs/quickstart.")]
Judged = Annotated[Path, typer.Argument(help="A run directory, or a CSV or Parquet file of predictions.")]
TrueColumn = Annotated[str, typer.Option("--y-true", help="Column of the true classes, in a file of predictions.")]
PredColumn = Annotated[str, typer.Option("--y-pred", help="Column of the predicted classes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def show_version(asked: bool) -> None:
    """Print the version and end, where `--version` asks for it."""
    if asked:
        from tlkit import __version__

        print_lines([f"tlkit {__version__}"])
        raise typer.Exit


@app.callback()
def configure(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details too.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune pretrained image classifiers by a recipe, judge them with error bars, audit them across groups."""
    start_logging(quiet=quiet, verbose=verbose)


@app.command(context_settings=PASS_ON)
def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")] = False,
) -> None:
    """Fine-tune as a recipe says, then predict, evaluate, audit and report."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.cli.output import check_progress, print_run
    from tlkit.recipe import load_recipe
    from tlkit.training.fit import fit as fit_recipe
    from tlkit.training.launch import is_nonzero_rank, launch, processes_to_start

    if is_nonzero_rank():
        fit_recipe(recipe)  # it trains as rank 0 says, and ends
    read = load_recipe(recipe, overrides or [])
    processes = processes_to_start(read)
    if processes > 1:
        raise typer.Exit(launch(sys.argv[1:], processes=processes))
    keep_freed_memory()
    with check_progress() as on_check:
        run = fit_recipe(read, resume=resume, overwrite=overwrite, progress=sys.stderr.isatty(), on_check=on_check)
    print_run(run)
    if run.status == "interrupted":
        raise typer.Exit(130)


@app.command()
def predict(
    run: RunPath,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Write to this .csv, .parquet or .jsonl file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    tta: Annotated[
        Views,
        typer.Option(help="Average over views of each image: flip = its mirror image, too; ten_crop = crops, too."),
    ] = "none",
) -> None:
    """Predict images with a run's model."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.cli.output import check_progress, require_run_first, require_suffix, write_predictions
    from tlkit.data.sources.image_files import find_images
    from tlkit.runs import find_model

    require_suffix(out)
    require_run_first(run, paths)
    find_model(run)
    files = find_images(paths)
    keep_freed_memory()
    # torch takes seconds to load: what is not there has been said before
    from tlkit.inference.predictor import load_model

    with check_progress("predicting images") as progress:
        predictions = load_model(run, device=device).predict(files, tta=tta, progress=progress)
    write_predictions(predictions, out)


@app.command()
def evaluate(
    what: Judged,
    split: Split = None,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    json: AsJson = False,
) -> None:
    """Say how well a run, or any table of predictions, classifies: every number with its interval."""
    from tlkit.cli.output import judged_on
    from tlkit.evaluation import evaluate as evaluate_predictions

    run = find_run(what, split=split)
    result = run.evaluate(split) if run else evaluate_predictions(read_file(what, y_true=y_true, y_pred=y_pred))
    if json:
        print_json(result.to_dict())
        return
    print_lines([judged_on(run, run.judged_split(split)), ""] if run else [])
    print_tables(result.tables())


@app.command()
def audit(
    what: Judged,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Group column; repeat it for more and their crossings; default: the recipe's, or all. "
            "age:quantiles=4, age:bins=18,65, size:order=small,large and tags:separator=; say how to cut one."
        ),
    ] = None,
    split: Split = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of group columns keyed by path, to join.")] = None,
    max_intersection_order: Annotated[int | None, typer.Option(help="Most columns crossed with each other.")] = None,
    min_group_size: Annotated[int | None, typer.Option(help="Smaller groups get no rate.")] = None,
    criteria: Annotated[
        list[str] | None,
        typer.Option(
            "--criterion",
            help="accuracy_parity, demographic_parity, equal_opportunity, equalized_odds, "
            "predictive_parity or four_fifths; repeat it for more.",
        ),
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Class that the criteria are about.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Largest difference from the rest that is tolerated.")] = None,
    cluster_by: Annotated[
        str | None, typer.Option(help="Column of what belongs together, such as the subject.")
    ] = None,
    pair_by: Annotated[str | None, typer.Option(help="Column of matched sets; groups are compared within.")] = None,
    weights: Annotated[str | None, typer.Option(help="Column of the images' weights.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write counts to this new CSV, small cells hidden.")] = None,
    k: Annotated[int, typer.Option("--k", help="Cells of --export with fewer images are hidden.")] = 5,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    gate: Annotated[Path | None, typer.Option(help="YAML file of gates; exit code 1 or 3 unless all pass.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the gates as JUnit XML.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the gates as Markdown, for a CI job's page.")] = None,
    json: AsJson = False,
) -> None:
    """Compare accuracy across groups of images, and say what the data cannot decide."""
    from tlkit.audit.redaction import published_explanation
    from tlkit.cli.audit import print_evidence, run_audit
    from tlkit.cli.gate import finish_gate, judge_gate_file, open_gate_file
    from tlkit.cli.output import print_audit

    gates = open_gate_file(gate, junit=junit, summary=summary)
    judged, result, behind = run_audit(
        what,
        by=by,
        split=split,
        groups=groups,
        max_intersection_order=max_intersection_order,
        min_group_size=min_group_size,
        criteria=criteria,
        positive=positive,
        tolerance=tolerance,
        cluster_by=cluster_by,
        pair_by=pair_by,
        weights=weights,
        y_true=y_true,
        y_pred=y_pred,
    )
    if export is not None:
        result.export(export, k=k)
    verdicts = judge_gate_file(
        gates, judged, split=split, groups=groups, y_true=y_true, y_pred=y_pred, options=result.settings
    )
    if json:
        explained = published_explanation(behind, most=result.settings.max_half_width)
        more = {"explanation": explained} | ({"gate": verdicts.to_dict()} if verdicts else {})
        print_json(result.to_published() | more)
    else:
        print_audit(result)
        print_lines(["", "Behind the gaps", *behind.sentences()])
        print_evidence(judged, result, split=split, groups=groups)
    if verdicts is not None:
        finish_gate(verdicts, junit=junit, summary=summary, quiet=json)


@app.command()
def compare(
    first: Judged,
    second: Judged,
    by: Annotated[list[str] | None, typer.Option(help="Group column; repeat it for more. Default: all.")] = None,
    split: Split = None,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    json: AsJson = False,
) -> None:
    """Say what changes from the first model to the second, image by image: overall, by class and by group."""
    from tlkit.audit.redaction import published_comparison
    from tlkit.runs.compare_runs import compare_with, tell_apart

    one, two = (
        find_run(path, split=split) or read_file(path, y_true=y_true, y_pred=y_pred) for path in (first, second)
    )
    result = compare_with(one, two, by=by, split=split, names=tell_apart(first, second))
    if json:
        print_json(published_comparison(result))
        return
    print_table(result.summary_rows())
    print_lines(["", *result.sentences()])


@app.command()
def advise(
    data: Annotated[Path, typer.Argument(help="A folder of class folders, a list of images, a tar shard, or a run.")],
    backbones: Annotated[
        list[str] | None,
        typer.Option(help="timm name, part or pattern of one, or NAME@WEIGHTS; repeat it. Default: all that are here."),
    ] = None,
    max_params: Annotated[float | None, typer.Option(help="Most parameters, such as 25e6.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Most milliseconds an image, on this machine.")] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option("--licence", "--license", help="Allowed licence, such as mit or 'apache-*'; repeat it."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch weights that are named in full.")] = False,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    plot: Annotated[Path | None, typer.Option(help="Draw accuracy against latency into this .svg file.")] = None,
    json: AsJson = False,
) -> None:
    """Rank the pretrained backbones that are here on your own images, and say what the images cannot decide."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.cli.output import named_progress, require_svg, write_svg
    from tlkit.data.sources.source import require_source
    from tlkit.runs.directory import MARKER

    require_svg(plot)
    if not (data / MARKER).is_file():
        require_source(data)
    keep_freed_memory()
    from tlkit.analysis.advise import advise as advise_on
    from tlkit.inference.embed_options import EmbedOptions

    with named_progress() as on_image:
        result = advise_on(
            data,
            backbones=backbones or (),
            max_params=max_params,
            max_latency_ms=max_latency_ms,
            licences=licence or (),
            folds=folds,
            embedding=EmbedOptions(device=device),
            download=download,
            progress=on_image,
        )
    if plot is not None:
        from tlkit.render.plots import plot_advice

        write_svg(plot, lambda: plot_advice(result))
    print_json(result.to_dict()) if json else print_tables(result.tables())


@app.command()
def slices(
    what: Judged,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column to search; repeat it for more. Default: all that is measured or joined."),
    ] = None,
    split: Split = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of columns keyed by path, to join to a file.")] = None,
    clusters: Annotated[int, typer.Option(help="Clusters of a run's features; 0 = none.")] = 8,
    min_images: Annotated[int | None, typer.Option(help="Fewest images of a slice, in either half.")] = None,
    y_true: TrueColumn = "y_true",
    y_pred: PredColumn = "y_pred",
    json: AsJson = False,
) -> None:
    """Find groups of images that nobody declared and that do worse: dark, blurred, of one camera, alike by features."""
    from tlkit.analysis.find_slices import find_slices
    from tlkit.cli.audit import open_judged
    from tlkit.cli.output import check_progress, print_slices

    judged = open_judged(what, split=split, groups=groups, y_true=y_true, y_pred=y_pred)
    with check_progress("measuring images") as progress:
        result = find_slices(judged, columns, split=split, clusters=clusters, min_images=min_images, progress=progress)
    if json:
        print_json(result.to_dict())
        return
    print_slices(result)


@app.command()
def repair(
    run: RunPath,
    by: Annotated[
        list[str] | None, typer.Option(help="Group column; repeat it for their crossing. None: the worst class.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new run; default: the run's with -repaired.")] = None,
    margin: Annotated[float, typer.Option(help="Largest overall loss that counts as not inferior.")] = 0.05,
    min_group_size: Annotated[int | None, typer.Option(help="Fewest validation images of a group.")] = None,
    allow_attribute: Annotated[
        bool, typer.Option("--allow-attribute", help="Let methods be chosen that need the attribute to predict.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")] = False,
    json: AsJson = False,
) -> None:
    """Refit a run's head for its worst group: chosen on val, judged on test, written as a new run."""
    from tlkit.analysis.repair import repair as repair_run
    from tlkit.audit.redaction import published_comparison
    from tlkit.cli.repair import print_repair

    result = repair_run(
        run,
        by=by or (),
        name=name,
        margin=margin,
        min_group_size=min_group_size,
        allow_attribute=allow_attribute,
        overwrite=overwrite,
    )
    if json:
        values = result.to_dict()
        print_json(
            values if result.comparison is None else values | {"comparison": published_comparison(result.comparison)}
        )
        return
    print_repair(result)


@app.command()
def report(run: RunPath, split: Split = None) -> None:
    """Write a run's report: one HTML file that needs nothing else."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).report(split))])


@app.command()
def card(
    run: RunPath,
    split: Split = None,
    intended_use: Annotated[str | None, typer.Option(help="What the model is for; default: the recipe's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a card that was edited.")] = False,
) -> None:
    """Write a run's model card: MODEL_CARD.md, with limits filled from the audit."""
    from tlkit.runs.run import open_run

    print_lines([str(open_run(run).card(split, intended_use=intended_use, overwrite=overwrite))])


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name, or a shell pattern such as 'vit_*'.")] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="List sets of weights with their licences.")] = False,
) -> None:
    """List timm's models."""
    from tlkit.models.model_names import matching_names

    if not pretrained:
        print_lines(matching_names(pattern))
        return
    from tlkit.errors import ModelError
    from tlkit.models.backbone import list_models, model_license
    from tlkit.tables import Column, Table

    matching_names(pattern.partition(".")[0])  # refuses a pattern that no model matches
    names = list_models(pattern, pretrained=True)
    if not names:
        raise ModelError(f"timm has no pretrained weights for {pattern!r}. Without --pretrained it lists the models.")
    columns = (Column("name", "model", "word"), Column("license", "licence"))
    print_tables([Table("weights", "", columns, tuple((name, model_license(name)) for name in names))])


def main() -> None:
    """Run the command line; the only place where an exception becomes an exit code."""
    from tlkit.cli.streams import READER_GONE, drop_unread, open_missing_streams
    from tlkit.errors import TlkitError

    open_missing_streams()
    try:
        app()
    except SystemExit as end:  # how a command ends, also one whose reader has gone, which click calls 1: a failed gate
        drop_unread()
        sys.exit(READER_GONE if isinstance(end.__context__, BrokenPipeError) else end.code)
    except TlkitError as error:
        for problem in error.problems:
            sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'a file'}: {error.strerror or error}\n")
        sys.exit(2)
    except Exception:  # a fault of ours: 1 means that a gate failed, so it must be another code
        traceback.print_exc()
        sys.exit(70)
