"""Lists of images in CSV or Parquet files, and lists that state the split of each image."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.data.sources.annotations import AGREEMENT, majority_labels
from tlkit.data.sources.delimited_files import OPTIONAL, SUFFIXES, read_with_blank_rows, require_file
from tlkit.data.sources.entries import Entries, Entry, Survey
from tlkit.data.sources.files_by_key import FilesByKey
from tlkit.data.sources.list_options import ListOptions
from tlkit.data.sources.shard_splits import SPLIT_ALIASES
from tlkit.data.sources.task_labels import classes_of, grades_of, read_labels
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.label_texts import label_names
from tlkit.parquet_tables import is_parquet_folder
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT, SPLITS, VOTES, Samples
from tlkit.spelling import match_paths, value_key

logger = logging.getLogger(__name__)

QUARANTINE = "quarantine"


def read_manifest(
    file: str | Path,
    *,
    root: str | Path | None = None,
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> Samples:
    """Return a list of images as a table of samples, sorted by path.

    Args:
        file: a CSV (UTF-8, commas) or Parquet file with the columns `path` and `label`, and optionally `split` (train,
            val, test or an alias; empty = train), `quarantine` (rows with any text in it are excluded), and group
            columns.
        root: folder that the paths are relative to; default: the file's own.
        columns: group columns to carry; an empty field is a missing value. `agreement`, where the file has no such
            column, is the share of the annotators of an image who gave its label.
        options: names of the columns, spellings, classes to merge, and several labels for one image.

    Raises:
        DataError: the file cannot be read, a column is missing, or rows are wrong: a path is empty, leads out of the
            folder, does not exist or is listed twice with different values; a label is empty; a split is unknown. All
            problems at once, with their lines.
    """
    survey = survey_list(file, root=root, columns=columns, options=options)
    for kind, what in (("repeated", "repeats rows, which count once"), ("blank-row", "has blank rows")):
        if found := [entry for entry in survey.entries.skipped if entry.kind == kind]:
            logger.info("%s %s (%d): %s.", file, what, len(found), first_few(found))
    if survey.problems:
        raise DataError(*survey.problems)
    return survey.samples


def survey_list(
    file: str | Path,
    *,
    root: str | Path | None = None,
    columns: Sequence[str] = (),
    options: ListOptions = ListOptions(),
) -> Survey:
    """Return the images of a list with the errors that `read_manifest` would raise.

    Of a path that is named with several values the first row is taken. Of labels of several annotators all rows of an
    image count as read.

    Args:
        file: as for `read_manifest`.
        root: as for `read_manifest`.
        columns: as for `read_manifest`.
        options: as for `read_manifest`.

    Raises:
        DataError: the file cannot be read, a column is missing, or a class that is to be merged does not occur.
    """
    file = Path(file)
    root = Path(root) if root is not None else file.parent
    votes = options.annotations != "one"
    required = [PATH, *options.columns, *(name for name in columns if not (votes and name == AGREEMENT))]
    required = list(dict.fromkeys(required))
    table, excluded, empty_rows = _read(file, required, options, more=[AGREEMENT] if AGREEMENT in columns else [])
    problems = _Problems(file)
    if not len(table):
        problems.add(f"{file} lists no images that can be used.")
    files = FilesByKey(root)
    values = {name: options.values(table[name], what=f"{name} of {file}") for name in columns if name in table.columns}
    labels = read_labels(table, options, lambda what, rows, hint: problems.rows(what, rows, hint=hint), file=file)
    grades, wrong_grades = grades_of(labels, options, file=file)
    if wrong_grades:
        problems.add(wrong_grades)
    paths = table[PATH].map(files.path_of).astype("str")
    if options.task == "segmentation":
        labels = labels.map(partial(files.path_of, beside=True)).astype("str")
        problems.rows(
            f"a mask does not exist in {root}",
            labels.index[~labels.isin(files.found) & (labels != "")],
            labels,
            hint="Paths of masks are relative to the same folder as those of the images.",
        )
        stems = paths.str.replace(r"\.[^./]*$", "", regex=True)
        problems.rows(
            "two images differ in their ending alone, so their predicted masks would be one file",
            paths.index[stems.duplicated(keep=False) & ~paths.duplicated(keep=False)],
            paths,
            hint="Rename one of them.",
        )
    table = table.assign(**values, **{PATH: paths, LABEL: labels, SPLIT: _splits(table, problems)})
    _check_paths(table, files, problems, root=root)
    blank = (table[LABEL].str.strip() == "") & (options.task != "multilabel")
    if votes:  # an annotator may have left it out
        blank &= ~table[PATH].isin(table[PATH][~blank])
    problems.rows("a label is empty", table.index[blank])
    listed, table = len(table), table[[name for name in (PATH, LABEL, SPLIT, *columns) if name in table.columns]]
    table, skipped = _majority(table, problems, file, options) if votes else _without_repeats(table)
    _check_repeated_paths(table, problems, several_annotators=options.task in ("multiclass", "ordinal"))
    repeats = {entry.name for entry in skipped}
    skipped += [entry for row, entry in problems.entries.items() if f"row {row}" not in repeats]
    table = table[~table.index.isin(problems.entries)].sort_values(PATH).reset_index(drop=True)
    groups = {name: table[name].mask(table[name] == "") for name in (*columns, VOTES) if name in table.columns}
    unknown = pd.Series([""] * len(table), dtype="str")
    table = table[[PATH, LABEL, SPLIT]].assign(**{DIGEST: unknown, **groups}).astype("str")
    samples = Samples(root, classes_of(table[LABEL], options, grades), table, options.task, options.masks)
    entries = Entries(read=listed - len(skipped), excluded=excluded, skipped=(*skipped, *empty_rows))
    return Survey(samples, entries, problems.found, listed_in="list")


def _without_repeats(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Entry]]:
    """Return a list without rows that repeat another, and these."""
    repeats = table.duplicated()
    skipped = [Entry("repeated", f"row {row}", table.loc[row, PATH]) for row in table.index[repeats]]
    return table[~repeats], skipped


def _majority(
    table: pd.DataFrame, problems: _Problems, file: Path, options: ListOptions
) -> tuple[pd.DataFrame, list[Entry]]:
    """Return the rows of the majority's labels among those without a problem, and the rows of images without one."""
    valid = table[~table.index.isin(problems.entries)]
    chosen = majority_labels(valid, file=file, with_votes=options.annotations == "soft")
    tied = valid.index[~valid[PATH].isin(chosen[PATH])]
    return chosen, [Entry("no-majority", f"row {row}", valid.loc[row, PATH]) for row in tied]


