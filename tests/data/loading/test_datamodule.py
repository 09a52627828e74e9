from __future__ import annotations

import pytest
import torch
from data_modules import data_module
from messages import saying, says
from torch import nn

from tlkit.data.dataset_source import Source
from tlkit.data.loading.batch import Batch, normalize
from tlkit.data.loading.datamodule import ImageFolderDataModule
from tlkit.data.sources.folder import scan_folder
from tlkit.data.splits.hold_out import SplitPlan, hold_out
from tlkit.errors import DataError
from tlkit.preprocess import Preprocess

import pytorch_lightning as pl  # isort: skip  after tlkit's cure of torchvision

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),  # Lightning wants one per core
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # Lightning 2.6.6 with torch 2.13
]
SMALL = Preprocess(image_size=(16, 16))


class Toy(pl.LightningModule):
    """A module that knows nothing of tlkit."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
        self.seen: list[Batch] = []

    def training_step(self, batch, batch_idx):
        image, target, _ = batch
        self.seen.append(batch)
        return nn.functional.cross_entropy(self.net(image), target)

    def validation_step(self, batch, batch_idx):
        image, target, _ = batch
        self.log("accuracy", (self.net(image).argmax(1) == target).float().mean())

    def test_step(self, batch, batch_idx):
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch, batch_idx):
        return batch.index

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(**options) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_it_trains_a_foreign_lightning_module(photos, workers):
    data = data_module(photos, preprocess=SMALL, batch_size=4, num_workers=workers, test=0.1)
    model = Toy()
    run = trainer(max_epochs=2)
    run.fit(model, datamodule=data)
    assert len(model.seen) == 8
    assert model.seen[0].image.dtype == torch.float32
    indices = [torch.cat([batch.index for batch in model.seen[at : at + 4]]).tolist() for at in (0, 4)]
    assert sorted(indices[0]) == sorted(indices[1]) == list(range(14))
    assert indices[0] != indices[1]
    assert "accuracy" in run.validate(model, datamodule=data, verbose=False)[0]
    assert "accuracy" in run.test(model, datamodule=data, verbose=False)[0]
    assert torch.cat(run.predict(model, datamodule=data)).tolist() == [0, 1]


def test_lightning_sets_the_epoch_of_the_sampler(photos):
    data = data_module(photos, preprocess=SMALL, batch_size=16)
    first, model = Toy(), Toy()
    trainer(max_epochs=3).fit(first, datamodule=data)
    trainer(max_epochs=3).fit(model, datamodule=data)  # a second fit starts at epoch 0 again
    for one, two in zip(first.seen, model.seen, strict=True):
        assert torch.equal(one.image, two.image)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(2)
    expected = next(iter(loader))
    assert torch.equal(model.seen[2].image, normalize(expected.image, SMALL))


def test_classes_and_samples_are_known_before_a_trainer(photos, lines):
    data = data_module(photos, preprocess=SMALL, augment="medium")
    assert data.classes == ("ant", "bee")
    assert data.samples.counts().to_numpy().tolist() == [[8, 2, 0], [8, 2, 0]]
    assert (data.samples.table["digest"].str.len() == 64).all()
    data.setup("fit")
    data.train_dataloader()
    assert lines() == [
        saying("20", "Checked", "images"),
        saying("20", "0", "4", "held out", "stratified"),
        saying("20", "2", "16", "4", "0", "images", "classes"),
        saying("35–100", "±20", "±10°"),
        saying("data.image_cache", "16 train", "4 val"),
        saying("num_workers", "16"),
    ]


def test_evaluation_is_never_augmented_or_shuffled(photos):
    data = data_module(photos, preprocess=SMALL, augment="heavy", batch_size=5)
    for split in ("train", "val"):
        loader = data.eval_dataloader(split)
        once, twice = (list(loader) for _ in range(2))
        assert torch.cat([b.index for b in once]).tolist() == list(range(len(data.samples.split(split))))
        for one, two in zip(once, twice, strict=True):
            assert torch.equal(one.image, two.image)
    plain = data_module(photos, preprocess=SMALL, augment="none", batch_size=5)
    assert torch.equal(next(iter(data.val_dataloader())).image, next(iter(plain.val_dataloader())).image)


def test_unreadable_images_are_in_no_split(photos):
    (photos / "ant" / "4.png").write_bytes(b"")
    data = data_module(photos, preprocess=SMALL)
    assert data.dataset.excluded == (("ant/4.png", saying("0", "empty", "bytes")),)
    assert "ant/4.png" not in set(data.samples.paths)


@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero:UserWarning")  # it is the intention
def test_training_runs_without_val_and_logs_it(photos, lines):
    data = data_module(photos, preprocess=SMALL, val=0.0)
    assert data.val_dataloader() == []
    assert data.test_dataloader() == []
    assert says(lines(), "images", "training", "validation")
    trainer(max_epochs=1).fit(Toy(), datamodule=data)
    with pytest.raises(DataError, match=saying("images", "splits", "train").pattern):
        data.eval_dataloader("test")


def test_a_last_batch_of_one_image_is_dropped_in_training_only(photos, lines):
    data = data_module(photos, preprocess=SMALL, val=0.0, batch_size=19, num_workers=0)
    assert [len(batch.index) for batch in data.train_dataloader()] == [19]
    assert [len(batch.index) for batch in data.eval_dataloader("train")] == [19, 1]
    assert says(lines(), "20", "19", "1", "batches", "normalisation")
    ones = data_module(photos, preprocess=SMALL, val=0.0, batch_size=1, num_workers=0)
    assert len(ones.train_dataloader()) == 20


def test_shares_to_hold_out_are_stated_for_a_folder_and_refused_beside_a_source(photos):
    held_out = ImageFolderDataModule(photos, val=0.1, test=0.2).samples
    wanted = Source(root=photos, plan=SplitPlan(val=0.1, test=0.2)).load().samples
    assert held_out.table.equals(wanted.table) and len(held_out.split("test"))
    with pytest.raises(DataError, match=saying("test", "Source", "SplitPlan").pattern):
        ImageFolderDataModule(Source(root=photos), test=0.2)


def test_samples_carry_group_columns(photos):
    rows = "".join(f"{label}/{number}.png,{number % 2}\n" for label in ("ant", "bee") for number in range(10))
    (photos / "meta.csv").write_text("path,site\n" + rows)
    data = data_module(photos, preprocess=SMALL, metadata="meta.csv", groups=["site"])
    assert data.samples.group_columns == ("site",)
    assert data.samples.split("val").groups["site"].notna().all()


def test_split_samples_keep_their_splits(photos):
    split = hold_out(scan_folder(photos), SplitPlan(val=0.3, test=0.3, seed=5))
    data = data_module(split, preprocess=SMALL, check=False)
    assert data.samples.table.equals(split.table)
    assert data.dataset.checked is None


def test_identical_files_in_two_splits_are_named(photos, lines):
    for number in range(10):
        (photos / "ant" / f"{number}.png").write_bytes((photos / "ant" / "0.png").read_bytes())
    assert len(data_module(photos, preprocess=SMALL).samples) == 20
    assert says(lines(), "Leak: ", "2 of 4 val", "2 identical", "ant/")


def test_settings_that_cannot_work_fail_before_any_image_is_read(tmp_path):
    with pytest.raises(DataError, match=saying("batch_size", "0", "1").pattern):
        data_module(tmp_path, batch_size=0)
    with pytest.raises(DataError, match=saying("CSV", "groups", "metadata").pattern):
        data_module(tmp_path, groups=["sex", "age"])
    with pytest.raises(DataError, match=saying("'HorizontalFlip'", "mean").pattern):
        data_module(tmp_path, augment=[{"name": "HorizontalFlp"}])
