"""The pages that people see, compared whole with `tests/golden/pages/*.txt`.

Inputs are fixed, values are made up where a figure would depend on the machine, and folders and versions are masked.
A change of a page that is meant is recorded with

    TLKIT_GOLDEN=write python -m pytest tests/test_golden_pages.py

Other tests hold the figures against oracles, and messages by their place, value and remedy.
"""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from golden.make_golden import CLASSES, first_table, gates_of, picture, search, second_table, three_backbones
from run_fixtures import TINY
from tables_of_predictions import counted

from tlkit.errors import TlkitError
from tlkit.predictions import Predictions
from tlkit.stats.estimate import Estimate
from tlkit.tables import to_lines

pytestmark = pytest.mark.figures

PAGES = Path(__file__).parent / "golden" / "pages"


def lines(*results: Any) -> str:
    return "\n".join(to_lines([table for one in results for table in one.tables()]))


def evaluate(folder: Path) -> str:
    from tlkit.evaluation import evaluate

    return lines(evaluate(first_table(), leaked=first_table().path[:40].tolist()))


def audit(folder: Path) -> str:
    """An audit of one column: groups far below, small, undecided, missing; then the images behind its failing row."""
    from tlkit.audit import audit_groups
    from tlkit.audit.error_examples import failing_group_images

    groups = {"light": (930, 1000), "medium": (186, 200), "dark": (49, 80), "deep": (3, 7), "missing": (20, 25)}
    predictions = counted("tone", **groups)
    found = audit_groups(predictions, by="tone")
    return lines(found, *failing_group_images(predictions, found, most=3))


def audit_of_several_columns(folder: Path) -> str:
    from tlkit.audit import audit_groups

    chosen = {"criteria": ("equalized_odds", "four_fifths"), "positive": "cat"}
    return lines(audit_groups(first_table(), by=["tone", "sex"], draws=500, **chosen))


def audit_of_clusters(folder: Path) -> str:
    """An audit with clusters and weights, and how the report says its intervals were made, with and without pairs."""
    from tlkit.audit import audit_groups, explain_gaps
    from tlkit.evaluation import evaluate
    from tlkit.render.report.sections.reading_section import reading

    table, said = first_table(), []
    for design in ({"cluster_by": "site", "weights": "w"}, {"pair_by": "scene"}, {"weights": "w"}):
        found = [each(table, by="tone", **design) for each in (audit_groups, explain_gaps)]
        said += [lines(*found)] if not said else []
        said += [
            "",
            f"How to read it: {design}",
            *(f"{head}: {text}" for head, text in reading(evaluate(table), *found)),
        ]
    return "\n".join(said)


def explain(folder: Path) -> str:
    from tlkit.audit import explain_gaps

    order = {"size": ("small", "medium", "large", "huge")}
    training = first_table().labelled.groups.iloc[:300].assign(label="ant")
    return lines(explain_gaps(first_table(), by=["tone", "size"], order=order, training=training, replicates=100))


def compare(folder: Path) -> str:
    from tlkit.audit import compare_predictions

    first, second = first_table(), second_table()
    leaked = first.path[:50].tolist()
    return lines(compare_predictions(first, second, by=["tone", "sex"], names=("old", "new"), leaked=leaked))


def slices(folder: Path) -> str:
    return lines(search())


def gate(folder: Path) -> str:
    return lines(gates_of(folder))


def labels(folder: Path) -> str:
    from tlkit.analysis.label_audit import LabelAudit, Suspect

    suspects = tuple(
        Suspect(f"ant/{i}.jpg", "train", "", "ant", "bee", 0.01 + i / 100, (0.1, 0.8, 0.1), (0.2, 0.7, 0.1), i < 2)
        for i in range(3)
    )
    estimates = Estimate(12.0, 5.0, 22.0, n=50), Estimate(0.9, 0.86, 0.93, n=300)
    return lines(LabelAudit(CLASSES, {"train": 240, "val": 60}, suspects, *estimates, "ridge", 5, 50, 0.95))


