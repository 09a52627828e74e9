"""`RunFacts`: what all evidence files of a run rest on, read once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.recipe.yaml_nodes import read_yaml
from tlkit.render.published_figures import PublishedFigures, published_figures
from tlkit.render.report import RunContents
from tlkit.render.report.limitations import limits_of
from tlkit.runs.directory import MARKER
from tlkit.runs.run_pages import confidence_of, contents_for_card
from tlkit.runs.stored_measurements import read_measurements

if TYPE_CHECKING:
    from tlkit.audit.repair_result import Repair
    from tlkit.runs.run import Run
    from tlkit.uncertainty.conformal_result import ConformalSets

PRIVATE = (
    *("split.csv", "excluded.csv", "leaks.csv", "audit.json", "explanation.json", "slices.json", "predictions"),
    *("robustness.json", "unknown.json", "drift.json", "label_next.json"),
)
"""Files of a run with values of single images or numbers of small groups."""
_FILES = (
    *("recipe.yaml", "environment.json", "split.csv", "excluded.csv", "leaks.csv", "metrics.csv"),
    *("evaluation.json", "audit.json", "explanation.json", "slices.json", "repair.json"),
    *("robustness.json", "unknown.json", "drift.json", "label_next.json", "bench.json"),
)


@dataclass(frozen=True)
class RunFile:
    """A file of a run.

    Attributes:
        path: its path in the run's folder, with slashes.
        sha256: its digest, in hexadecimal.
        private: whether it holds values of single images or of small groups, so that it is not for publication.
    """

    path: str
    sha256: str
    private: bool


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What the evidence files of a run rest on.

    Attributes:
        contents: the run with its results for the assessed split.
        figures: the figures that may be published.
        intended_use: the owner's statement of what the model is for; None = not stated.
        limits: sentences on the limits of the figures.
        group_columns: the group columns of the images.
        repair: the repair of the head; None if there is none.
        sets: conformal sets of the assessed split, calibrated on val; None where val is missing or is what is assessed.
        created: when the run ended, ISO 8601, UTC; "" = unknown.
        files: the run's files with their digests.
        digest: SHA-256 of names and digests of the files that define the run: recipe, images, model, predictions.
    """

    contents: RunContents
    figures: PublishedFigures
    intended_use: str | None
    limits: tuple[str, ...]
    group_columns: tuple[str, ...]
    repair: Repair | None
    sets: ConformalSets | None
    created: str
    files: tuple[RunFile, ...]
    digest: str

    @property
    def model_files(self) -> tuple[RunFile, ...]:
        """The files of the model."""
        return tuple(file for file in self.files if file.path.startswith("model/"))

    @property
    def predictions(self) -> str:
        """The file of the predictions for the assessed split, in the run's folder."""
        return f"predictions/{self.contents.split}.parquet"

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions, device, data, weights."""
        return self.contents.environment

    def setting(self, section: str, key: str) -> str:
        """Return a setting of the recipe as text; "" where it has none."""
        recipe = read_yaml(self.contents.recipe_text, source="recipe.yaml").value
        values = recipe.get(section) if isinstance(recipe, Mapping) else None
        return str(values.get(key, "")) if isinstance(values, Mapping) else ""

    def sha256(self, path: str) -> str | None:
        """Return the digest of a file of the run; None where there is no such file."""
        return next((file.sha256 for file in self.files if file.path == path), None)


def read_run_facts(run: Run, split: str | None = None, *, min_cell_size: int) -> RunFacts:
    """Return the facts of a stored run, computing missing evaluations and audits.

    Args:
        run: the run.
        split: the split to assess; default: test, or val where there is none.
        min_cell_size: the fewest images of a cell that is shown, at least 2.

    Raises:
        RunError: the run has no predictions for the split.
        TlkitError: `min_cell_size` is below 2.
    """
    contents = contents_for_card(run, split)
    evaluation, audit = contents.evaluation, contents.audit
    measured, confidence = read_measurements(run.directory, contents.split), confidence_of(run, contents.split)
    files = tuple(_files(run.path))
    defining = [
        (file.path, file.sha256)
        for file in files
        if file.path in ("recipe.yaml", "split.csv") or file.path.startswith(("model/", "predictions/"))
    ]
    return RunFacts(
        contents=replace(
            contents,
            repair=run.repair,
            confidence=confidence,
            robustness=measured.robustness,
            unknown=measured.unknown,
            drift=measured.drift,
        ),
        figures=published_figures(evaluation, audit, min_cell_size=min_cell_size),
        intended_use=run.recipe.report.intended_use,
        limits=tuple(claim.text for claim in limits_of(contents)),
        group_columns=tuple(run.samples.groups.columns),
        repair=run.repair,
        sets=None if confidence is None else confidence.sets,
        created=str(run.directory.read_json(run.path / MARKER).get("updated", "")),
        files=files,
        digest=hashlib.sha256(json.dumps(defining).encode()).hexdigest(),
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[RunFile]:
    """Return the files that a fit and its questions leave, in a fixed order."""
    found = [folder / name for name in _FILES]
    found += [path for part in ("model", "predictions") for path in sorted((folder / part).glob("*"))]
    return [
        RunFile(path.relative_to(folder).as_posix(), sha256_of(path), path.relative_to(folder).parts[0] in PRIVATE)
        for path in found
        if path.is_file() and not path.name.startswith(".")
    ]
