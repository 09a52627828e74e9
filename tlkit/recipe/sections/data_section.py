"""The section `data` of a recipe: source, split and size of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tlkit.choices import (
    ANNOTATIONS,
    BATCH_SIZE,
    IMAGE_CACHE,
    IMAGE_CACHE_LIMIT_GB,
    LABEL_SEPARATOR,
    TEST_SHARE,
    VAL_SHARE,
    Annotations,
    DatasetName,
    ImageCacheUse,
    OnLeak,
)
from tlkit.mask_classes import MOST_VALUE, MaskClasses
from tlkit.preprocess import MAX_PIXELS, Decode, Resize
from tlkit.recipe import value_types as v
from tlkit.recipe.sections.section import Section
from tlkit.recipe.value_types import Expected


class DataSection(Section):
    """Source, split and size of the images."""

    name: Annotated[DatasetName | None, Expected("a dataset that `tlkit data gallery` lists, or null for none")] = (
        Field(
            None,
            description="Dataset of installed packages, as `tlkit data gallery` lists them, instead of a folder; it is "
            "made once, in the cache folder, and its group columns come with it; null = none.",
            examples=["fashion-mnist"],
        )
    )
    root: Annotated[v.Text | v.Folders, Expected("the path of a folder of images, such as data/pets", text=True)] = (
        Field(
            (),
            description="Folder of images, one folder per class, with or without train/val/test folders above them; "
            "relative to the working directory. A list of folders is merged by class name. With `manifest`: the "
            "folder that its paths are relative to.",
            examples=["data/pets"],
        )
    )
    manifest: Annotated[v.OptionalText, Expected("the path of a CSV or Parquet file, or null for none", text=True)] = (
        Field(
            None,
            description="CSV or Parquet file of images instead of a folder, with columns path, label and, optionally, "
            "split; null = none.",
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
    shuffle_buffer: Annotated[
        v.Count | None, Expected(f"a whole number of at least 1, up to {v.MOST:,}, or null for all images")
    ] = Field(
        None,
        description="Images in the shuffle buffer, at least 1: tar shards are read in sequence, in a new order every "
        "epoch. For shards larger than the memory, on disks that are faster in sequential reads; null = shuffle all "
        "images.",
    )
    metadata: v.OptionalCsv = Field(
        None,
        description="CSV file keyed by a column `path`; looked for in `root`, then in the working directory. "
        "null = none.",
    )
    groups: Annotated[v.GroupColumns, Expected("a list of columns of the metadata, such as [age, sex]")] = Field(
        (), description="Columns of the metadata (or of the manifest) to keep with each image, for the audit."
    )
    columns: Annotated[
        Mapping[Literal["path", "label", "split"], v.Text],
        Expected("the names of the columns path, label and split in your files, such as {path: image, label: emotion}"),
    ] = Field(
        {},
        description="Names of the columns path, label and split in the manifest and the metadata, where they have "
        "others; empty = these.",
        examples=[{"path": "image", "label": "emotion"}],
    )
    verbatim: v.Switch = Field(
        False,
        description="Whether labels and columns are kept as they are written; else spellings of one value are one: "
        "white space, Unicode form, equal numbers (7, 7.0); what is merged is logged.",
    )
    merge_classes: Annotated[
        Mapping[str, Annotated[tuple[v.Text, ...], Field(min_length=1)]],
        Expected("lists of classes by the class that they are read as, such as {anger: [ANGER, Anger]}"),
    ] = Field(
        {},
        description="Classes that are read as another one, by its name: {anger: [ANGER, Anger]}; empty = none.",
        examples=[{"anger": ["ANGER", "Anger"]}],
    )
    annotations: Annotations = Field(
        ANNOTATIONS,
        description="What several rows of the manifest for one image are: one = an error; majority = labels of several "
        "annotators, of which the most frequent counts; images with a tie are left out; soft = the same, and the "
        "training target is the share of the annotators for each class, so that only images of val and test with a tie "
        "are left out. `agreement` in data.groups is the share of "
        "the annotators who gave the label.",
    )
    label_separator: v.Text = Field(
        LABEL_SEPARATOR,
        description="Separator of several labels in the column label of the manifest, for task: multilabel only; an "
        "empty cell means none of the labels.",
    )
    label_columns: Annotated[v.Names, Expected("a list of columns, one for each label, such as [cat, dog]")] = Field(
        (),
        description="Columns of the manifest that hold 1 or 0 for one label each, in place of the column label, for "
        "task: multilabel only; empty = the column label.",
        examples=[["cat", "dog"]],
    )
    grades: Annotated[v.Names, Expected("a list of grades from the lowest on, such as [none, mild, severe]")] = Field(
        (),
        description="Grades from the lowest on, for task: ordinal only; empty = they are numbers, in their order.",
        examples=[["none", "mild", "severe"]],
    )
    masks: Annotated[v.OptionalText, Expected("the path of a folder of masks, or null for none", text=True)] = Field(
        None,
        description="Folder of masks, for task: segmentation only; relative to the working directory: a PNG file with "
        "the path of each image of `root` and the ending .png. Of a manifest, the column label names the masks; null = "
        "none.",
        examples=["data/streets/masks"],
    )
    boxes: Annotated[v.OptionalText, Expected("the path of a JSON file in COCO's format, or null", text=True)] = Field(
        None,
        description="JSON file of boxes in COCO's format (images, annotations, categories), for task: detection only; "
        "relative to the working directory. Its file names are below `root`. Of a manifest, the column label "
        "holds them as JSON; null = none.",
        examples=["data/streets/instances.json"],
    )
    mask_classes: Annotated[
        Mapping[v.Text, Annotated[int, Field(strict=True, ge=0, le=MOST_VALUE)]] | v.Names,
        Expected("a list of classes, such as [background, cat], or their numbers in the masks, such as {road: 7}"),
    ] = Field(
        (),
        description="Classes of the pixels of masks, for task: segmentation, which needs it: a list in the order of "
        "their numbers from 0, or a mapping of each class to its number, 0 to 65,535.",
        examples=[["background", "cat"], {"background": 0, "cat": 255}],
    )
    void: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=MOST_VALUE)] | None,
        Expected("a whole number from 0 to 65,535, or null for none"),
    ] = Field(
        None,
        description="Number of the pixels of masks that count nowhere, for task: segmentation only, such as 255; "
        "null = there are none, and other numbers than those of the classes are an error.",
    )
    split: v.OptionalCsv = Field(
        None,
        description="CSV file with the split of each image, as `tlkit data split` writes it; the images must be "
        "unchanged since then; null = split by the keys below.",
    )
    quarantine: v.OptionalCsv = Field(
        None,
        description="Manifest from `tlkit data doctor ROOT --fix FILE`, relative to the working directory; the images "
        "that it quarantines are excluded; null = none.",
    )
    label_corrections: Annotated[
        v.Text | v.CsvFiles, Expected("the path of a CSV file, or a list of them", text=True)
    ] = Field(
        (),
        description="CSV file of decisions from `tlkit data labels RUN --out FILE`, relative to the working "
        "directory, or a list of such files: after the split, images are relabelled or dropped by these "
        "decisions.",
        examples=["labels.csv"],
    )
    val: v.HeldOut = Field(
        VAL_SHARE,
        description="Share of the training images held out for validation where there is no val folder, 0–0.9.",
    )
    test: v.HeldOut = Field(
        TEST_SHARE,
        description="Share of the training images held out for testing where there is no test folder, 0–0.9.",
    )
    stratify: v.Switch = Field(True, description="Whether every held-out split has the same class proportions.")
    group_by: v.OptionalColumn = Field(
        None,
        description="Column of the metadata (or of the manifest) whose values never lie in two splits, such as "
        "patient; null = none.",
    )
    time_column: v.OptionalColumn = Field(
        None,
        description="Column of dates or numbers by which the latest images are held out, test after val; null = none.",
    )
    folds: Annotated[
        v.AtLeastTwo | None, Expected("a whole number of at least 2, up to 1,000, or null for no folds")
    ] = Field(
        None,
        description="Number of folds of the training images, at least 2; one of them is the test split, or val where "
        "there is a test split; null = no folds.",
    )
    fold: v.Whole = Field(0, description="Index of the fold that is held out, from 0 to folds - 1.")
    on_leak: OnLeak = Field(
        "warn",
        description="What to do about val and test images that are also in an earlier split, as they are or resized, "
        "saved again, mirrored or rotated: warn (and report scores with and without them), drop (train without the "
        "copies) or error.",
    )
    batch_size: v.PerStep = Field(BATCH_SIZE, description="Images per step, 1 to 65,536.")
    num_workers: Annotated[
        v.Workers | Literal["auto"], Expected("a whole number of at least 0, up to 1,024, or auto")
    ] = Field("auto", description="Worker processes that decode images, at least 0; auto = by the machine.")
    image_cache: Annotated[ImageCacheUse, Expected("auto or never")] = Field(
        IMAGE_CACHE,
        description="auto = images that several epochs read are decoded once: their pixels, bit for bit what the "
        "augmentation reads anyway, are kept in the cache folder and mapped into memory; never = every epoch decodes.",
    )
    image_cache_limit_gb: v.Positive = Field(
        IMAGE_CACHE_LIMIT_GB,
        description="Gigabytes that decoded images may take, above 0, and never more than half of the free disk; of a "
        "larger dataset a fixed part is kept; of other datasets the least recently used images go first.",
    )
    image_size: v.InputSize = Field(
        None, description="Side, or [height, width], of the backbone's input in pixels; null = the backbone's own."
    )
    resize: Annotated[Resize | None, Expected("crop, letterbox or squash, or null for the backbone's own")] = Field(
        None,
        description="crop = scale the shorter side and crop the center; letterbox = pad; squash = ignore the aspect "
        "ratio; null = the backbone's own.",
    )
    crop_pct: Annotated[v.CropShare | None, Expected("a number from 0.05 to 1, or null for the backbone's own")] = (
        Field(
            None,
            description="Share of the scaled image that the center crop keeps, 0.05–1; null = the "
            "backbone's own; for resize: crop only.",
        )
    )
    background: Annotated[
        tuple[v.Byte, v.Byte, v.Byte] | None,
        Expected("three whole numbers from 0 to 255, such as [255, 255, 255], or null for the backbone's own"),
    ] = Field(
        None,
        description="RGB color, 0–255 each, behind transparent pixels and around a letterboxed image; null = the "
        "backbone's own: white, or the run's with weights of a run.",
    )
    decode: Annotated[Decode | None, Expected("reduced or full, or null for the backbone's own")] = Field(
        None,
        description="reduced = the decoder scales a JPEG that is much larger than the backbone's input, never below "
        "twice its final size; full = every pixel is decoded; null = the backbone's own: reduced, or the run's with "
        "weights of a run. Stored with the model.",
    )
    max_pixels: v.Count = Field(
        MAX_PIXELS, description="Images with more pixels than this are excluded as decompression bombs, at least 1."
    )

    @property
    def pixel_classes(self) -> MaskClasses:
        """The classes of pixels and their numbers in masks; a ValueError where they are none."""
        return MaskClasses.of(self.mask_classes, void=self.void)

    @property
    def source_name(self) -> str:
        """The name, list, shards or folders of the images, as the recipe states them."""
        given = self.name or self.manifest or self.shards or self.root
        return given if isinstance(given, str) else ", ".join(given)