def _check_paths(table: pd.DataFrame, files: FilesByKey, problems: _Problems, *, root: Path) -> None:
    """Add the problems of paths: empty, out of the folder, or without a file."""
    problems.rows("a path is empty", table.index[table[PATH] == ""])
    outside = table[PATH].str.startswith(("/", "../")) | (table[PATH] == "..")
    problems.rows(
        f"a path leads out of {root}",
        table.index[outside],
        table[PATH],
        hint=_folder_hint(table[PATH][outside].tolist(), root),
    )
    inside = table[~outside & (table[PATH] != "")]
    problems.rows(
        f"a file does not exist in {root}",
        inside.index[~inside[PATH].isin(files.found)],
        inside[PATH],
        hint="Paths are relative to the list's folder, or to the root that is stated.",
        kind="missing-file",
    )


def _check_repeated_paths(table: pd.DataFrame, problems: _Problems, *, several_annotators: bool) -> None:
    """Add the problems of paths that are listed again with other values; labels may be of several annotators."""
    more = " If the rows are labels of several annotators: data.annotations: majority." if several_annotators else ""
    first = table.drop_duplicates(PATH).set_index(PATH)
    twice = table[PATH].duplicated()
    problems.rows(
        "a path is listed again with another label, split or group",
        table.index[twice],
        table[PATH],
        hint=f"Keep one row for each image.{more}",
        kind="listed-again",
        details=[
            next(
                f"{name} {given!r} and {other!r}"
                for name, given, other in zip(first.columns, first.loc[path], again, strict=True)
                if given != other or name == first.columns[-1]
            )
            for path, *again in table.loc[twice, [PATH, *first.columns]].to_numpy()
        ],
    )


