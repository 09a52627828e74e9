"""`tlkit doctor-env`: what is installed here, what works, and what to do about what does not."""

from __future__ import annotations

from typing import Annotated

import typer

from tlkit.cli.output import print_result


def doctor_env(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Examine this Python environment: versions, device, what works; exit 2 if training or prediction does not."""
    from tlkit.training.doctor_env import doctor_env as examine

    report = examine()
    print_result(report, as_json=as_json)
    if not report.is_usable:
        raise typer.Exit(2)
