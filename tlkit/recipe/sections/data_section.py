"""The section `data` of a recipe: where images come from, how they are split, and how they are brought to size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlkit.choices import OnLeak
from tlkit.preprocess import MAX_PIXELS, Decode, Resize
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class DataSection(Section):
    """Where the images are, how they are split, and how they are brought to size."""

    root: Annotated[v.Text | v.Folders, Expected("the path of a folder of images, such as data/pets", text=True)] = (
        Field(
            (),
            description="Folder of images, one folder per class, with or without train/val/test folders above them; "
            "relative to the working directory. A list of folders is merged by class name. With `manifest`: the folder "
            "that its paths are relative to.",
            examples=["data/pets"],
        )
    )
    manifest: Annotated[v.OptionalText, Expected("the path of a CSV or Parquet file, or null for none", text=True)] = (
        Field(
            None,
            description="CSV or Parquet file of images instead of a folder, with columns path and label, and split "
            "where wanted; null = none.",
        )
    )
    shards: Annotated[
        v.Text | v.Shards, Expected("the path or pattern of tar files, such as data/train-{000..009}.tar", text=True)
    ] = Field(
        (),
        description="Tar files in WebDataset's format instead of a folder: paths, or patterns with {000..009}, {a,b} "
        "or *; the class from .cls, .json or .txt members, the split from the name (train-000.tar).",
        examples=["data/train-{000..009}.tar"],
    )
    shuffle_buffer: Annotated[v.Count | None, Expected("a whole number of at least 1, or null for all images")] = Field(
        None,
        description="Read tar shards front to back, in a new order every epoch, and shuffle within so many images, at "
        "least 1: for shards larger than the memory, on disks that are faster when read in order; null = shuffle all.",
    )
    metadata: Annotated[v.OptionalText, Expected("the path of a CSV file, or null for none", text=True)] = Field(
        None, description="CSV file keyed by a column `path`; relative to `root` unless absolute; null = none."
    )
    groups: Annotated[v.GroupColumns, Expected("a list of columns of the metadata, such as [age, sex]")] = Field(
        (), description="Columns of the metadata (or of the manifest) to carry beside each image, for the audit."
    )
    split: Annotated[v.OptionalText, Expected("the path of a CSV file, or null for none", text=True)] = Field(
        None,
        description="CSV file that says which split each image belongs to, as `tlkit data split` writes it; the images "
        "must be as they were then; null = as below.",
    )
    quarantine: Annotated[v.OptionalText, Expected("the path of a CSV file, or null for none", text=True)] = Field(
        None,
        description="Manifest from `tlkit data doctor ROOT --fix FILE`, relative to the working directory; the images "
        "that it quarantines are left out; null = none.",
    )
    label_corrections: Annotated[v.Text | v.Files, Expected("the path of a CSV file, or a list of them", text=True)] = (
        Field(
            (),
            description="File of decisions from `tlkit data labels RUN --out FILE`, relative to the working directory, or "
            "a list of such files: images are relabelled or dropped as it says, after the split.",
            examples=["labels.csv"],
        )
    )
    val: v.HeldOut = Field(
        0.2, description="Share of the training images held out for validation where there is no val folder, 0–0.9."
    )
    test: v.HeldOut = Field(
        0.0, description="Share of the training images held out for testing where there is no test folder, 0–0.9."
    )
    stratify: v.Switch = Field(True, description="Keep each class's share alike in every split that is held out.")
    group_by: Annotated[v.OptionalText, Expected("a column of the metadata, or null for none", text=True)] = Field(
        None,
        description="Column of the metadata (or of the manifest) whose values never lie on two sides of a split, such "
        "as patient; null = none.",
    )
    time_column: Annotated[v.OptionalText, Expected("a column of the metadata, or null for none", text=True)] = Field(
        None,
        description="Column of dates or numbers by which the latest images are held out, test after val; null = none.",
    )
    folds: Annotated[v.AtLeastTwo | None, Expected("a whole number of at least 2, or null for no folds")] = Field(
        None,
        description="Number of folds that the training images are dealt into, at least 2; one of them is the test "
        "split, or val where there is a test split; null = no folds.",
    )
    fold: v.Whole = Field(0, description="Which of the folds is held out, from 0 to folds - 1.")
    on_leak: OnLeak = Field(
        "warn",
        description="What to do about val and test images that are in training as well, also resized, saved again, "
        "mirrored or turned: warn (and give scores with and without them), drop (train without the copies) or error.",
    )
    batch_size: v.Count = Field(32, description="Images per step, at least 1.")
    num_workers: Annotated[v.Whole | Literal["auto"], Expected("a whole number of at least 0, or auto")] = Field(
        "auto", description="Processes that decode images beside the main one, at least 0; auto = by the machine."
    )
    image_size: Annotated[
        v.Count | tuple[v.Count, v.Count] | None,
        Expected("a whole number of pixels such as 224, [height, width], or null for the backbone's own"),
    ] = Field(
        None, description="Side, or [height, width], of the backbone's input in pixels; null = the backbone's own."
    )
    resize: Annotated[Resize | None, Expected("crop, letterbox or squash, or null for the backbone's own")] = Field(
        None,
        description="crop = scale the shorter side and cut the centre; letterbox = pad; squash = ignore the aspect; "
        "null = the backbone's own.",
    )
    crop_pct: Annotated[v.UpToOne | None, Expected("a number above 0 and up to 1, or null for the backbone's own")] = (
        Field(
            None,
            description="Share of the scaled image that the centre crop keeps, above 0 and up to 1; "
            "null = the backbone's own; for resize: crop only.",
        )
    )
    background: Annotated[
        tuple[v.Byte, v.Byte, v.Byte], Expected("three whole numbers from 0 to 255, such as [255, 255, 255]")
    ] = Field(
        (255, 255, 255),
        description="RGB colour, 0–255 each, that shows through transparent pixels and fills a letterbox.",
    )
    decode: Decode = Field(
        "reduced",
        description="reduced = a JPEG that is much larger than the backbone's input is scaled by its decoder first, "
        "never below twice the size that it then gets; full = every pixel is decoded. Stored with the model.",
    )
    max_pixels: v.Count = Field(
        MAX_PIXELS, description="Images with more pixels than this are set aside as decompression bombs, at least 1."
    )
