"""Lightning's verbs in a user's own script for labels, grades, numbers and masks; facts come from the data module."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from mask_images import CLASSES, write_mask_images
from messages import says
from sklearn.metrics import log_loss, mean_absolute_error
from task_images import write_task_images

import tlkit
from tlkit.data import Source
from tlkit.data.sources.list_options import ListOptions
from tlkit.errors import ModelError
from tlkit.mask_classes import MaskClasses
from tlkit.models.backbone import create_backbone
from tlkit.models.mask_decoder import DecoderFacts

OPTIONS = {
    "multilabel": ListOptions(task="multilabel"),
    "regression": ListOptions(task="regression", names={"label": "bright"}),
    "ordinal": ListOptions(task="ordinal", names={"label": "many"}, grades=["none", "one", "two"]),
    "multiclass": ListOptions(names={"label": "many"}),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images whose column `bright` holds numbers of about 100,000."""
    root = write_task_images(tmp_path_factory.mktemp("task"))
    table = pd.read_csv(root / "list.csv")
    table.assign(bright=table["bright"] * 1e4).to_csv(root / "list.csv", index=False)
    return root


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return create_backbone("test_resnet", weights="none", image_size=(32, 32))


@pytest.fixture
def data(root, backbone):
    def make(task, **options):
        source = Source(root=root, manifest=root / "list.csv", options=OPTIONS[task], check=False)
        given = {"preprocess": backbone.preprocess, "batch_size": 16, "num_workers": 0, "augment": None}
        return tlkit.ImageFolderDataModule(source, **given | options)

    return make


@pytest.fixture
def script(tmp_path):
    def make(epochs=1):
        quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        return pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, default_root_dir=tmp_path, **quiet)

    return make


def joined(predictions, key):
    return np.concatenate([batch[key].numpy() for batch in predictions])


