"""Classifier and data module in a user's own Lightning script: every verb, callbacks, one source for each number."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from messages import saying, says
from pytorch_lightning.callbacks import BatchSizeFinder, EarlyStopping, LearningRateFinder, ModelCheckpoint
from sklearn.metrics import accuracy_score, log_loss
from torch.utils.data import DataLoader

import tlkit
from tlkit.data import Source
from tlkit.errors import ModelError, RecipeError
from tlkit.models.backbone import create_backbone

SIZE = (32, 32)
OTHER_CALLBACKS = pytest.mark.filterwarnings(
    "ignore:Be aware that when using `ckpt_path`, callbacks", "ignore:The dirpath has changed"
)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return create_backbone("test_resnet", weights="none", image_size=SIZE)


@pytest.fixture
def data(image_folder, backbone):
    root = image_folder(train=12, val=4, test=9)
    return tlkit.ImageFolderDataModule(
        Source(root=root, check=False), preprocess=backbone.preprocess, batch_size=8, num_workers=0, augment=None
    )


@pytest.fixture
def script(tmp_path):
    def make(*callbacks, **options):
        return pl.Trainer(
            **{"max_epochs": 1, "accelerator": "cpu", "logger": False, **options},
            enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
            callbacks=list(callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )

    return make


def joined(predictions, key):
    return np.concatenate([batch[key].numpy() for batch in predictions])


@OTHER_CALLBACKS
def test_every_verb_works_and_agrees_with_scikit_learn(data, backbone, script, tmp_path):
    kept = ModelCheckpoint(tmp_path / "kept", monitor="val_accuracy", mode="max", filename="best")
    trainer = script(kept, EarlyStopping("val_loss"), max_epochs=3)
    classifier = tlkit.Classifier(backbone, strategy="full", train={"learning_rate": 0.01})
    trainer.fit(classifier, datamodule=data)
    assert classifier.classes == data.classes == ("blue", "red")

    logged = trainer.test(classifier, datamodule=data, ckpt_path="best", verbose=False)[0]
    predictions = trainer.predict(classifier, datamodule=data, ckpt_path="best")
    test = data.samples.split("test")
    index, proba = joined(predictions, "index"), joined(predictions, "proba")
    assert index.tolist() == list(range(18)) and proba.shape == (18, 2)
    assert joined(predictions, "target").tolist() == test.targets[index].tolist()
    assert joined(predictions, "y_pred").tolist() == proba.argmax(axis=1).tolist()
    assert logged["test_accuracy"] == pytest.approx(accuracy_score(test.targets, joined(predictions, "y_pred")))
    assert logged["test_loss"] == pytest.approx(
        log_loss(test.targets, proba / proba.sum(axis=1, keepdims=True)), rel=1e-4
    )

    validated = trainer.validate(classifier, datamodule=data, ckpt_path=kept.best_model_path, verbose=False)[0]
    assert validated["val_accuracy"] == pytest.approx(kept.best_model_score.item())

    again = tlkit.Classifier.load_from_checkpoint(kept.best_model_path)
    assert again.classes == data.classes
    same = joined(script().predict(again, datamodule=data), "proba")
    np.testing.assert_allclose(same, proba, atol=1e-6)
    fresh = tlkit.Classifier(backbone)
    assert script().test(fresh, datamodule=data, ckpt_path=kept.best_model_path, verbose=False)[0] == logged


@OTHER_CALLBACKS
def test_a_fit_that_continues_from_a_checkpoint_ends_as_one_that_never_stopped(data, backbone, script, tmp_path):
    def fit(trainer, **options):
        classifier = tlkit.Classifier(backbone, train={"learning_rate": 0.01, "ema_decay": 0.9})
        trainer.fit(classifier, datamodule=data, **options)
        return classifier

    def kept(name):
        return ModelCheckpoint(tmp_path / name, filename="{epoch}", save_top_k=-1)

    whole = fit(script(kept("kept"), max_epochs=4))
    continued = fit(script(kept("others"), max_epochs=4), ckpt_path=tmp_path / "kept" / "epoch=1.ckpt")
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(continued.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_the_average_is_what_is_tested_and_predicted(data, backbone, script):
    classifier = tlkit.Classifier(backbone, train={"learning_rate": 0.1, "ema_decay": 0.99})
    trainer = script()
    trainer.fit(classifier, datamodule=data)
    proba = joined(trainer.predict(classifier, datamodule=data), "proba")
    batches = [batch._replace(image=data.on_after_batch_transfer(batch, 0).image) for batch in data.test_dataloader()]
    with torch.no_grad():
        of = [
            torch.cat([torch.softmax(network(batch.image), 1) for batch in batches]).numpy()
            for network in (classifier.average.network, classifier.network.eval())
        ]
    np.testing.assert_allclose(proba, of[0], atol=1e-6)
    assert np.abs(proba - of[1]).max() > 1e-4


def test_images_without_targets_can_be_predicted(backbone, script):
    classifier = tlkit.Classifier(backbone, classes=["ant", "bee"])
    images = torch.randn(6, 3, *SIZE)
    predictions = script().predict(classifier, DataLoader(images, batch_size=4))
    assert [set(batch) for batch in predictions] == [{"proba", "y_pred"}] * 2
    classifier.eval()
    with torch.no_grad():
        np.testing.assert_allclose(joined(predictions, "proba"), torch.softmax(classifier(images), 1), atol=1e-6)


def test_classes_come_from_the_data_module_or_are_asked_for(data, backbone, script):
    classifier = tlkit.Classifier(backbone, class_weights={"blue": 2.0, "red": 1.0})
    for use in (lambda: classifier(torch.zeros(1, 3, *SIZE)), classifier.facts, classifier.layers):
        with pytest.raises(ModelError) as error:
            use()
        assert says(error.value, "classes", "data module")
    with pytest.raises(ModelError) as error:
        script().fit(classifier, DataLoader(torch.zeros(1)))
    assert says(error.value, "classes", "data module")
    script().fit(classifier, datamodule=data)
    assert classifier.loss.weight.tolist() == [2.0, 1.0] and classifier.facts().classes == ("blue", "red")
    assert classifier.hparams["classes"] == ["blue", "red"]
    with pytest.raises(ModelError, match="class_weights must name each class once"):
        script().fit(tlkit.Classifier(backbone, class_weights={"ant": 1.0}), datamodule=data)
    for classes in (["red", "blue"], ["ant", "bee"]):
        for verb in ("fit", "validate", "test"):
            with pytest.raises(ModelError) as error:
                getattr(script(), verb)(tlkit.Classifier(backbone, classes=classes), datamodule=data)
            assert says(error.value, f"{classes[0]}, {classes[1]}", "blue, red")


def test_other_preprocessing_than_the_backbones_is_warned_about(image_folder, backbone, script, caplog):
    data = tlkit.ImageFolderDataModule(
        image_folder(train=4, val=2), preprocess=backbone.preprocess.replace(mean=(0.1, 0.2, 0.3)), num_workers=0
    )
    script().fit(tlkit.Classifier(backbone), datamodule=data)
    assert says(caplog.messages, "mean", "preprocess=classifier.preprocess")


def test_a_learning_rate_finder_sets_the_rate_that_training_uses(data, backbone, script):
    strategy = {"kind": "full", "backbone_lr_factor": 0.1}
    classifier = tlkit.Classifier(backbone, strategy=strategy, train={"schedule": "constant", "learning_rate": 0.5})
    seen = []

    class Rates(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append({group["name"].split()[0]: group["lr"] for group in trainer.optimizers[0].param_groups})

    data.batch_size = 2  # twelve batches an epoch
    finder = LearningRateFinder(min_lr=1e-5, max_lr=0.1, num_training_steps=24)
    script(finder, Rates(), max_epochs=3).fit(classifier, datamodule=data)
    found = finder.optimal_lr.suggestion()
    assert found != 0.5 and classifier.learning_rate == classifier.settings.learning_rate == found
    assert len(seen) == 36  # the finder leaves out the user's callbacks
    for rates in seen:
        assert rates == {"head": pytest.approx(found), "backbone": pytest.approx(0.1 * found)}


def test_a_batch_size_finder_works(data, backbone, script):
    classifier = tlkit.Classifier(backbone, strategy="full")
    finder = BatchSizeFinder(mode="power", steps_per_trial=1, max_trials=1, init_val=2)
    script(finder).fit(classifier, datamodule=data)
    assert finder.optimal_batch_size == data.batch_size != 8
    assert len(data.train_dataloader()) == 24 / data.batch_size


class Schedule(pl.Callback):
    """Stores the highest rate and the phase of every optimizer step."""

    def __init__(self):
        self.rates, self.phases = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(max(group["lr"] for group in trainer.optimizers[0].param_groups))
        self.phases.append(pl_module.phase.name)


def cosine(steps, rate=1e-3):
    return [rate * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_epochs": 12}, 36),
        ({"max_epochs": 2}, 6),
        ({"max_epochs": -1, "max_steps": 7}, 7),
        ({"max_epochs": None, "max_steps": 20}, 20),
        ({"max_epochs": 4, "max_steps": 5}, 5),
        ({"max_epochs": 3, "max_steps": 500}, 9),
        ({"max_epochs": 6, "limit_train_batches": 2}, 12),
    ],
)
def test_the_schedule_ends_where_the_trainer_ends(data, backbone, script, caplog, options, steps):
    seen = Schedule()
    script(seen, **options).fit(tlkit.Classifier(backbone), datamodule=data)
    assert seen.rates == pytest.approx(cosine(steps))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_stated_epochs_plan_the_schedule_and_the_trainer_stops(data, backbone, script):
    seen = Schedule()
    script(seen, max_epochs=2).fit(tlkit.Classifier(backbone, train={"epochs": 4}), datamodule=data)
    assert seen.rates == pytest.approx(cosine(12)[:6])


@pytest.mark.parametrize(
    ("train", "strategy"),
    [
        pytest.param({"warmup_epochs": 6}, "full", marks=pytest.mark.series),
        pytest.param({"mixup": 0.2, "mixup_off_epochs": 6}, "full", marks=pytest.mark.series),
        (None, {"kind": "lp_ft", "probe_epochs": 6}),
    ],
)
def test_what_needs_more_epochs_than_the_default_waits_for_those_of_the_trainer(
    data, backbone, script, train, strategy
):
    classifier = tlkit.Classifier(backbone, classes=data.classes, train=train, strategy=strategy)
    with pytest.raises(RecipeError, match=saying("trainer's", "epochs is 6", "train.epochs is 6").pattern):
        script(max_epochs=6).fit(classifier, datamodule=data)
    seen = Schedule()
    again = tlkit.Classifier(backbone, classes=data.classes, train=train, strategy=strategy)
    script(seen, max_epochs=8).fit(again, datamodule=data)
    assert again.settings.epochs == 8
    assert len(seen.rates) == 24
    assert seen.rates[-1] > 0
    with pytest.raises(RecipeError):  # who states the epochs is refused at once
        tlkit.Classifier(backbone, train={**(train or {}), "epochs": 5}, strategy=strategy)


def test_phases_follow_the_trainer(data, backbone, script):
    seen = Schedule()
    classifier = tlkit.Classifier(backbone, classes=data.classes, strategy={"kind": "gradual"})
    assert len({phase.name for phase in classifier.phases}) == 5
    script(seen, max_epochs=3).fit(classifier, datamodule=data)
    assert len(dict.fromkeys(seen.phases)) == 3 and [phase.epochs for phase in classifier.phases] == [1, 1, 1]
    again = tlkit.Classifier(backbone, strategy={"kind": "lp_ft", "probe_epochs": 3})
    with pytest.raises(RecipeError) as error:
        script(max_epochs=2).fit(again, datamodule=data)
    assert says(error.value, "strategy.probe_epochs", 3, 2)


@pytest.mark.parametrize(
    ("train", "options", "parts"),
    [
        ({"epochs": 3}, {"max_epochs": 2}, ("train.epochs", 3, "max_epochs", 2)),
        ({"epochs": 3}, {"max_epochs": None, "max_steps": 4}, ("train.epochs", 3, "max_steps", 4)),
        ({"accumulate_grad_batches": 3}, {}, ("train.accumulate_grad_batches", 3, 1)),
        ({"precision": "bf16"}, {}, ("train.precision", "bf16", "32-true", "bf16-mixed")),
        ({"gradient_clip_val": 0.5}, {"gradient_clip_val": 2.0}, ("train.gradient_clip_val", 0.5, 2.0)),
        ({"early_stopping": {"patience": 1}}, {}, ("train.early_stopping", "EarlyStopping")),
        ({"compile": True}, {}, ("train.compile", "tlkit.fit")),
        ({"devices": 2}, {}, ("train.devices", "Trainer")),
        ({"class_weights": "balanced"}, {}, ("train.class_weights", "class_weights=")),
        ({"sampling": "balanced"}, {}, ("train.sampling", "sampling=")),
    ],
)
def test_a_number_that_is_stated_twice_and_differs_is_warned_about(
    data, backbone, script, caplog, train, options, parts
):
    classifier = tlkit.Classifier(backbone, train=train)
    script(**options).fit(classifier, datamodule=data)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1 and says(warned, *parts)


@pytest.mark.parametrize(
    ("train", "options"),
    [
        ({"epochs": 2}, {"max_epochs": 2}),
        ({"precision": 32}, {}),
        ({"precision": "bf16"}, {"precision": "bf16-mixed"}),
        ({"accumulate_grad_batches": 2}, {"accumulate_grad_batches": 2}),
        ({"gradient_clip_val": 2.0}, {"gradient_clip_val": 2.0}),
        ({}, {"accumulate_grad_batches": 2, "gradient_clip_val": 3.0, "precision": "bf16-mixed"}),
    ],
)
def test_what_agrees_or_is_stated_once_is_not_warned_about(data, backbone, script, caplog, train, options, tmp_path):
    classifier = tlkit.Classifier(backbone, train=train)
    kept = ModelCheckpoint(tmp_path / "kept", filename="end")
    script(kept, **options).fit(classifier, datamodule=data)
    script(**options).fit(tlkit.Classifier.load_from_checkpoint(kept.best_model_path), datamodule=data)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("train", "options", "largest"),
    [
        ({}, {}, None),  # nobody states it
        ({"gradient_clip_val": 1e-3}, {}, 1e-3),  # only the classifier does
        ({}, {"gradient_clip_val": 1e-3}, 1e-3),  # only the trainer does
        ({"gradient_clip_val": 5.0}, {"gradient_clip_val": 1e-3}, 1e-3),  # both: the trainer rules
        ({"gradient_clip_val": 1e-3}, {"gradient_clip_val": 0}, None),
        ({"gradient_clip_val": None}, {}, None),
    ],
)
def test_gradients_are_clipped_by_the_trainers_number_else_by_the_classifiers(
    data, backbone, script, train, options, largest
):
    norms = []

    class Norms(pl.Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norms.extend([torch.nn.utils.get_total_norm(gradients).item()] if gradients else [])

    script(Norms(), **options).fit(tlkit.Classifier(backbone, train=train), datamodule=data)
    assert norms
    if largest is None:
        assert max(norms) > 0.01
    else:
        assert max(norms) == pytest.approx(largest, rel=1e-2)
