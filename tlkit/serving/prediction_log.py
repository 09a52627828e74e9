"""`PredictionLog`: what was served, as Parquet parts that `evaluate`, `audit` and `compare` read."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.data.decode.formats import detect_format
from tlkit.disk import atomic_file
from tlkit.errors import reason_of
from tlkit.exported.exported_predictor import ExportedPredictor
from tlkit.predictions import read_predictions
from tlkit.predictions.predictions import Predictions
from tlkit.runs.lock import file_lock
from tlkit.serving.serve_options import ServeError

logger = logging.getLogger(__name__)

FLUSH_ROWS = 10_000
MOST_ROWS = 100_000
"""Rows that are kept where the disk refuses them; further ones are lost, and counted."""
SERVED_AT = "served_at"
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


class PredictionLog:
    """A folder of Parquet parts, one row per different image: its SHA-256 as `path`, probabilities, time (UTC).

    An image that is served again has the same probabilities and gets no second row, so that figures count it once.
    Parts are written whole; a killed server loses the rows since the last one. Labels are joined later by `path`.

    Args:
        folder: the folder of the parts, such as `served.parquet`; may hold those of an earlier server.
        predictor: the model.
        digest: SHA-256 of the model's file, which the names of the parts begin with.
        images: folder that gets each image, named by its SHA-256; None = none is kept.

    Raises:
        ServeError: the folder holds the log of another model, or something else; or another server writes it.
    """

    def __init__(self, folder: Path, predictor: ExportedPredictor, *, digest: str, images: Path | None = None) -> None:
        self._folder, self._images = folder, images
        self._predictor = predictor
        self._prefix = f"model-{digest[:12]}-"
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._rows: list[tuple[str, npt.NDArray[np.float32], str]] = []
        self.lost = 0
        self._held = self._lock_folder()
        self._parts = self._own_parts()
        self._seen: set[bytes] = set()
        if self._parts:
            self._seen = {bytes.fromhex(name) for name in read_predictions(folder).path}
            self._next = 1 + max(int(path.stem.removeprefix(self._prefix)) for path in self._parts)
        else:
            self._next = 1
        if images is not None:
            images.mkdir(parents=True, exist_ok=True)

    def _lock_folder(self) -> ExitStack:
        """Return what holds the folder until it is closed: parts are numbered, and an image has one row."""
        if self._folder.exists() and not self._folder.is_dir():
            raise ServeError(f"{self._folder} is a file. The log is a folder of parts: name another one.")
        self._folder.mkdir(parents=True, exist_ok=True)
        held = ExitStack()
        try:
            held.enter_context(file_lock(self._folder / ".lock", wait=False))
        except BlockingIOError:
            raise ServeError(
                f"{self._folder} is written by another server. Give each server a folder of its own for its log."
            ) from None
        return held

    def close(self) -> None:
        """Write the rows that are left, and let another server continue the log."""
        self.flush()
        self._held.close()

    def _own_parts(self) -> list[Path]:
        found = [path for path in self._folder.iterdir() if not path.name.startswith((".", "_"))]
        strange = [path.name for path in found if not path.name.startswith(self._prefix) or path.suffix != ".parquet"]
        if strange:
            raise ServeError(
                f"{self._folder} holds {min(strange)}, which is no part of a log of this model. Name another "
                "folder for the log."
            )
        return found

    def add(self, content: bytes, digest: str, proba: npt.NDArray[np.float32]) -> None:
        """Note an image that was served, unless it was before."""
        key = bytes.fromhex(digest)
        with self._lock:
            if key in self._seen:
                return
            if len(self._rows) >= MOST_ROWS:
                self.lost += 1
                return
            self._seen.add(key)
            self._rows.append((digest, proba, datetime.now(UTC).isoformat(timespec="milliseconds")))
            is_full = len(self._rows) % FLUSH_ROWS == 0
        if self._images is not None:
            try:
                with atomic_file(self._images / f"{digest}{SUFFIXES.get(str(detect_format(content)), '')}") as partial:
                    partial.write_bytes(content)
            except OSError as error:
                logger.error("An image cannot be kept in %s (%s).", self._images, reason_of(error))
        if is_full:
            self.flush()

    def flush(self) -> bool:
        """Write the rows since the last part as a new one; return whether that succeeded. A failure is logged."""
        with self._writing:
            with self._lock:
                rows = list(self._rows)
            if not rows:
                return True
            path = self._folder / f"{self._prefix}{self._next:06d}.parquet"
            try:
                self._table(rows).to_parquet(path)
            except OSError as error:
                logger.error(
                    "%s cannot be written (%s); its rows are kept for the next attempt.", path, reason_of(error)
                )
                return False
            self._next += 1
            with self._lock:
                del self._rows[: len(rows)]
            return True

    def _table(self, rows: list[tuple[str, npt.NDArray[np.float32], str]]) -> Predictions:
        digests, probabilities, times = zip(*rows, strict=True)
        table = self._predictor.table_of(digests, np.stack(probabilities))
        return table.with_groups(pd.DataFrame({"path": digests, SERVED_AT: times}), verbatim=True)
