"""Reads Parquet files of the Hugging Face hub: the bytes of images beside a label, whose names the metadata states."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from tlkit.data.decode.formats import EXTENSIONS, detect_format
from tlkit.data.importers.listed_image import DatasetPart, Found, ListedImage, Skipped, distinct, split_of_file
from tlkit.errors import DataError, did_you_mean, first_few
from tlkit.input_files import refuse_pipe
from tlkit.parquet_tables import require_parquet_bounds
from tlkit.samples import DIGEST, LABEL, PATH, SPLIT
from tlkit.stored_values import parse_json

BATCH_ROWS = 64
MOST_IMAGE_BYTES = 1 << 28
"""Largest image, 256 MiB."""
ENDINGS = {found: ending for ending, found in reversed(EXTENSIONS.items())}
RESERVED = {PATH, LABEL, SPLIT, DIGEST, "quarantine", "source"}


def read_parquet_images(sources: Sequence[Path], *, columns: Mapping[str, str] = {}) -> list[DatasetPart]:
    """Return the images of Parquet files as datasets of the Hugging Face hub store them.

    An image is a column of {bytes, path}, or of bytes. Of a column of numbers the metadata `huggingface` states the
    names; text is the label itself, and a list of either is several labels. Other columns of numbers, text and truth
    values come along. The split is the word in the file's name, such as train-00000-of-00002.parquet, else the name of
    a folder, such as train/0000.parquet.

    Args:
        sources: files, or folders of them at any depth.
        columns: names of the columns `image` and `label`, where they are not found by type and name.

    Raises:
        DataError: there is no Parquet file, one is damaged or too large, or has no such column.
    """
    found = {one: sorted(one.rglob("*.parquet")) if one.is_dir() else [one] for one in sources}
    empty = [one for one, some in found.items() if not some]
    if empty:
        raise DataError(f"{empty[0]} holds no Parquet file. Name a file that ends in .parquet, or a folder of them.")
    files = [(file, source if source.is_dir() else None) for source, some in found.items() for file in some]
    above = os.path.commonpath([file.absolute().parent for file, _ in files])
    return [
        _part(
            file,
            f"{number:04d}",
            columns,
            split=split_of_file(file, source),
            name=file.absolute().relative_to(above).as_posix(),
        )
        for number, (file, source) in enumerate(files)
    ]


def _part(file: Path, number: str, columns: Mapping[str, str], *, split: str, name: str) -> DatasetPart:
    refuse_pipe(file, error=DataError)
    try:
        require_parquet_bounds(file)
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file} is no Parquet file that can be read: {error}.") from None
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise DataError(f"{file} has several columns named {twice[0]!r}. Rename them.")
    features = _features(schema)
    image = columns.get("image") or _image_column(schema, features)
    label = columns.get("label") or _label_column(schema, features)
    for what, column in (("image", image), ("label", label)):
        if column not in schema.names:
            found = "" if column is None else f" There is no column {column!r}.{did_you_mean(column, schema.names)}"
            raise DataError(
                f"{file} has no column of the {what}.{found} Its columns are {first_few(schema.names)}. State it: "
                f"--column {what}=NAME."
            )
    assert image is not None and label is not None
    more = [field.name for field in schema if field.name not in (image, label) and _is_plain(field.type)]
    read = _Columns(image, label, _class_names(features.get(label)), _written_names(more))
    return DatasetPart(_entries(file, number, read, split, name))


@dataclass(frozen=True)
class _Columns:
    """The columns of image and label, the names of the classes, and the names in the list of the other columns."""

    image: str
    label: str
    names: Sequence[str]
    more: Mapping[str, str]


def _written_names(names: Sequence[str]) -> dict[str, str]:
    """Return the name of each column in the list of images, whose own names are taken.

    Example:
        >>> _written_names(["path", "original_path", "age"])
        {'path': 'original_original_path', 'original_path': 'original_path', 'age': 'age'}
    """
    written: dict[str, str] = {}
    for name in names:
        own = name
        while own in RESERVED or (own != name and own in names):
            own = f"original_{own}"
        written[name] = own
    return written


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return what the hub's metadata say of each column; nothing where there are none."""
    stored = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = parse_json(stored)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _image_column(schema: pa.Schema, features: Mapping[str, Any]) -> str | None:
    stated = [name for name, one in features.items() if isinstance(one, dict) and one.get("_type") == "Image"]
    structs = [field.name for field in schema if pt.is_struct(field.type) and "bytes" in _fields(field.type)]
    binary = [field.name for field in schema if _is_binary(field.type)]
    return next(iter([*stated, *structs, *binary]), None)


def _label_column(schema: pa.Schema, features: Mapping[str, Any]) -> str | None:
    stated = [name for name in features if _class_names(features[name])]
    usual = [name for name in ("label", "labels", "class", "category") if name in schema.names]
    both = [name for name in usual if name in stated]
    return next(iter([*both, *stated, *usual]), None)


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names of the classes that a column's metadata state; of a list those of its values."""
    while isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _fields(kind: pa.DataType) -> list[str]:
    return [kind.field(place).name for place in range(kind.num_fields)]


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pt.is_string(kind)
        or pt.is_large_string(kind)
        or pt.is_integer(kind)
        or pt.is_floating(kind)
        or pt.is_boolean(kind)
    )


def _entries(file: Path, number: str, columns: _Columns, split: str, name: str) -> Iterator[Found]:
    row = 0
    try:
        wanted = [columns.image, columns.label, *columns.more]
        for batch in pq.ParquetFile(file).iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            for values in batch.to_pylist():
                found = _entry(values, columns, where=f"{name}, row {row}")
                if isinstance(found, ListedImage):
                    found = replace(found, split=split, path=f"{split or 'all'}/{number}-{row:07d}{found.path}")
                yield found
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is damaged after row {row}: {error}.") from None


def _entry(values: Mapping[str, Any], columns: _Columns, *, where: str) -> Found:
    """Return the image of a row, its path the ending alone."""
    stored = values[columns.image]
    content, stated = (stored.get("bytes"), stored.get("path")) if isinstance(stored, dict) else (stored, None)
    if not isinstance(content, bytes) or not content:
        return Skipped(where, "its image is a file elsewhere" if stated else "it has no image")
    if len(content) > MOST_IMAGE_BYTES:
        return Skipped(where, f"its image is larger than {MOST_IMAGE_BYTES >> 20} MiB")
    found = detect_format(content)
    if found is None:
        return Skipped(where, "its image is of no format that is read")
    labels = _labels(values[columns.label], columns.names)
    if isinstance(labels, str):
        return Skipped(where, labels)
    more = {written: _text(values[one]) for one, written in columns.more.items()}
    if isinstance(stated, str) and stated:
        more["source"] = stated
    return ListedImage(ENDINGS.get(found, f".{found.lower().replace(' ', '')}"), labels, content, columns=more)


def _labels(value: Any, names: Sequence[str]) -> tuple[str, ...] | str:
    """Return the labels of a row, or why it has none."""
    labels = []
    for one in value if isinstance(value, list) else [value]:
        if one is None or one == "" or (names and one == -1):
            continue
        if names and isinstance(one, int):
            if not 0 <= one < len(names):
                return "its label has no name in the metadata"
            labels.append(names[one])
        elif isinstance(one, str | int):
            labels.append(str(one))
        else:
            return f"its label is no number and no text, but {type(one).__name__}"
    return distinct(labels) or "it has no label"


def _text(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)
