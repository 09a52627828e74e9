"""The one step that is suggested for the group that is worst off, by what would help it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says
from run_fixtures import write_run
from tables_of_predictions import predictions_of

from tlkit.runs.next_step import next_step
from tlkit.tables import two_figures

RECIPE = """\
recipe_version: 1
name: pets
data: {root: photos, metadata: meta.csv, groups: [light]}
model: {name: test_resnet, weights: none}
strategy: frozen
audit: {by: [light], min_group_size: 20}
"""


def made_run(*, train, val):
    """Return a run whose test images are 200 by day, 9 wrong, and 100 by night, 50 wrong."""
    light = ["day"] * 200 + ["night"] * 100
    y = np.arange(300) % 2
    wrong = np.zeros(300, dtype=bool)
    wrong[[*range(9), *range(200, 250)]] = True
    test = predictions_of(y, np.where(wrong, 1 - y, y), classes=("cat", "dog"), light=light)
    rows = [(path, "test", group, target) for path, group, target in zip(test.path, light, y, strict=True)]
    for split, counts in {"train": train, "val": val}.items():
        names = [group for group, count in counts.items() for _ in range(count)]
        rows += [(f"{split}{place}.png", split, group, place % 2) for place, group in enumerate(names)]
    table = pd.DataFrame(rows, columns=["path", "split", "light", "target"])
    table["label"] = np.array(["cat", "dog"])[table.pop("target")]
    run = write_run(Path("runs/pets"), RECIPE, table, test)
    names = table.loc[table["split"] == "val"]
    val_table = predictions_of(
        [0, 1] * (len(names) // 2), [0, 1] * (len(names) // 2), classes=("cat", "dog"), light=names["light"].tolist()
    )
    val_table.to_parquet(run.directory.predictions("val"))
    run.directory.model.mkdir()
    run.explain()
    return run


@pytest.mark.parametrize(
    ("train", "val", "command", "words"),
    [
        ({"day": 300}, {"day": 40, "night": 40}, "", ("night", "none shows it")),
        ({"day": 290, "night": 10}, {"day": 40, "night": 40}, "", ("night", "3.3%")),
        ({"day": 200, "night": 100}, {"day": 40, "night": 40}, "tlkit repair runs/pets --by light", ("night",)),
        ({"day": 200, "night": 100}, {"day": 40, "night": 10}, "tlkit audit runs/pets --details", ("night",)),
    ],
)
def test_the_step_for_the_worst_group_is_one_that_can_help_it(train, val, command, words):
    run = made_run(train=train, val=val)
    step = next_step(run, run.evaluation(), run.get_audit())
    assert step.command == command
    assert says(step.why, *words)


def test_where_clusters_are_too_few_the_step_is_stated_in_clusters():
    rng = np.random.default_rng(0)
    y, light, site = np.arange(240) % 2, ["day", "night"] * 120, [f"s{number // 12}" for number in range(240)]
    wrong = rng.random(240) < np.where(np.array(light) == "night", 0.25, 0.15)
    test = predictions_of(y, np.where(wrong, 1 - y, y), classes=("cat", "dog"), light=light, site=site)
    table = pd.DataFrame({"path": test.path, "split": "test", "light": light, "site": site})
    table["label"] = np.array(["cat", "dog"])[y]
    recipe = RECIPE.replace("groups: [light]", "groups: [light, site]").replace(
        "by: [light]", "by: [light], cluster_by: site"
    )
    run = write_run(Path("runs/sites"), recipe, table, test)
    audit = run.get_audit()
    assert audit.verdict == "NOT ENOUGH DATA"
    most = max(two_figures(row.clusters_needed) for row in audit.group_table("light").rows)
    assert says(next_step(run, run.evaluation(), audit).why, "clusters of site", f"{most:,}")
