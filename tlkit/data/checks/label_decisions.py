"""Decisions on doubtful labels: a CSV file that the label audit writes, a person edits and recipes read."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from tlkit.csv_files import write_csv
from tlkit.data.checks.quarantine import require_new_csv, require_training_images
from tlkit.data.sources.delimited_files import read_table
from tlkit.data.sources.manifest import digest_of
from tlkit.data.sources.read_bytes import image_digest
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, VOTES, Samples
from tlkit.spelling import match_names, match_paths, value_key

logger = logging.getLogger(__name__)

DECISION = "decision"
RELABEL = "relabel to "


@dataclass(frozen=True)
class Decision:
    """The decision on one image.

    Attributes:
        path: path of the image, relative to the root of the samples.
        label: its label when the file was written.
        digest: its sha256 when the file was written; "" = unknown.
        action: keep, relabel or drop.
        new_label: the new label of a relabelled image; else "".
        line: line of the file, from 1.
    """

    path: str
    label: str
    digest: str
    action: Literal["keep", "relabel", "drop"]
    new_label: str
    line: int


def write_decisions(file: str | Path, table: pd.DataFrame) -> Path:
    """Write a table of doubtful labels with an empty column `decision` for a person to fill in; return the path.

    Args:
        file: the CSV file to write; never overwritten, since it may hold decisions.
        table: columns path, label and digest, and further ones that help to decide.

    Raises:
        DataError: the file exists already, or is not named .csv.
    """
    file = Path(file)
    require_new_csv(file, what="list of labels")
    table = table.copy()
    table.insert(table.columns.tolist().index(LABEL) + 1, DECISION, "")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_csv(file, table, quote_all=True)
    logger.info("Wrote %s: %d labels to decide on.", file, len(table))
    return file


def read_decisions(file: str | Path, *, classes: Sequence[str]) -> tuple[Decision, ...]:
    """Return the decisions in a file that `write_decisions` wrote; rows with an empty decision are skipped.

    Args:
        file: a CSV file (UTF-8, commas) with the columns path, label, decision and optionally digest. A decision is
            keep, drop, or relabel to CLASS.
        classes: names of the classes.

    Raises:
        DataError: the file is missing or no such table, a decision or class is unknown, or an image has two decisions;
            all problems at once, with their lines.
    """
    file = Path(file)
    decisions: list[Decision] = []
    problems: list[str] = []
    first: dict[str, int] = {}
    table = read_table(
        file,
        columns=(PATH, LABEL, DECISION),
        what="file of decisions",
        hint="Write it with: tlkit data labels RUN --out FILE",
    )
    for line, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        text, path = row[DECISION].strip(), row[PATH]
        if not text:
            continue
        if path in first:
            problems.append(f"{file}:{line}  {path} is decided on in line {first[path]} already. Keep one row.")
            continue
        first[path] = line
        found = _decision(text, classes)
        if isinstance(found, str):
            problems.append(f"{file}:{line}  {path}: {found}")
            continue
        action, new_label = found
        decisions.append(Decision(path, row[LABEL], row.get(DIGEST, "").strip(), action, new_label, line))
    if problems:
        raise DataError(*problems)
    return tuple(decisions)


def apply_decisions(samples: Samples, files: Sequence[str | Path]) -> Samples:
    """Return the samples with the decisions applied: some relabelled, some dropped; no file is changed.

    Splits stay as they are, so that scores before and after are of the same images. Decisions on files that have
    changed since, or that are not among the samples, are skipped with a warning.

    Args:
        samples: the images, with splits.
        files: CSV files as `read_decisions` takes them, applied in turn.

    Raises:
        DataError: a file is wrong, an image has another label than the file states, or a class would lose its last
            training image.
    """
    for file in files:
        samples = _apply(samples, Path(file))
    return samples


def _apply(samples: Samples, file: Path) -> Samples:
    decisions = read_decisions(file, classes=samples.classes)
    rows = {path: row for row, path in enumerate(samples.table[PATH])}
    named = match_paths([one.path for one in decisions], list(rows))
    votes = samples.table[VOTES].tolist() if VOTES in samples.table.columns else [""] * len(samples)
    tied = {path for path, row in rows.items() if _is_tied(votes[row])}
    decisions = tuple(replace(one, path=named.get(one.path, one.path)) for one in decisions)
    decisions = tuple(one for one in decisions if one.action != "keep" or one.path in tied)
    labels, digests = samples.table[LABEL].tolist(), samples.table[DIGEST].tolist()
    keep = [True] * len(samples)
    relabelled: list[int] = []
    problems, changed, missing = [], [], []
    decided: dict[int, str] = {}
    for one in decisions:
        if one.path not in rows:
            missing.append(one.path)
            continue
        row = rows[one.path]
        now = digests[row] or (image_digest(samples.root / one.path) if one.digest else "")
        if one.digest and one.digest != now:
            changed.append(one.path)
        elif one.label and value_key(one.label) != value_key(labels[row]):
            problems.append(
                f"{file}:{one.line}  {one.path} is labelled {labels[row]} now, but was {one.label} when the file was "
                "written. Write it again with: tlkit data labels RUN --out FILE"
            )
        elif one.action == "drop":
            keep[row] = False
        else:
            now_called = one.new_label if one.action == "relabel" else labels[row]
            decided[row] = json.dumps({now_called: 1}, ensure_ascii=False)  # in place of the votes, which may be tied
            if labels[row] != now_called:
                labels[row] = now_called
                relabelled.append(row)
    if problems:
        raise DataError(*problems)
    table = samples.table.assign(**{LABEL: pd.Series(labels, index=samples.table.index, dtype="str")})
    if VOTES in table.columns and decided:
        votes = [decided.get(row, text) for row, text in enumerate(votes)]
        table = table.assign(**{VOTES: pd.Series(votes, index=table.index, dtype="str")})
    remaining = samples.with_table(table[keep].reset_index(drop=True))
    require_training_images(samples, remaining, action=f"{file} drops or relabels")
    counts = samples.table[SPLIT].iloc[relabelled].value_counts()
    where = ", ".join(f"{split} {counts[split]}" for split in ("train", "val", "test") if counts.get(split))
    logger.info(
        "%s (sha256 %s): %d of %d images relabelled%s, %d dropped.",
        file,
        digest_of(file)[:12],
        len(relabelled),
        len(samples),
        f" ({where})" if where else "",
        keep.count(False),
    )
    if changed:
        logger.warning(
            "Decisions on files that have changed since, skipped (%d): %s.", len(changed), first_few(changed)
        )
    if missing:
        logger.warning("Decisions on files that are not among the images (%d): %s.", len(missing), first_few(missing))
    return remaining


def _is_tied(votes: str) -> bool:
    """Return whether two classes share the most votes of an image; without votes none do."""
    counts = list(json.loads(votes or "{}").values())
    return bool(counts) and counts.count(max(counts)) > 1


def _decision(text: str, classes: Sequence[str]) -> tuple[Literal["keep", "relabel", "drop"], str] | str:
    """Return action and new label, or the error message."""
    match text.lower():
        case "keep" | "drop" as action:
            return action, ""
        case relabel if relabel.startswith(RELABEL):
            name = text[len(RELABEL) :].strip()
            found = match_names([name], classes)
            if found:
                return "relabel", found[name]
            return f"there is no class {name!r}.{did_you_mean(name, classes)} The classes are {first_few(classes)}."
    known = ("keep", "drop", *(RELABEL + name for name in classes))
    near = did_you_mean(RELABEL + text if text in classes else text, known, most=1)
    return f"the decision is {text!r}. Write keep, drop or relabel to CLASS.{near}"
