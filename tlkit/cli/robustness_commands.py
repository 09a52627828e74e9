"""`tlkit robustness` and `explain`: accuracy on corrupted images, and where in an image a model looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import BATCH_SIZE, GROUP_SEVERITY, ExplainMethod
from tlkit.cli.arguments import MOST, MOST_SEED, AsJson, DeviceOption, GroupsFile, RunPath, SplitOption
from tlkit.cli.output import image_progress, print_result, require_svg, write_svg


def robustness(
    run: RunPath,
    corruptions: Annotated[
        list[str] | None, typer.Option("--corruption", help="Corruption; repeat it. Default: all but the slow ones.")
    ] = None,
    split: SplitOption = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Group column for the worst group; repeat it. Default: the recipe's.")
    ] = None,
    groups: GroupsFile = None,
    group_severity: Annotated[
        int, typer.Option(min=1, max=5, help="Severity at which the worst group is searched.")
    ] = GROUP_SEVERITY,
    seed: Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="Seed; default: the recipe's.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=MOST, help="Images per forward pass.")] = BATCH_SIZE,
    device: DeviceOption = "auto",
    plot: Annotated[Path | None, typer.Option(help="Draw the changes into this .svg file.")] = None,
    json: AsJson = False,
) -> None:
    """Measure what light, blur, noise, compression, geometry and weather do to accuracy, in five severities."""
    from tlkit.data.augment.corruption_kinds import corruption_names
    from tlkit.runs.run import open_run

    require_svg(plot)
    names, opened = corruption_names(corruptions), open_run(run)
    from tlkit.analysis.plain_findings import robustness_sentence
    from tlkit.analysis.robustness import robustness as measure

    with image_progress("predicting corrupted images") as progress:
        result = measure(
            opened,
            names,
            split=split,
            by=by,
            groups=groups,
            group_severity=group_severity,
            seed=seed,
            device=device,
            batch_size=batch_size,
            progress=progress,
        )
    if plot is not None:
        from tlkit.render.plots import plot_robustness

        write_svg(plot, lambda: plot_robustness(result))
    print_result(result, as_json=json, sentence=robustness_sentence(result))


def explain(
    run: RunPath,
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images, or folders of them; default: the report's wrong images.")
    ] = None,
    method: Annotated[ExplainMethod, typer.Option(help="How to find out; auto = by the kind of model.")] = "auto",
    target: Annotated[str | None, typer.Option(help="Class to explain; default: the predicted one.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with the maps of random weights.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Draw maps on the images into this .svg file.")] = None,
    filters: Annotated[Path | None, typer.Option(help="Draw the filters of the first layer into this .svg.")] = None,
    feature_maps: Annotated[
        Path | None, typer.Option(help="Draw the last feature maps of the first image into this .svg file.")
    ] = None,
    device: DeviceOption = "auto",
    json: AsJson = False,
) -> None:
    """Show where in images a model looks: Grad-CAM, attention or occlusion."""
    from tlkit.cli.explain_output import draw_explanations
    from tlkit.runs.run import open_run

    drawn = {"--sheet": sheet, "--filters": filters, "--feature-maps": feature_maps}
    for option, file in drawn.items():
        require_svg(file, option=option)
    opened = open_run(run)
    from tlkit.analysis.explain_images import explain_images, shown_errors

    images = images or shown_errors(opened)
    with image_progress("explaining images") as progress:
        result = explain_images(
            opened, images, method=method, target=target, check=check, device=device, progress=progress
        )
    draw_explanations(opened, result, images, sheet=sheet, filters=filters, feature_maps=feature_maps)
    print_result(result, as_json=json)
