"""The parameters of every command, by their annotations."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import typer

from tlkit.cli.app import app


def parameters(group: typer.Typer = app, prefix: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    """Yield for each parameter its command, its name, its plain type and typer's facts about it."""
    for command in group.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        for parameter, annotation in typing.get_type_hints(command.callback, include_extras=True).items():
            if parameter == "return" or annotation is typer.Context:
                continue
            plain = next((part for part in typing.get_args(annotation) if hasattr(part, "__metadata__")), annotation)
            yield f"{prefix}{name}", parameter, typing.get_args(plain)[0], plain.__metadata__[0]
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from parameters(inner.typer_instance, f"{prefix}{inner.name} ")
