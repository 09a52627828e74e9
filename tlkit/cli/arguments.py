"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tlkit.choices import Annotations, ListedTask, Task
from tlkit.cli.completion import complete_override, complete_run

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Context settings of commands that take overrides: `--data.batch_size=64` is one."""

RecipePath = Annotated[Path, typer.Argument(help="A recipe, such as recipes/quickstart.yaml.")]
OverrideArguments = Annotated[
    list[str] | None,
    typer.Argument(help="Changes to the recipe, such as train.epochs=3.", autocompletion=complete_override),
]
RunPath = Annotated[Path, typer.Argument(help="A run directory, such as runs/quickstart.", autocompletion=complete_run)]
ModelPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_FILE",
        help="A run directory, or an exported file such as model.onnx.",
        autocompletion=complete_run,
    ),
]
FrozenRunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run directory, preferably of a frozen backbone.", autocompletion=complete_run
    ),
]
RunOrFile = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_FILE",
        help="A run directory, or a CSV or Parquet file of predictions.",
        autocompletion=complete_run,
    ),
]
SplitOption = Annotated[str | None, typer.Option(help="Split to judge; default: test, or val where there is no test.")]
GroupsFile = Annotated[
    Path | None,
    typer.Option("--groups", help="CSV or Parquet file of group columns, and of y_true, keyed by path, to join."),
]
TrueColumn = Annotated[
    str, typer.Option("--y-true", help="Column of the true classes, in a file of predictions or of --groups.")
]
PredColumn = Annotated[str, typer.Option("--y-pred", help="Column of the predicted classes.")]
PathColumn = Annotated[str, typer.Option("--path", help="Column of the images' paths, in a file of predictions.")]
Verbatim = Annotated[
    bool, typer.Option("--verbatim", help="Keep classes and groups of files as written; else 7, 7.0 and '7 ' are one.")
]
ListFolder = Annotated[
    Path | None, typer.Option("--root", help="Folder of the paths in a list; default: the list's own.")
]
ListColumns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Another name of a list's column, such as path=image or label=emotion; repeat it."),
]
ListAnnotations = Annotated[
    Annotations, typer.Option(help="majority or soft = a list's rows are labels of several annotators.")
]
ListTask = Annotated[
    ListedTask,
    typer.Option("--task", help="What is said of an image: multiclass, multilabel, ordinal, regression, segmentation."),
]
ListLabelColumns = Annotated[
    list[str] | None, typer.Option("--label-column", help="With --task multilabel: a column of 1 and 0; repeat it.")
]
ListMasks = Annotated[
    Path | None,
    typer.Option(
        "--masks", help="Segmentation: folder of the masks of a folder of images; a list names them in label."
    ),
]
ListSeparator = Annotated[
    str | None, typer.Option("--separator", help="With --task multilabel: what stands between labels.")
]
ListGrades = Annotated[
    str | None,
    typer.Option("--grades", help="With --task ordinal: the grades from the lowest on, such as none,mild,severe."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
MOST = 1_000_000_000
"""Largest count that an option takes, as in recipes."""
MOST_SEED = 2**32 - 1
MOST_REPEATS = 1000
"""Most folds, repetitions and clusters, each of which takes a fit."""
FoldsOption = Annotated[int, typer.Option(min=2, max=MOST_REPEATS, help="Folds of the cross-validation.")]
OverwriteRun = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run of this name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
WEIGHTS_HELP = "The model is a name of timm, with the head of these weights: hub, pip:PACKAGE, file:PATH, hf-hub:REPO."
WeightsOption = Annotated[str | None, typer.Option("--weights", "--model-weights", help=WEIGHTS_HELP)]
ModelWeightsOption = Annotated[str | None, typer.Option("--model-weights", help=WEIGHTS_HELP)]
"""For `audit`, whose `--weights` is a column."""
LabelledImages = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="For an exported file, or --model-weights: a folder of class folders, a list or a shard to predict.",
    ),
]
DataFolder = Annotated[
    Path | None, typer.Option("--root", help="With --data LIST: folder of its paths; default: the list's own.")
]
DataColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="With --data LIST: another name of its column, such as path=image or label=emotion; repeat it."
    ),
]
DataLabelColumns = Annotated[
    list[str] | None,
    typer.Option("--label-column", help="With --data LIST, several labels: a column of 1 and 0; repeat it."),
]
LabelClasses = Annotated[
    list[str] | None,
    typer.Option("--class", help="With --data: the model's class of a label, such as ants=ant; repeat it."),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        help="Task of a file: multiclass, multilabel, ordinal, regression, segmentation, detection; default: what "
        "tlkit wrote in it."
    ),
]
ValFile = Annotated[
    Path | None,
    typer.Option(
        "--val",
        help="Predictions of val: several labels get thresholds chosen there, numbers intervals of that coverage.",
    ),
]
Grades = Annotated[
    str | None,
    typer.Option("--grades", help="Ordinal: names of the grades from the lowest on, such as none,mild,severe."),
]
LabelSeparator = Annotated[
    str | None,
    typer.Option("--separator", help="Multilabel: what stands between the labels of a cell; default: a semicolon."),
]
TruthFile = Annotated[
    Path | None,
    typer.Option(
        "--truth",
        help="Detection: true boxes, a JSON file in COCO's format; the file is a list. Segmentation: the folder of the "
        "true masks; the file is the folder of the predicted ones.",
    ),
]
MinScore = Annotated[
    float | None, typer.Option("--min-score", min=0, max=1, help="Detection: smallest score in recall; default: 0.5.")
]
MaskNames = Annotated[
    str | None,
    typer.Option(
        "--classes", help="Segmentation: names of the classes from the number 0 on, or with numbers: road=7,car=26."
    ),
]
VoidNumber = Annotated[
    int | None, typer.Option("--void", min=0, max=65535, help="Segmentation: number of the pixels that count nowhere.")
]
Details = Annotated[
    bool, typer.Option("--details", "--verbose", "-v", help="Print every table and log line, not only the summary.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Let --html replace a file that this command did not write.")
]