def apply_split(samples: Samples, file: str | Path, *, with_digests: bool = True) -> Samples:
    """Return the listed samples with the splits and digests of the list.

    The digests are not verified here: `require_as_listed` compares them with those of the files.

    Args:
        samples: the images.
        file: a CSV file with the columns path, label, split and optionally digest, as `tlkit data split` writes it, or
            the split.csv of a run.
        with_digests: take the list's digests as well.

    Raises:
        DataError: a listed image is missing or has another label, or a split is unknown; the message names the images.
    """
    file = Path(file)
    listed, *_ = _read(file, (PATH, LABEL, SPLIT))
    problems = _Problems(file)
    listed = listed.assign(**{SPLIT: _splits(listed, problems)})
    named = match_paths(listed[PATH], samples.table[PATH].tolist())
    listed = listed.assign(**{PATH: listed[PATH].map(lambda path: named.get(path, path))})
    problems.rows("a path is listed twice", listed.index[listed[PATH].duplicated()], listed[PATH])
    problems.raise_any()
    row_of = pd.Series(range(len(samples)), index=samples.table[PATH]).reindex(listed[PATH])
    missing = row_of.isna().to_numpy()
    problems.rows(
        f"an image is missing from {samples.root}",
        listed.index[missing],
        listed[PATH],
        hint="Restore it, or write a new list with: tlkit data split",
    )
    found = listed[~missing]
    here = samples.table.iloc[row_of.to_numpy()[~missing].astype(int)]
    key = (lambda text: frozenset(map(value_key, label_names(text)))) if samples.task == "multilabel" else value_key
    relabelled = found[LABEL].map(key).to_numpy(dtype=object) != here[LABEL].map(key).to_numpy(dtype=object)
    problems.rows("an image has another label now", found.index[relabelled], found[PATH])
    problems.raise_any()
    order = here.index.to_numpy().argsort()
    taken = [SPLIT, DIGEST] if with_digests and DIGEST in found.columns else [SPLIT]
    given = {name: found[name].to_numpy(dtype=object) for name in taken}
    table = here.assign(**{name: pd.Series(values, index=here.index, dtype="str") for name, values in given.items()})
    counts = found[SPLIT].value_counts()
    logger.info(
        "Splits from %s (sha256 %s): %s.",
        file,
        digest_of(file)[:12],
        ", ".join(f"{split} {counts.get(split, 0)}" for split in SPLITS),
    )
    unlisted = samples.table[PATH][~samples.table[PATH].isin(listed[PATH])].tolist()
    if unlisted:
        logger.warning("Excluded images that %s does not list (%d): %s.", file, len(unlisted), first_few(unlisted))
    return samples.with_table(table.iloc[order].reset_index(drop=True))


def require_as_listed(listed: Samples, read: Samples, *, file: str | Path) -> None:
    """Check that files have not changed since the list of splits was written.

    Args:
        listed: the samples from `apply_split`, with the list's digests.
        read: the readable ones, with the digests of the files.
        file: the list, for the message.

    Raises:
        DataError: files have another digest than the list states; the message names them.
    """
    table = listed.table.set_index(PATH)[DIGEST]
    stated = table[table != ""]
    now = read.table.set_index(PATH)[DIGEST].reindex(stated.index)
    changed = stated.index[(now != stated).to_numpy()].tolist()
    if changed:
        raise DataError(
            f"{len(changed)} images have other content than when {file} was written, or cannot be read: "
            f"{first_few(changed)}. Restore them, or write a new list with: tlkit data split"
        )