def learning_curve(folder: Path) -> str:
    from tlkit.analysis.learning_curve import CurvePoint, LearningCurve

    law = np.array([0.95, 0.6, 0.5])
    points = tuple(
        CurvePoint(n // 2, float(n), Estimate(v, v - 0.05, v + 0.05, n=250), {"C": 0.1})
        for n, v in ((n, float(0.9 - 0.6 * n**-0.5)) for n in (8, 16, 32, 64, 128, 200))
    )
    curve = LearningCurve("logistic", 250, 2, points, law, np.stack([law - [0.01, 0, 0], law]), 5, 3, 0.95)
    return "\n".join([*to_lines(curve.tables()), "", *list(to_lines(curve.tables(more=2000)))[-2:]])


def advise(folder: Path) -> str:
    from tlkit.analysis.advice import LeftOut, rank_backbones

    left_out = [LeftOut("vit_tiny", "hub", "unavailable", "its weights are not in the hub's cache")]
    return lines(rank_backbones(three_backbones(), classes=2, folds=5, machine="a machine", left_out=left_out))


def repair(folder: Path) -> str:
    from tlkit.audit import compare_predictions
    from tlkit.audit.options import AuditOptions
    from tlkit.audit.repair_result import Repair
    from tlkit.audit.repair_selection import judge_on_test, try_candidate

    group, names = np.repeat([0, 1, 2, 3], 100), ("a", "b", "c", "d")

    def right(*rates: float) -> np.ndarray:
        return np.concatenate([np.arange(100) < round(100 * rate) for rate in rates])

    before, after = right(0.9, 0.9, 0.5, 0.9), right(0.9, 0.88, 0.8, 0.9)
    shared = {"group": group, "names": names, "margin": 0.05, "confidence": 0.95}
    trials = tuple(
        try_candidate(name, learns_from="val", at_prediction=needs, before=before, after=one, seconds=0.1, **shared)
        for name, one, needs in (
            ("dfr_val", after, False),
            ("class_offsets", right(0.9, 0.9, 0.53, 0.9), False),
            ("jtt_20", right(0.45, 0.9, 0.95, 0.9), False),
            ("group_dro", right(*[0.7] * 4), False),
            ("group_offsets", after, True),
        )
    )
    verdict, test, _ = judge_on_test(before, after, **shared)
    images = {"classes": ["x", "y"], "path": [str(i) for i in range(400)], "y_true": [0] * 400}
    tables = [Predictions.build(**images, y_pred=np.where(one, 0, 1)) for one in (before, after)]
    return lines(
        Repair(
            parent="birds",
            by=("water",),
            judged_by="class × water",
            groups=names,
            verdict=verdict,
            too_few={},
            trials=trials,
            before=("c", trials[0].worst),
            chosen="dfr_val",
            run="birds-repaired",
            test=test,
            comparison=compare_predictions(*tables, names=("before", "after")),
            offsets={},
            margin=0.05,
            settings=AuditOptions(),
            images={"train": 9, "val": 400, "test": 400},
            seconds=1.5,
        )
    )


def folder_of_images(folder: Path) -> Path:
    """Write ten images of two classes in two splits: one is a copy in another split, one is damaged, one is tiny."""
    for place in range(10):
        path = folder / "data" / ("train" if place < 6 else "test") / "ab"[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(0 if place == 8 else place, (8, 6) if place == 5 else (96, 72)).save(path)
    (folder / "data" / "train" / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    return folder / "data"


def doctor(folder: Path) -> str:
    from tlkit import data_doctor

    return lines(data_doctor(folder_of_images(folder)))


def summary(folder: Path) -> str:
    from tlkit.data.checks.dataset_summary import summarize_data

    return lines(summarize_data(folder_of_images(folder))[0])


def leaks(folder: Path) -> str:
    from tlkit.data.checks.leak_tables import leak_table
    from tlkit.evaluation import evaluate
    from tlkit.evaluation.evaluation_tables import accuracy_table

    columns = ("path", "split", "duplicate_of", "duplicate_split", "how")
    rows = [("test/a/8.png", "test", "train/a/0.png", "train", "same file")]
    table = leak_table(pd.DataFrame(rows, columns=columns), title="1 val and test images are copies")
    found = evaluate(first_table(), leaked=first_table().path[:1].tolist())
    return "\n".join(to_lines([table, accuracy_table(found, title="test")]))


def recipe_plan(folder: Path) -> str:
    from tlkit.recipe import load_recipe
    from tlkit.training.plan import plan_tables
    from tlkit.training.prepare import prepare

    root = folder_of_images(folder)
    (root / "train" / "a" / "broken.png").unlink()
    (folder / "tiny.yaml").write_text(TINY.format(root=root, more="", strategy="full"), encoding="utf-8")
    strategy = {"kind": "lp_ft", "probe_epochs": 1, "layer_decay": 0.5}
    changes = {"strategy": strategy, "train.device": "cpu", "data.test": 0.0}
    return "\n".join(to_lines(plan_tables(prepare(load_recipe(folder / "tiny.yaml", changes)))))


def recipe_check(folder: Path) -> str:
    """What a recipe with mistakes of every kind is told."""
    from tlkit.recipe import load_recipe

    path = folder / "wrong.yaml"
    path.write_text(
        "recipe_version: 1\nname: my pets\ndata: {root: photos, batch_size: 0, val: 1.5, colour: red}\n"
        "model: {name: resnet18, weights: none}\nstrategy: {kind: frosen}\naugment: medum\n"
        "train: {epochs: five, learning_rate: -1, precisions: 32}\naudit: {by: [tone], tolerance: 2}\nreprot: {}\n",
        encoding="utf-8",
    )
    with pytest.raises(TlkitError) as caught:
        load_recipe(path)
    return "\n".join(f"error: {problem}" for problem in caught.value.problems)


class Words(HTMLParser):
    """The visible text of a page: a line for each block or row of a table, without styles."""

    BLOCKS = ("p", "tr", "caption", "h1", "h2", "h3", "h4", "li", "summary", "pre", "div", "figcaption", "dt", "dd")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden, self.found = False, ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden = tag == "style"
        self.found += "\n" if tag in self.BLOCKS else " | " if tag in ("td", "th") else ""
        self.found += "".join(f"[{value}]" for name, value in attrs if (tag, name) == ("img", "alt"))

    def handle_data(self, data: str) -> None:
        self.found += "" if self.hidden else data.replace("\n", "\n" if self.get_starttag_text() == "<pre>" else " ")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = False

    @property
    def text(self) -> str:
        return "\n".join(filter(None, (" ".join(line.split()) for line in self.found.split("\n"))))


def of_a_run(**more: Any) -> Any:
    """Return what the report and the card of a run are made of."""
    from tlkit.audit import audit_groups
    from tlkit.evaluation import evaluate
    from tlkit.render.report import RunContents

    predictions = first_table()
    shared = {
        "recipe_text": "name: pets\nmodel: {name: resnet18, weights: hub}\nstrategy: {kind: frozen}\n",
        "environment": {"weights": {"source": "hub", "license": "apache-2.0"}, "device": "cpu"},
        "counts": pd.DataFrame({"train": [40, 40, 9], "val": 20, "test": 240}, index=list(CLASSES)),
        "evaluation": evaluate(predictions, leaked=predictions.path[:3].tolist()),
        "audit": audit_groups(predictions, by="tone", draws=500),
        "notes": ["The weights are non-commercial."],
        "attribution": "Drawings: somebody, CC BY.",
        "split": "val",
        "chose_epoch": True,
    }
    return RunContents(**shared, **more)


def report(folder: Path) -> str:
    from tlkit.audit import explain_gaps
    from tlkit.audit.error_examples import worst_images
    from tlkit.render.report import ReportImages, write_report

    more = {
        "title": "Pets",
        "history": pd.DataFrame({"epoch": [0, 1], "train_loss": [0.7, 0.25], "val_accuracy": [0.8, np.nan]}),
        "explanation": explain_gaps(first_table(), by="tone", replicates=100),
        "images": ReportImages(worst=worst_images(first_table(), most=3)),
        "excluded": [("ants/broken.jpg", "truncated after 3 bytes")],
    }
    return Words(write_report(folder / "report.html", of_a_run(**more)).read_text(encoding="utf-8")).text


def model_card(folder: Path) -> str:
    from tlkit.render.report import write_card

    leaks = pd.DataFrame({"path": list("abcd"), "dropped": ["", "", "", "yes"]})
    excluded = [(f"ants/{i}.jpg", "no image") for i in range(2)]
    more = {"title": "pets", "group_columns": ("tone", "sex"), "excluded": excluded, "leaks": leaks}
    return write_card(folder / "MODEL_CARD.md", of_a_run(**more)).read_text(encoding="utf-8")


MAKERS = (
    *(evaluate, audit, audit_of_several_columns, audit_of_clusters, explain, compare, slices, gate, labels),
    *(learning_curve, advise, repair, doctor, summary, leaks, recipe_plan, recipe_check, report, model_card),
)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_a_page_is_as_recorded(maker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # relative paths: the width of a column must not depend on the machine
    text = maker(Path()).replace(str(tmp_path), "FOLDER")
    shown = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    file = PAGES / f"{maker.__name__}.txt"
    if os.environ.get("TLKIT_GOLDEN") == "write":
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_every_recorded_page_has_a_maker():
    assert {path.stem for path in PAGES.iterdir()} == {maker.__name__ for maker in MAKERS}


@pytest.mark.parametrize("file", sorted(PAGES.iterdir()), ids=lambda file: file.stem)
def test_no_page_says_that_a_model_is_fair_or_free_of_bias(file):
    assert re.findall(r"\b(?:un)?fair|\b(?:un|de)bias", file.read_text(encoding="utf-8"), flags=re.IGNORECASE) == []
