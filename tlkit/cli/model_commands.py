"""`tlkit models`: timm's models, and the licenses of their weights."""

from __future__ import annotations

from typing import Annotated

import typer

from tlkit.cli.completion import complete_model
from tlkit.cli.output import print_lines, print_tables


def models(
    pattern: Annotated[
        str, typer.Argument(help="Part of a name, or a shell pattern such as 'vit_*'.", autocompletion=complete_model)
    ] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="List sets of weights with their licences.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="List weights on this machine: of installed packages, in the hub's cache.")
    ] = False,
) -> None:
    """List timm's models."""
    from tlkit.models.model_names import matching_names

    if here:
        from tlkit.models.weights.available_weights import local_weights
        from tlkit.models.weights.weights_tables import local_weights_table

        print_tables([local_weights_table(local_weights(), pattern=pattern)])
        return
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