def digest_of(file: str | Path) -> str:
    """Return the sha256 (hex) of a file."""
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _folder_hint(outside: list[str], root: Path) -> str:
    """Return how to state the folder that holds the images of a list."""
    if not outside:
        return ""
    above = os.path.normpath(os.path.commonpath([root.absolute(), *(root.absolute() / path for path in outside)]))
    holds = os.path.commonpath(outside) if all(path.startswith("/") for path in outside) else above
    folder = os.path.dirname(holds) if holds in outside else holds  # noqa: PTH120
    return f"State the folder that holds all of them: data.root: {folder} (--root {folder})."


class _Problems:
    """The problems of a list: one message per kind, with the first line and the number of lines, and the wrong rows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: list[str] = []
        self.entries: dict[Any, Entry] = {}

    @property
    def found(self) -> tuple[str, ...]:
        return tuple(self._found)

    def add(self, problem: str) -> None:
        self._found.append(problem)

    def rows(
        self,
        what: str,
        rows: pd.Index[Any],
        names: pd.Series[str] | None = None,
        *,
        hint: str = "",
        kind: str = "wrong-row",
        details: Sequence[str] = (),
    ) -> None:
        """Add a problem of these rows (the lines in `read_table`'s index), unless there are none."""
        if not len(rows):
            return
        for row, detail in zip(rows, details or [""] * len(rows), strict=True):
            name = f"row {row}" if names is None or kind == "wrong-row" else names.loc[row]
            self.entries.setdefault(row, Entry(kind, name, detail or (what if kind == "wrong-row" else "")))
        lines = [f"{row}{f' {names.loc[row]}' if names is not None else ''}" for row in rows]
        more = f" In all {len(lines)}: {first_few(lines)}." if len(lines) > 1 else ""
        name = f": {names.loc[rows[0]]}" if names is not None else ""
        hint = f" {hint}" if hint else ""
        self._found.append(f"{self._file}:{rows[0]}  {what}{name}.{more}{hint}")

    def raise_any(self) -> None:
        if self._found:
            raise DataError(*self._found)


def require_list(file: Path) -> None:
    """Check that a list of images exists.

    Raises:
        DataError: it does not, or its name does not end in .csv or .parquet.
    """
    if file.suffix.lower() not in SUFFIXES and not is_parquet_folder(file):
        raise DataError(f"{file} is no list of images. Give a file that ends in {' or '.join(SUFFIXES)}.")
    require_file(file, what="list of images")


def _read(
    file: Path, columns: Sequence[str], options: ListOptions = ListOptions(), *, more: Sequence[str] = ()
) -> tuple[pd.DataFrame, tuple[Entry, ...], tuple[Entry, ...]]:
    """Return a list of images, with the columns `more` that it has, its quarantined rows, and its blank ones."""
    require_list(file)
    table, empty = read_with_blank_rows(
        file, columns=columns, what="list of images", optional=(*OPTIONAL, *more), names=options.names
    )
    blank = tuple(Entry("blank-row", f"row {row}") for row in empty)
    if QUARANTINE not in table.columns:
        return table, (), blank
    out = table[QUARANTINE].str.strip() != ""
    named = tuple(Entry("set-aside", path, reason) for path, reason in table.loc[out, [PATH, QUARANTINE]].to_numpy())
    if named:
        logger.warning("%s quarantines %d of %d images: %s.", file, len(named), len(table), first_few(named))
    return table[~out], named, blank


def _splits(table: pd.DataFrame, problems: _Problems) -> pd.Series[str]:
    """Return the split of each row: train, val or test; train where none is given."""
    if SPLIT not in table.columns:
        return pd.Series("train", index=table.index, dtype="str")
    words = table[SPLIT].str.strip().str.lower()
    blank = words == ""
    if blank.any() and not blank.all():
        logger.info("%d of %d listed images have no split; they belong to train.", int(blank.sum()), len(table))
    found = words.map(SPLIT_ALIASES).mask(blank, "train")
    wrong = found.isna()
    if wrong.any():
        hint = f"Use {', '.join(SPLITS)}.{did_you_mean(words[wrong].iloc[0], SPLIT_ALIASES)}"
        problems.rows("an unknown split", table.index[wrong], table[SPLIT], hint=hint)
    return found.astype("str")
