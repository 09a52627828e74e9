"""`tlkit predict --shard` and `--ray`: predictions as the parts of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.choices import PredictEngine, Views
from tlkit.cli.model_source import ExportedFile, ModelSource
from tlkit.cli.output import image_progress, print_tables
from tlkit.errors import DataError
from tlkit.output_files import require_folder

TABLES = (".csv", ".parquet", ".jsonl")
"""What the name of a file of predictions ends in."""


def is_batch(
    *, shard: str | None, ray: str | None, part_size: int | None, out: Path | None, other: Sequence[str]
) -> bool:
    """Return whether predictions are to be written as parts; `other` names options that do not go with it.

    Raises:
        DataError: the options contradict each other, or the folder cannot be written.
    """
    if shard is None and ray is None:
        if part_size is not None:
            raise DataError("--part-size is for --shard i/n and --ray ADDRESS, which write parts. Add one of them.")
        return False
    name = "--shard" if ray is None else "--ray"
    problems = []
    if shard is not None and ray is not None:
        problems.append("--shard and --ray are two ways to share the work. Use one of them.")
    if out is None or out.suffix.lower() in TABLES or out.is_file():
        problems.append(f"{name} writes parts into a folder, but --out is {out}. Name a folder, such as --out scores.")
    if other:
        problems.append(
            f"{', '.join(other)} cannot be used with {name}. Predict without, or judge the folder after it."
        )
    if problems:
        raise DataError(*problems)
    assert out is not None, "checked above"
    require_folder(out, name="--out")
    return True


def predict_parts(
    model: ModelSource | ExportedFile,
    paths: list[Path],
    out: Path,
    *,
    tta: Views,
    shard: str | None,
    ray: str | None,
    part_size: int | None,
    engine: PredictEngine,
) -> None:
    """Predict images as parts, and print what is done; an exported file has an engine of its own."""
    from tlkit.cli.allocator import keep_freed_memory
    from tlkit.inference.batch.batch_manifest import PART_IMAGES
    from tlkit.inference.batch.predict_shard import batch_settings, parse_shard, predict_shard

    place = parse_shard(shard) if shard is not None else (0, 1)
    keep_freed_memory()
    digest, classes = model.identity()
    size = PART_IMAGES if part_size is None else part_size
    engine = model.engine if isinstance(model, ExportedFile) else engine
    settings = batch_settings(digest, classes, tta=tta, part_images=size, engine=engine)
    load = model.load
    with image_progress("predicting images") as progress:
        if ray is not None:
            from tlkit.inference.batch.ray_engine import predict_on_ray

            result = predict_on_ray(
                load, paths, out, address=ray, settings=settings, classes=classes, progress=progress
            )
        else:
            result = predict_shard(load, paths, out, settings=settings, classes=classes, shard=place, progress=progress)
    print_tables(result.tables())
