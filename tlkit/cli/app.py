"""The command line: results to stdout, logs to stderr; exit 0 = done, 1 = a gate failed, 2 = wrong input."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from tlkit.cli import data_commands, feature_commands, recipe_commands, track_commands
from tlkit.cli.analysis_commands import advise, learning_curve, repair, slices
from tlkit.cli.arguments import PASS_ON
from tlkit.cli.bench_command import bench
from tlkit.cli.compare_command import compare
from tlkit.cli.completion import PROGRAM, completion
from tlkit.cli.environment_commands import doctor_env
from tlkit.cli.evaluation_commands import audit, evaluate
from tlkit.cli.export_commands import export, verify
from tlkit.cli.fit_commands import fit, predict
from tlkit.cli.init_command import init
from tlkit.cli.model_commands import models
from tlkit.cli.output import print_lines, start_logging
from tlkit.cli.push_commands import push
from tlkit.cli.report_commands import card, evidence, report
from tlkit.cli.robustness_commands import explain, robustness
from tlkit.cli.run_commands import runs, show
from tlkit.cli.serve_command import serve
from tlkit.cli.sweep_command import sweep
from tlkit.cli.uncertainty_commands import abstain, calibration, conformal
from tlkit.cli.unknown_commands import drift, errors, label_next, unknown
from tlkit.cli.zero_shot_command import zero_shot
from tlkit.disk import DISK_FULL_ERRNOS, failed_path
from tlkit.environment_variables import require_usable_variables

app = typer.Typer(
    name="tlkit",
    help="Fine-tune pretrained image classifiers by a recipe, judge them with error bars, audit them across groups.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(context_settings=PASS_ON)(fit)
for command in (
    init,
    sweep,
    predict,
    zero_shot,
    runs,
    show,
    evaluate,
    audit,
    compare,
    advise,
    slices,
    repair,
    learning_curve,
    report,
    card,
    push,
    evidence,
    models,
    completion,
    export,
    verify,
    bench,
    serve,
):
    app.command()(command)
for judging in (calibration, abstain, conformal):
    app.command()(judging)
for question in (errors, unknown, drift, label_next, robustness, explain):
    app.command()(question)
app.command("doctor-env")(doctor_env)
app.add_typer(recipe_commands.app, name="recipe")
app.add_typer(data_commands.app, name="data")
app.add_typer(feature_commands.app, name="features")
app.add_typer(track_commands.app, name="track")


def show_version(context: typer.Context, requested: bool) -> None:
    """Print the version, with --verbose also what `doctor-env` prints, and end, for `--version`."""
    if requested:
        from tlkit import __version__

        print_lines([f"tlkit {__version__}"])
        if context.params.get("verbose"):  # it is eager, so it is read first
            print_lines([""])
            doctor_env()
        raise typer.Exit


@app.callback()
def configure(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", is_eager=True, help="Log details too.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, help="Show the version and exit; with -v also what doctor-env says."
        ),
    ] = False,
) -> None:
    """Fine-tune pretrained image classifiers by a recipe, judge them with error bars, audit them across groups."""
    start_logging(quiet=quiet, verbose=verbose)


def _working_folder_problem() -> list[str]:
    """Return what to do where the folder that the command runs in is gone; else nothing."""
    try:
        Path.cwd()
    except OSError:
        return ["The working folder was deleted or moved. Change into one that exists, such as with: cd ~"]
    return []


def message_of(error: OSError) -> str:
    """Return the message about a file that the system refuses, with what to do."""
    remedies = {
        (errno.EACCES, errno.EPERM, errno.EROFS): "Check the permissions, or name another place.",
        (errno.EISDIR,): "Name a file in it.",
        (errno.ENOTDIR, errno.EEXIST): "A part of the path is a file, where a folder is needed. Name another place.",
        (errno.ENAMETOOLONG,): "Use a shorter name.",
        (errno.ENOENT,): "Check the path, or name another place.",
        DISK_FULL_ERRNOS: "Free some space, or name another place.",
    }
    remedy = next((text for numbers, text in remedies.items() if error.errno in numbers), "")
    return f"{failed_path(error) or 'a file'}: {error.strerror or error}. {remedy}".rstrip()


@cache
def command_tree() -> Callable[..., Any]:
    """Return click's form of all commands, built once in a process: that takes longer than refusing bad input."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; the only place where an exception becomes an exit code."""
    from tlkit.cli.streams import READER_GONE, escape_unwritable_letters, flush_stdout, open_missing_streams
    from tlkit.errors import TlkitError
    from tlkit.memory_errors import memory_problem

    open_missing_streams()
    escape_unwritable_letters()
    try:
        require_usable_variables()
        command_tree()(prog_name=PROGRAM)
    except SystemExit as end:  # every command ends so; click gives 1 to a broken pipe, which would mean a failed gate
        flush_stdout()
        sys.exit(READER_GONE if isinstance(end.__context__, BrokenPipeError) else end.code)
    except TlkitError as error:
        for problem in (*error.problems, *_working_folder_problem()):
            sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except OSError as error:
        for problem in _working_folder_problem() or [message_of(error)]:
            sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    except Exception as error:
        if (full := memory_problem(error)) is not None:
            sys.stderr.write(f"error: {full} Stop other programs, or use a machine with more memory.\n")
            sys.exit(2)
        traceback.print_exc()  # a bug of tlkit: 1 means that a gate failed, so it needs another code
        sys.exit(70)
