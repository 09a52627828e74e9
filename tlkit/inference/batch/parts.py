"""Parts of a batch prediction: predicted, written whole, and verified by what they hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tlkit.choices import PredictEngine, Views
from tlkit.data.sources.read_bytes import file_exists
from tlkit.errors import DataError
from tlkit.inference.batch.batch_manifest import Manifest, names_digest
from tlkit.predictions import Predictions, Unreadable
from tlkit.predictions.prediction_files import METADATA_KEY, write_parquet_table
from tlkit.predictions.unreadable import ERROR
from tlkit.predictions.validation import PATH, PROBA_PREFIX
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)

GONE = "there is no such file"


class ImageModel(Protocol):
    """A model that predicts image files, such as `Predictor`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the group columns of its predictions."""

    def predict(
        self,
        images: Sequence[Path],
        *,
        tta: Views,
        engine: PredictEngine,
        on_unreadable: Callable[[Unreadable], None] | None,
    ) -> Predictions:
        """Return one row per readable image, and report the others."""

    def engine_for(self, images: Sequence[Path], *, count: int, tta: Views) -> PredictEngine:
        """Return the engine that `auto` takes for `count` images, of which these are the first."""


@dataclass(frozen=True)
class PartCount:
    """What a part holds: number of images, and of those without a prediction."""

    part: int
    images: int
    unreadable: int


def count_part(manifest: Manifest, part: int) -> PartCount | None:
    """Return what a part that is done holds; None where it is to be predicted.

    A part counts as done if its column of names has the digest of the manifest, and its metadata names this model. The
    names are read, so a file that was cut short or changed by hand is predicted again; checksums of pages are checked.
    """
    file = manifest.part_file(part)
    if not file.is_file():
        return None
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as table:
            columns = table.read(columns=[PATH, ERROR])
            noted = _noted(table.schema_arrow.metadata or {})
        digest = names_digest(map(str, columns.column(PATH).to_pylist()))
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s); its images are predicted again.", file, error)
        return None
    if digest != manifest.digests[part] or noted != part_note(manifest, part):
        logger.warning("%s is not what the manifest says of it; its images are predicted again.", file)
        return None
    unreadable = len(columns) - columns.column(ERROR).null_count
    return PartCount(part, len(columns), unreadable)


def predict_part(
    model: ImageModel, manifest: Manifest, part: int, *, classes: Sequence[str], folder: Path = Path()
) -> PartCount:
    """Predict the images of a part and write its file, atomically; relative paths begin at `folder`.

    Its rows are those of `tlkit predict`, in the order of the manifest: an image that cannot be read, or is gone, has a
    row with the reason. Probabilities are float32 in every part, so that the parts are one table.
    """
    images = manifest.part_images(part)
    rows = [row for row, image in enumerate(images) if not image.error and file_exists(str(folder / image.path))]
    there = set(rows)
    unreadable = [
        Unreadable(row, image.path, image.error or GONE) for row, image in enumerate(images) if row not in there
    ]
    files = [folder / images[row].path for row in rows]
    engine = _engine(model, manifest, folder=folder) if files else "torch"
    predict = partial(model.predict, tta=manifest.settings.tta, engine=engine)
    predictions = _predict(predict, files, rows=rows, unreadable=unreadable, classes=classes, columns=model.columns)
    failed = {one.row for one in unreadable}
    names = np.array([images[row].path for row in rows if row not in failed], dtype=str)
    predictions = replace(predictions, path=names)
    unreadable = sorted(one._replace(path=images[one.row].path) for one in unreadable)
    table = predictions.table(unreadable=unreadable)
    floats = [name for name in table.columns if name.startswith(PROBA_PREFIX)]
    table = table.astype(dict.fromkeys(floats, np.float32))
    noted: dict[str, Any] = {"classes": list(classes), "groups": list(model.columns), "part": part_note(manifest, part)}
    if manifest.settings.tta != "none":
        noted["tta"] = manifest.settings.tta
    write_parquet_table(manifest.part_file(part), table, noted=noted)
    return PartCount(part, len(images), len(unreadable))


def part_note(manifest: Manifest, part: int) -> dict[str, Any]:
    """Return what a part's metadata says of itself; torch is not named, as in parts of earlier versions."""
    settings = {
        name: value for name, value in asdict(manifest.settings).items() if (name, value) != ("engine", "torch")
    }
    return {"part": part, "names": manifest.digests[part], **settings}


def _engine(model: ImageModel, manifest: Manifest, *, folder: Path) -> PredictEngine:
    """Return the engine of every part, whichever process predicts it: that of one prediction of all images."""
    settings = manifest.settings
    if settings.engine != "auto":
        return settings.engine
    names = [folder / image.path for image in manifest.part_images(0) if not image.error]
    first = [path for path in names if file_exists(str(path))]
    return model.engine_for(first, count=manifest.images, tta=settings.tta) if first else "torch"


def _predict(
    predict: Callable[..., Predictions],
    files: Sequence[Path],
    *,
    rows: Sequence[int],
    unreadable: list[Unreadable],
    classes: Sequence[str],
    columns: Sequence[str],
) -> Predictions:
    """Return the predictions of the readable files, and append the others, whose places are `rows`; may be of none."""
    failed: list[Unreadable] = []
    try:
        if files:
            return predict(files, on_unreadable=failed.append)
    except DataError:
        if len(failed) < len(files):  # there are readable ones, so something else is wrong
            raise
    finally:
        unreadable += [one._replace(row=rows[one.row]) for one in failed]
    none = np.zeros(0, dtype=np.int64)
    proba = np.zeros((0, len(classes)))
    groups = pd.DataFrame({name: pd.array([], dtype="string") for name in columns}, index=range(0))
    return Predictions(tuple(classes), np.zeros(0, dtype=str), none, none, proba, groups)


def _noted(metadata: Mapping[bytes, bytes]) -> Any:
    """Return the note of the part in a file's metadata."""
    values = parse_json(metadata[METADATA_KEY])
    return values["part"]
