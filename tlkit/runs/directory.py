"""`RunDirectory`: paths, status and atomic files of a run; never overwrites other directories."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from tlkit.disk import write_text
from tlkit.errors import RunError, did_you_mean, first_few, go_on
from tlkit.models.model_format import FACTS_FILE, MODEL_FORMAT
from tlkit.output_files import require_folder
from tlkit.stored_formats import Format
from tlkit.stored_values import build_stored, damaged, read_json

Status = Literal["running", "finished", "interrupted", "failed"]
MARKER = "run.json"
RUNS = Path("runs")  # default folder of runs
REMEDY = "Restore it or fit again."
RUN_FORMAT = Format("a run", 1, "Fit it again.", error=RunError)
"""Format of run.json, and with it of the names and the place of all files of a run."""
T = TypeVar("T")

_ENVIRONMENT = {
    "data": dict,
    "weights": dict,
    "packages": dict,
    "features": dict,
    "repair": dict,
    "processes": int,
    "changed_on_resume": list,
}
"""Keys of environment.json that are read back, and their types."""


@dataclass(frozen=True)
class RunDirectory:
    """A directory that holds one run; made by `create` or `open`.

    Attributes:
        path: the directory.
    """

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> RunDirectory:
        """Start a run in a new or empty directory.

        Args:
            path: where to put the run.
            overwrite: delete an earlier run; a directory that is not a run is never deleted.

        Raises:
            RunError: the directory holds a run, or something else.
        """
        cls.require_free(path, overwrite=overwrite)
        begun = path.with_name(f".{path.name}.begun")
        shutil.rmtree(begun, ignore_errors=True)  # left by a killed process
        begun.mkdir(parents=True)
        try:
            cls(begun).set_status("running")
            if path.exists():
                shutil.rmtree(path)
            begun.rename(path)  # it appears at its path together with its marker
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise
        return cls(path)

    @classmethod
    def require_free(cls, path: Path, *, overwrite: bool = False) -> None:
        """Check that `create` would succeed, and change nothing.

        Raises:
            RunError: the directory holds a run, or something else.
        """
        require_folder(path.absolute().parent, name="The runs folder", error=RunError)
        if path.is_symlink():
            raise RunError(f"{path} is a symbolic link, so it is left alone. Choose another name.")
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not (path / MARKER).is_file():
            raise RunError(f"{path} exists and is not a run of tlkit, so it is left alone. Choose another name.")
        if not overwrite:
            status = cls(path).status
            state = "a finished run" if status == "finished" else f"an unfinished run ({status})"
            more = "" if status == "finished" else "--resume to continue it, "
            raise RunError(f"{path} holds {state}. Use {more}--overwrite to replace it, or name=OTHER for a new one.")

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open a run that exists.

        Raises:
            RunError: there is no run at the path (the nearest names are suggested), or a newer tlkit wrote it.
        """
        if (path / MARKER).is_file():
            cls(path).read_marker()
            return cls(path)
        found = path.parent.iterdir() if path.parent.is_dir() else ()
        siblings = [p.name for p in found if (p / MARKER).is_file() and not p.name.startswith(".")]
        what = f"is not a run of tlkit (no {MARKER} in it)" if path.exists() else "does not exist"
        near = did_you_mean(path.name, siblings) or (
            f" Runs in {path.parent}: {first_few(sorted(siblings))}." if siblings else " `tlkit fit` makes runs."
        )
        if not path.is_absolute() and (RUNS / path / MARKER).is_file():
            near = f" Did you mean {RUNS / path}?"
        raise RunError(f"{path} {what}.{near}")

    @property
    def name(self) -> str:
        """The run's name: that of its directory."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        """The resolved recipe, YAML."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Versions, commit, device, dataset fingerprint, weights, JSON."""
        return self.path / "environment.json"

    @property
    def split(self) -> Path:
        """Each image's path, label, split, digest and groups, CSV."""
        return self.path / "split.csv"

    @property
    def excluded(self) -> Path:
        """Images that could not be read, with the reasons, CSV."""
        return self.path / "excluded.csv"

    @property
    def leaks(self) -> Path:
        """Images of val and test that have duplicates in an earlier split, with those duplicates, CSV."""
        return self.path / "leaks.csv"

    @property
    def alike(self) -> Path:
        """Pairs of images that are copies or near duplicates, CSV."""
        return self.path / "alike.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of Lightning's checkpoints."""
        return self.path / "checkpoints"

    @property
    def attribution(self) -> Path:
        """Attribution of the images, text; copied from the dataset if it has one."""
        return self.path / "attribution.txt"

    @property
    def model(self) -> Path:
        """Folder of the stored model."""
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        """One row of metrics per epoch, CSV."""
        return self.path / "metrics.csv"

    @property
    def compute_format(self) -> Path:
        """How training computes (memory format, compiled or not), JSON."""
        return self.path / "compute_format.json"

    @property
    def inputs(self) -> Path:
        """What each phase trained on (images, or activations after a module, by which engine), JSON."""
        return self.path / "inputs.json"

    @property
    def soup(self) -> Path:
        """The epochs averaged into the model, with the effect of each, JSON."""
        return self.path / "soup.json"

    @property
    def evaluation(self) -> Path:
        """The evaluation of each split, JSON."""
        return self.path / "evaluation.json"

    @property
    def audit(self) -> Path:
        """The audit of each split, JSON."""
        return self.path / "audit.json"

    @property
    def explanation(self) -> Path:
        """The explanation of the gaps of each split, JSON."""
        return self.path / "explanation.json"

    @property
    def slices(self) -> Path:
        """Slices found in each split, JSON."""
        return self.path / "slices.json"

    @property
    def image_properties(self) -> Path:
        """Measured properties of each image, keyed by digest, Parquet."""
        return self.path / "image_properties.parquet"

    @property
    def neighbors(self) -> Path:
        """The nearest images by features of each wrong image of each split, JSON."""
        return self.path / "neighbors.json"

    @property
    def robustness(self) -> Path:
        """The accuracy under corruptions of each split, JSON."""
        return self.path / "robustness.json"

    @property
    def drift(self) -> Path:
        """The comparison with each set of new images, JSON."""
        return self.path / "drift.json"

    @property
    def label_next(self) -> Path:
        """The images to label next of each set of unlabelled images, JSON."""
        return self.path / "label_next.json"

    @property
    def unknown(self) -> Path:
        """The threshold for unknown images and what it does to each split, JSON."""
        return self.path / "unknown.json"

    @property
    def bench(self) -> Path:
        """The speed on each processor, JSON."""
        return self.path / "bench.json"

    @property
    def heat_maps(self) -> Path:
        """Pictures of where in images of each split the model looked, JSON."""
        return self.path / "heat_maps.json"

    @property
    def card(self) -> Path:
        """The model card, Markdown."""
        return self.path / "MODEL_CARD.md"

    @property
    def repair(self) -> Path:
        """The result of a repair, JSON; in the repaired run, or in the original run if none was written."""
        return self.path / "repair.json"

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """Every line that the fit logged, with the tables of its results, text."""
        return self.path / "run.log"

    def predictions(self, split: str) -> Path:
        """The table of predictions for one split, Parquet."""
        return self.path / "predictions" / f"{split}.parquet"

    @property
    def masks(self) -> Path:
        """The folder of the predicted masks, each at the path of its image, PNG; only segmentation has one."""
        return self.path / "predictions" / "masks"

    def boxes(self, split: str) -> tuple[Path, Path]:
        """True and predicted boxes of a split as COCO's JSON files; only detection has them."""
        folder = self.path / "predictions"
        return folder / f"{split}_truth.json", folder / f"{split}_detections.json"

    @property
    def predicted_splits(self) -> tuple[str, ...]:
        """Splits that have predictions, test before val before train."""
        return tuple(name for name in ("test", "val", "train") if self.predictions(name).is_file())

    def judged_split(self, split: str | None = None) -> str:
        """Return the split to assess: the given one, else test, else val, else train.

        Raises:
            RunError: the run has no predictions for it.
        """
        available = self.predicted_splits
        if not available:
            remedy = go_on(self.path, self.status)
            raise RunError(f"{self.path} has no predictions: it ended before predicting ({self.status}). {remedy}")
        if split is not None and split not in available:
            place = " A file is not named: reports and cards lie in the run's folder." if Path(split).suffix else ""
            raise RunError(
                f"{self.path} has no predictions for the split {split!r}. It has {', '.join(available)}.{place}"
            )
        return split or available[0]

    @property
    def status(self) -> Status:
        """The status of the run.

        Raises:
            RunError: its run.json is damaged.
        """
        status = self.read_marker().get("status")
        if status not in get_args(Status):
            raise RunError(f"{self.path / MARKER} is damaged (its status is {status!r}). Fit again with --overwrite.")
        return cast(Status, status)

    def set_status(self, status: Status) -> None:
        """Store the status of the run."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_json(self.path / MARKER, {**RUN_FORMAT.stamp(), "status": status, "updated": now})

    def read_marker(self) -> dict[str, Any]:
        """Read run.json, as the present format has it.

        Raises:
            RunError: it is missing or damaged, or of a format that cannot be read.
        """
        values = self.read_json(self.path / MARKER)
        return RUN_FORMAT.current({RUN_FORMAT.key: None, **values}, what=f"{self.path} was")

    def read_model_facts(self) -> dict[str, Any]:
        """Read model.json of the stored model, as the present format has it; empty where there is no model.

        Raises:
            TlkitError: it is damaged, or of a format that cannot be read.
        """
        path = self.model / FACTS_FILE
        if not path.is_file():
            return {}
        values = self.read_json(path)
        with self.damaged(path):
            return MODEL_FORMAT.current(values, what=f"{path} was")

    def write_json(self, path: Path, values: Mapping[str, Any]) -> None:
        """Write a JSON file atomically."""
        self.write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file atomically."""
        write_text(path, text)

    def read_json(self, path: Path, *, remedy: str = REMEDY) -> dict[str, Any]:
        """Read one of the run's JSON files.

        Args:
            path: the file.
            remedy: what to do about a damaged one.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            return read_json(path, error=RunError, remedy=remedy)
        except FileNotFoundError:
            raise RunError(f"{self.path} has no {path.name}: the run did not get that far.") from None

    def read_environment(self) -> dict[str, Any]:
        """Read the environment of the run.

        Raises:
            RunError: it is missing or damaged.
        """
        values = self.read_json(self.environment)
        with self.damaged(self.environment):
            for key, kind in _ENVIRONMENT.items():
                if key in values and (not isinstance(values[key], kind) or isinstance(values[key], bool)):
                    raise ValueError(f"{key} is {str(values[key])[:80]!r}")
            if not isinstance(values["data"]["root"], str) or "\0" in values["data"]["root"]:
                raise ValueError("data.root is no path")
        return values

    def damaged(self, path: Path) -> AbstractContextManager[None]:
        """Return a context that turns what damaged values of a file raise into a `RunError` that names the file."""
        return damaged(path, error=RunError, remedy=REMEDY)

    def read_result(
        self, path: Path, build: Callable[[Mapping[str, Any]], T], values: Any, *, remedy: str = REMEDY
    ) -> T:
        """Return a result from the values that one of the run's JSON files holds.

        Args:
            path: the file.
            build: makes the result, such as `Evaluation.from_dict`.
            values: what the file holds of it.
            remedy: what to do about a damaged file.

        Raises:
            RunError: the values are not those of such a result.
        """
        return build_stored(build, values, path=path, error=RunError, remedy=remedy)
