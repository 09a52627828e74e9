"""Errors about the user's input: what is wrong, where, and what to do; each ends a command with exit code 2."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence

NEAR = 0.6
"""Smallest similarity of a name that is suggested, as in `difflib.get_close_matches`."""
ALIKE = str.maketrans({"o": "0", "l": "1", "i": "1", "|": "1", "-": "_", " ": "_"})


class TlkitError(Exception):
    """One or more problems of the user's input, reported at once.

    Attributes:
        problems: one message for each problem: what is wrong, where, and what to do.

    Example:
        >>> error = TlkitError("data.csv has no column 'sex'.", "data.csv has no column 'age'.")
        >>> print(error)
        data.csv has no column 'sex'.
        data.csv has no column 'age'.
    """

    def __init__(self, *problems: str) -> None:
        self.problems: tuple[str, ...] = problems
        super().__init__("\n".join(problems))


class RecipeError(TlkitError):
    """A recipe, or an override of it, cannot be used."""


class DataError(TlkitError):
    """A dataset, or a file of it, cannot be used."""


class ModelError(TlkitError):
    """A backbone, its weights or a stored model cannot be used."""


class PredictionsError(TlkitError):
    """A table of predictions cannot be used."""


class RunError(TlkitError):
    """A run directory cannot be written or read."""


class MissingExtraError(TlkitError):
    """A package that an optional feature needs is not installed."""

    def __init__(self, *, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs the package {package}. Install it with: pip install "tlkit[{extra}]"')


def refuse_newer(
    what: str, version: object, *, known: int, by: str | None = None, error: type[TlkitError] = TlkitError
) -> None:
    """Raise where a file has a newer format than this version reads, or none that can be compared.

    Args:
        what: start of the message, such as "This audit was".
        version: format of the file.
        known: newest format that this version reads.
        by: version of the tlkit that wrote it; None = not known.
        error: type of the error.

    Raises:
        TlkitError: the format is newer, or no whole number above 0; of the type `error`.

    Example:
        >>> refuse_newer("This audit was", 3, known=3)
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise error(
            f"{what} written in a format called {str(version)[:30]!r}, where a whole number from 1 to {known} should "
            "stand. It was damaged, or another tool wrote it: restore it, or make it again."
        )
    if version > known:
        need = "Update tlkit: pip install -U tlkit" if by is None else f"Install tlkit {by}: pip install tlkit=={by}"
        raise error(f"{what} written by a newer tlkit (format {version}, this one reads up to {known}). {need}")


def did_you_mean(word: str, known: Iterable[str], *, most: int = 3) -> str:
    """Return " Did you mean 'x' or 'y'?" for the names nearest to `word`, or "" where none is near.

    Letters that look alike (O and 0, l and 1) and upper and lower case count as equal; of names that are equally near
    the first in natural order is named first.

    Example:
        >>> did_you_mean("efficientnet_bo", [f"efficientnet_b{n}" for n in range(9)], most=1)
        " Did you mean 'efficientnet_b0'?"
        >>> did_you_mean("resnet8", ["resnet18", "vit"])
        " Did you mean 'resnet18'?"
        >>> did_you_mean("qqq", ["resnet18"])
        ''
    """
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(_looks(word))
    scored = []
    for name in dict.fromkeys(known):
        matcher.set_seq1(_looks(name))
        if matcher.real_quick_ratio() >= NEAR and matcher.quick_ratio() >= NEAR and (score := matcher.ratio()) >= NEAR:
            scored.append((-score, _natural(name), name))
    near = [name for _, _, name in sorted(scored)[:most]]
    return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def _looks(word: str) -> str:
    """Return a word with one letter for all that look like it."""
    return word.casefold().translate(ALIKE)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return the key of a name in natural order, in which b2 comes before b10."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def reason_of(error: BaseException) -> str:
    r"""Return the first line of the message of another library's error; the error's type where it has no text.

    A first line that ends with a colon is followed by the second.

    Example:
        >>> reason_of(ValueError("no such size\nat line 3")), reason_of(IndexError())
        ('no such size', 'IndexError')
    """
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])


def first_few(items: Sequence[object], *, most: int = 5) -> str:
    """Return the first few items as text, with a count of the others.

    Example:
        >>> first_few(["a", "b", "c"], most=2)
        'a, b and 1 more'
        >>> first_few(["a", "b"])
        'a, b'
    """
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def go_on(run: object, status: str = "") -> str:
    """Return the sentence that says what to do where a run lacks something: continue it, or fit a finished one again.

    Example:
        >>> go_on("runs/pets", "interrupted")
        'Continue it: tlkit fit runs/pets/recipe.yaml --resume'
    """
    if status == "finished":
        return "Fit it again with --overwrite."
    return f"Continue it: tlkit fit {shlex.quote(f'{run}/recipe.yaml')} --resume"


TASK_COMMANDS = "tlkit evaluate, audit, compare, slices, predict, sweep, report, card, show, runs, track push"
"""Commands that take a run of every other task."""
EXPORTS, FEATURES = ", export, verify", ", data leaks"
MORE_COMMANDS = {
    "multilabel": f"{EXPORTS}{FEATURES}, data labels",
    "ordinal": f"{EXPORTS}{FEATURES}, learning-curve",
    "regression": f"{EXPORTS}{FEATURES}",
    "segmentation": EXPORTS,
}
"""Those that take one of some tasks."""


def other_task(what: str, task: str) -> str:
    """Return the sentence that refuses a run or model of another task than one class for each image.

    Example:
        >>> other_task("runs/ages", "regression")[:69]
        'runs/ages is of the task regression, and this takes one class for eac'
    """
    masks = task in ("segmentation", "detection")
    why = f"{what} is of the task {task}, " + (
        "which this does not take" if masks else "and this takes one class for each image"
    )
    return f"{why}. For such a run there are {TASK_COMMANDS}{MORE_COMMANDS.get(task, '')}."
