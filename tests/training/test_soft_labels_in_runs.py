"""`data.annotations: soft`: shares of the annotators are the targets; evaluation takes the majority's label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from image_folders import write_image_folder
from messages import saying, says

from tlkit import fit
from tlkit.errors import RecipeError
from tlkit.recipe import load_recipe
from tlkit.samples import VOTES
from tlkit.training.prepare import prepare

RECIPE = """\
recipe_version: 1
name: tiny
data: {root: colours, manifest: colours/votes.csv, annotations: ANNOTATIONS, batch_size: 8, num_workers: 0,
       image_size: 32, val: 0.25, test: 0.25}
augment: none
model: {name: test_resnet, weights: none}
strategy: STRATEGY
train: {epochs: 2, learning_rate: 0.01}
report: {enabled: false}
"""


@pytest.fixture
def recipe(tmp_path):
    """Sixteen images a class; of three annotators one gives every second image the other class."""
    root = write_image_folder(tmp_path / "colours", **{"": 16})
    rows = []
    for number, path in enumerate(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))):
        label = path.split("/")[0]
        other = {"red": "blue", "blue": "red"}[label]
        rows += [(path, label), (path, label), (path, other if number % 2 else label)]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(root / "votes.csv", index=False)

    def recipe(annotations="soft", strategy="full"):
        path = tmp_path / "tiny.yaml"
        path.write_text(RECIPE.replace("ANNOTATIONS", annotations).replace("STRATEGY", strategy))
        return path

    return recipe


def test_the_targets_are_the_shares_and_the_labels_stay_the_majoritys(recipe, caplog):
    soft, hard = (prepare(load_recipe(recipe(kind))) for kind in ("soft", "majority"))
    train = soft.data.samples.split("train")
    assert train.targets.tolist() == hard.data.samples.split("train").targets.tolist()
    assert hard.classifier.soft is None and VOTES not in soft.data.samples.group_columns
    shares = soft.classifier.soft.numpy()
    assert set(np.unique(shares.max(axis=1).round(4))) == {np.float32(0.6667), np.float32(1.0)}
    assert shares.argmax(axis=1).tolist() == train.targets.tolist()
    batch = next(iter(soft.data.train_dataloader()))
    images = torch.randn(len(batch.target), 3, 32, 32)
    logits = soft.classifier(images).float()
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(shares)[batch.index])
    torch.testing.assert_close(soft.classifier.batch_loss((images, *batch[1:]), epoch=0, batch_idx=0), expected)
    assert any(says(message, "Soft labels", f"of {len(train)} training images") for message in caplog.messages)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [pytest.param("full", marks=pytest.mark.series), "frozen"])
def test_a_run_trains_on_the_shares_and_is_judged_by_the_majority(strategy, recipe):
    soft = fit(recipe("soft", strategy), {"name": "soft"})
    hard = fit(recipe("majority", strategy), {"name": "hard"})
    one, other = soft.predictions(), hard.predictions()
    assert one.y_true.tolist() == other.y_true.tolist()
    assert not np.allclose(one.proba, other.proba, atol=1e-4)  # other targets, another model
    assert soft.history["train_loss"].iloc[-1] != hard.history["train_loss"].iloc[-1]
    assert VOTES not in one.group_columns and VOTES in pd.read_csv(soft.path / "split.csv").columns
    assert soft.samples.label_shares.shape == (len(soft.samples), 2)
    again = fit(recipe("soft", strategy), {"name": "soft"}, resume=True)  # finished: nothing to do
    assert again.status == "finished"


def test_a_scikit_learn_head_refuses_soft_labels_with_the_reason(recipe):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe("soft", "{kind: frozen, head: logistic}"))
    assert saying("data.annotations is soft", "logistic", "head: linear", "majority") in caught.value.problems


def test_a_decision_of_a_person_counts_more_than_the_votes(recipe):
    path = recipe()
    root = Path("colours")
    table = pd.read_csv(root / "votes.csv")
    first = table["path"][0]
    digest = prepare(load_recipe(path)).data.samples.table.set_index("path").loc[first, "digest"]
    pd.DataFrame(
        {"path": [first], "label": ["blue"], "digest": [digest], "decision": ["relabel to red"], "split": ["train"]}
    ).to_csv("decided.csv", index=False)
    samples = prepare(load_recipe(path, ["data.label_corrections=decided.csv"])).data.samples
    row = samples.table["path"].tolist().index(first)
    assert samples.table["label"][row] == "red"
    assert samples.label_shares[row].tolist() == [0.0, 1.0]


@pytest.fixture
def ties(recipe):
    """Four annotators, tied on every fourth image, of all splits."""
    table = pd.read_csv("colours/votes.csv")
    paths = table["path"].unique()
    other = {"red": "blue", "blue": "red"}
    more = [(path, other[path.split("/")[0]]) for number, path in enumerate(paths) if number % 4 == 1]
    pd.concat([table, pd.DataFrame(more, columns=["path", "label"])]).to_csv("colours/votes.csv", index=False)
    return {path for path, _ in more}


def test_a_tie_is_trained_on_and_left_out_of_what_is_judged(recipe, ties, caplog):
    prepared = prepare(load_recipe(recipe("soft")))
    samples = prepared.data.samples
    train, judged = samples.split("train"), samples.split("val", "test")
    trained = ties & set(train.table["path"])
    assert trained and not ties & set(judged.table["path"])
    rows = [row for row, path in enumerate(train.table["path"]) if path in trained]
    assert (prepared.classifier.soft.numpy()[rows] == 0.5).all()
    left_out = sorted(ties - trained)
    assert len(samples) == 32 - len(left_out)
    assert any(says(message, "val and test", f"({len(left_out)})", left_out[0]) for message in caplog.messages)
    hard = prepare(load_recipe(recipe("majority"))).data.samples
    assert not ties & set(hard.table["path"]) and len(hard) == 32 - len(ties)


def test_a_person_decides_on_a_tie(recipe, ties):
    """Also where the decision is the class under which the tie was counted."""
    prepared = prepare(load_recipe(recipe("soft")))
    table = prepared.data.samples.split("train").table.set_index("path")
    tied = sorted(ties & set(table.index))[:2]
    assert len(tied) == 2
    digests, labels = table.loc[tied, "digest"].tolist(), table.loc[tied, "label"].tolist()
    decided = ["keep", "relabel to red" if labels[1] == "blue" else "relabel to blue"]
    pd.DataFrame({"path": tied, "label": labels, "digest": digests, "decision": decided, "split": "train"}).to_csv(
        "decided.csv", index=False
    )
    samples = prepare(load_recipe(recipe("soft"), ["data.label_corrections=decided.csv"])).data.samples
    paths = samples.table["path"].tolist()
    shares = samples.label_shares[[paths.index(path) for path in tied]]
    other = {"red": "blue", "blue": "red"}
    assert [samples.classes[place] for place in shares.argmax(axis=1)] == [labels[0], other[labels[1]]]
    assert (shares.max(axis=1) == 1).all()