def test_numbers_are_learnt_in_the_scale_of_the_data_module(data, backbone, script, tmp_path):
    numbers, trainer = data("regression"), script(8)
    train = {"learning_rate": 0.01, "ema_decay": 0.5}
    classifier = tlkit.Classifier(backbone, task="regression", strategy="full", train=train)
    trainer.fit(classifier, datamodule=numbers)
    own = numbers.samples.split("train").target_values
    np.testing.assert_allclose(classifier.facts().target_scale, [own.mean(), own.std()], rtol=1e-5)
    [figures] = trainer.test(classifier, datamodule=numbers, verbose=False)
    predictions = trainer.predict(classifier, datamodule=numbers)
    error = mean_absolute_error(joined(predictions, "target"), joined(predictions, "y_pred"))
    assert figures["test_mae"] == pytest.approx(error, rel=1e-5)
    assert error < 0.8 * np.abs(joined(predictions, "target") - np.median(own)).mean()  # of the best constant
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = tlkit.Classifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    untold = tlkit.Classifier(backbone, task="regression", strategy="full", train=train)
    images = torch.utils.data.DataLoader(torch.stack([torch.full((3, 32, 32), one) for one in (-1.0, 1.0)]))
    wanted = joined(script().predict(classifier, images), "y_pred")
    np.testing.assert_array_equal(joined(script().predict(again, images), "y_pred"), wanted)
    loaded = script().predict(untold, images, ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    np.testing.assert_array_equal(joined(loaded, "y_pred"), wanted)


def test_a_stated_scale_is_kept(data, backbone, script):
    classifier = tlkit.Classifier(backbone, task="regression", target_scale=(5.0, 2.0), train={"learning_rate": 0.01})
    script().validate(classifier, datamodule=data("regression"), verbose=False)
    assert classifier.facts().target_scale == (5.0, 2.0)


@pytest.mark.parametrize("task", ["multilabel", "ordinal"])
def test_labels_and_grades_take_every_verb(task, data, backbone, script):
    images, trainer = data(task), script()
    classifier = tlkit.Classifier(backbone, task=task, train={"learning_rate": 0.1})
    trainer.fit(classifier, datamodule=images)
    [validated] = trainer.validate(classifier, datamodule=images, verbose=False)
    [tested] = trainer.test(classifier, datamodule=images, verbose=False)
    predictions = trainer.predict(classifier, datamodule=images)
    proba, target = joined(predictions, "proba"), joined(predictions, "target")
    if task == "multilabel":
        wanted = np.mean([log_loss(target[:, one], proba[:, one]) for one in range(2)])
    else:
        wanted = log_loss(target, proba, labels=[0, 1, 2])
        error = mean_absolute_error(target, joined(predictions, "y_pred"))
        assert tested["test_mae"] == pytest.approx(error, abs=1e-6)
    assert tested["test_loss"] == pytest.approx(wanted, rel=1e-4) and validated["val_loss"] != tested["test_loss"]


@pytest.mark.parametrize(
    ("of_data", "of_classifier"),
    [("multilabel", "multiclass"), ("ordinal", "multiclass"), ("multiclass", "regression")],
)
@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_images_of_another_task_are_refused(of_data, of_classifier, verb, data, backbone, script):
    with pytest.raises(ModelError) as error:
        getattr(script(), verb)(tlkit.Classifier(backbone, task=of_classifier), datamodule=data(of_data))
    assert says(error.value, of_data, of_classifier, f'task="{of_data}"')


def test_masks_give_their_numbers_to_the_stored_model(tmp_path, script):
    pytest.importorskip("segmentation_models_pytorch")
    root = write_mask_images(tmp_path / "photos")
    masks = MaskClasses.of(dict(zip(CLASSES, (0, 1, 2), strict=True)), void=255)
    options = ListOptions(task="segmentation", masks=masks, mask_folder=str(root / "masks"))
    backbone = create_backbone("test_resnet", weights="none", image_size=(64, 64))
    scenes = tlkit.ImageFolderDataModule(
        Source(root=root, options=options), preprocess=backbone.preprocess, batch_size=8, num_workers=0, augment=None
    )
    classifier, trainer = tlkit.Classifier(backbone, task="segmentation", train={"learning_rate": 0.01}), script()
    trainer.fit(classifier, datamodule=scenes)
    assert classifier.facts().decoder == {"kind": "unet", "channels": 256, "values": [0, 1, 2], "void": 255}
    assert classifier.hparams["decoder"]["void"] == 255
    [tested] = trainer.test(classifier, datamodule=scenes, verbose=False)
    predictions = trainer.predict(classifier, datamodule=scenes)
    assert joined(predictions, "y_pred").shape == (16, 64, 64) and 0 <= tested["test_iou"] <= 1
    other = tlkit.Classifier(backbone, task="segmentation", decoder=DecoderFacts(values=(0, 128, 255)))
    with pytest.raises(ModelError) as error:
        trainer.validate(other, datamodule=scenes)
    assert says(error.value, "(0, 128, 255)", "(0, 1, 2)")


def test_shares_of_annotators_are_the_targets(tmp_path, root, backbone, script):
    table = pd.read_csv(root / "list.csv")
    twice = pd.concat([table, table.iloc[:20].assign(many="none")])  # a second annotator of 20 training images
    twice.to_csv(tmp_path / "list.csv", index=False)
    options = ListOptions(names={"label": "many"}, annotations="soft")
    source = Source(root=root, manifest=tmp_path / "list.csv", options=options, check=False)
    given = {"preprocess": backbone.preprocess, "batch_size": 16, "num_workers": 0, "augment": None}
    images = tlkit.ImageFolderDataModule(source, **given)
    classifier = tlkit.Classifier(backbone, train={"learning_rate": 0.1})
    script().fit(classifier, datamodule=images)
    train = images.samples.split("train")
    np.testing.assert_array_equal(classifier.soft.numpy(), train.label_shares)
    assert (classifier.soft.max(dim=1).values == 0.5).sum() > 5
