"""Ray Data as the engine of a batch prediction. The only module that imports Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tlkit.no_telemetry  # noqa: F401  before Ray

from tlkit.errors import DataError, MissingExtraError
from tlkit.inference.batch.batch_manifest import BatchSettings, make_manifest, read_batch_manifest
from tlkit.inference.batch.batch_result import BatchResult
from tlkit.inference.batch.parts import ImageModel, PartCount, count_part, predict_part
from tlkit.inference.batch.predict_shard import shard_result

logger = logging.getLogger(__name__)

LOCAL = "local"


class PartPredictor:
    """An actor of Ray Data: loads the model once, and predicts one part a call."""

    def __init__(self, load: Callable[[], ImageModel], out: str, classes: Sequence[str], folder: str) -> None:
        self._folder = Path(folder)
        self._manifest = read_batch_manifest(Path(out))
        self._model = load()
        self._classes = tuple(classes)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the counts of the parts whose numbers are in the column `part`."""
        counts = [
            predict_part(self._model, self._manifest, int(part), classes=self._classes, folder=self._folder)
            for part in batch["part"]
        ]
        return {
            "part": [count.part for count in counts],
            "images": [count.images for count in counts],
            "unreadable": [count.unreadable for count in counts],
        }


def predict_on_ray(
    load: Callable[[], ImageModel],
    sources: Sequence[str | Path],
    out: Path,
    *,
    address: str,
    settings: BatchSettings,
    classes: Sequence[str],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchResult:
    """Predict all images on a Ray cluster; the parts are those of `predict_shard`, and so are the rows.

    Ray Data streams the numbers of the parts that are not done to one actor per device: a GPU where the cluster has
    any, else a CPU. Each actor reads the images of its part and writes the part whole. The folder of the command, the
    images, the model and `out` must be on storage that every node sees under the same path.

    Args:
        load: returns the model in an actor; it is pickled by Ray.
        sources: as for `stream_images`.
        out: folder of the parts.
        address: of the cluster ("auto", "HOST:6379", "ray://HOST:10001"), or "local" to start one on this machine.
        settings: of `batch_settings`.
        classes: class names of the model.
        workers: number of actors; default: the cluster's devices.
        progress: called with (images done, images in all) after each part.

    Raises:
        DataError: as for `predict_shard`; or the cluster cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(package="ray", extra="ray", purpose="--ray") from error
    out = out.absolute()
    manifest = make_manifest(out, sources, settings)
    counts = [count for part in range(len(manifest)) if (count := count_part(manifest, part)) is not None]
    done = {count.part for count in counts}
    missing = [part for part in range(len(manifest)) if part not in done]
    if not missing:
        return shard_result(manifest, counts, shard=(0, 1), written=0)
    options: dict[str, Any] = {"num_cpus": workers} if address == LOCAL and workers else {}
    try:
        ray.init(address=None if address == LOCAL else address, log_to_driver=False, include_dashboard=False, **options)
    except Exception as error:  # Ray raises plain exceptions where a node does not start in time
        raise DataError(
            f"--ray {address}: the cluster cannot be reached ({error}). Use its address, or local."
        ) from error
    try:
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        actors = max(1, min(workers or gpus or int(resources.get("CPU", 1)), len(missing)))
        logger.info("Ray: %d actors predict %d parts, each on a %s", actors, len(missing), "GPU" if gpus else "CPU")
        parts = ray.data.from_items([{"part": part} for part in missing], override_num_blocks=len(missing))
        results = parts.map_batches(
            PartPredictor,
            fn_constructor_args=(load, str(out), tuple(classes), str(Path.cwd())),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_gpus=1 if gpus else None,
            num_cpus=None if gpus else 1,
        )
        for row in results.iter_rows():
            counts.append(PartCount(int(row["part"]), int(row["images"]), int(row["unreadable"])))
            if progress is not None:
                progress(sum(one.images for one in counts), manifest.images)
    finally:
        ray.shutdown()
    return shard_result(manifest, counts, shard=(0, 1), written=len(missing))
