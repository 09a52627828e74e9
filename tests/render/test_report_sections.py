"""The summary, the sections and their marks, against figures that are worked out here."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from messages import says
from tables_of_predictions import counted, predictions_of
from test_report import EVIL, images_of, options, page_of

from tlkit.audit.audit import audit_groups
from tlkit.audit.error_examples import failing_group_images, worst_images
from tlkit.audit.explain import explain_gaps
from tlkit.evaluation import evaluate
from tlkit.render.plots import plot_confusion, plot_groups, plot_history, plot_per_class, plot_runs, to_svg
from tlkit.render.report import ReportImages, RunContents, write_report
from tlkit.render.report.glossary import GLOSSARY, anchor, link_words
from tlkit.render.report.limitations import limits_of
from tlkit.render.report.plain_words import failing_sentence, other_sentence, verdict_of, verdict_of_row
from tlkit.render.report.sections import sections_of
from tlkit.render.report.sections.dataset_section import data_section
from tlkit.render.report.sections.explanation_section import gap_sentences
from tlkit.render.report.sections.images_section import group_images_section, worst_section
from tlkit.render.report.sections.training_section import training_section
from tlkit.render.report.summary import audit_claims, summary_of
from tlkit.render.report.table_markup import table_markup
from tlkit.stats.estimate import Estimate
from tlkit.tables import Column, Table
from tlkit.tables.shares import points, signed_points

pytestmark = pytest.mark.figures


def contents(predictions, *, by="g", **more):
    audit = audit_groups(predictions, by=by, draws=200)
    values = options(predictions.classes) | {"evaluation": evaluate(predictions), "audit": audit}
    return RunContents(**(values | more))


TWO_SIDES = counted(low=(150, 300), high=(297, 300), mid=(230, 300), few=(5, 9))


@pytest.fixture(scope="module")
def run():
    return contents(TWO_SIDES)


@pytest.fixture(scope="module")
def sections(run):
    return sections_of(run)


def test_a_group_below_and_a_group_above_the_rest_differ_in_words_and_mark():
    audit = audit_groups(TWO_SIDES, by="g", draws=200)
    table = audit.group_table("g")
    low, high = (verdict_of_row(table, table.row((name,))) for name in ("low", "high"))
    assert (low.mark, high.mark) == ("bad", "better")
    assert "below the rest" in low.text
    assert "above the rest" in high.text
    assert verdict_of([table]).mark == "bad"
    only_above = audit_groups(counted(one=(300, 300), two=(1350, 1500), three=(1365, 1500)), by="g", draws=200)
    assert {row.direction for row in only_above.group_table("g").rows} == {"above the rest", None}
    assert verdict_of(only_above.group_tables).mark == "better"


def test_the_sentence_of_a_failing_group_holds_both_rates_and_the_certain_part_of_the_gap():
    audit = audit_groups(TWO_SIDES, by="g", draws=200)
    table = audit.group_table("g")
    low = table.row(("low",))
    rest = (297 + 230 + 5) / 609
    nearest = f"{round(-100 * low.difference.high, 1):g} points"
    assert says(failing_sentence(audit, table, low), "less", "low", "50.0%", f"{100 * rest:.1f}%", nearest, "5 points")


def test_a_rate_that_tables_withhold_is_not_in_the_sentence_either():
    predictions = counted(low=(9, 30), high=(300, 300))
    audit = audit_groups(predictions, by="g", draws=200)
    table = audit.group_table("g")
    assert table.row(("low",)).wide
    text = failing_sentence(audit, table, table.row(("low",)))
    assert "30%" not in text.replace("30% to", "")
    assert "against" not in text


def test_the_summary_names_the_worse_off_first_and_says_that_no_verdict_is_no_pass():
    audit = audit_groups(TWO_SIDES, by="g", draws=200)
    claims = audit_claims(audit)
    assert [claim.verdict.mark for claim in claims] == ["bad", "better", "open"]
    assert says(claims[-1].text, "too few images", "no pass")
    passed = audit_groups(counted(one=(2850, 3000), two=(2850, 3000)), by="g", draws=200)
    assert [claim.verdict.mark for claim in audit_claims(passed)] == ["good"]
    assert says(other_sentence(passed, passed.group_tables), "all 2 groups", "5 points")


def test_every_claim_of_the_summary_links_to_a_section_that_shows_it(run, sections):
    ids = {section.id for section in sections}
    for audit in (run.audit, None):
        summary = summary_of(replace(run, audit=audit))
        claims = [claim for _, claims in summary.questions for claim in claims] + list(summary.verdict_lines)
        assert len(claims) > 8
        unproven = [claim.text for claim in claims if not set(claim.evidence) & ids]
        assert [text for text in unproven if "audit.by" not in text and "alike" not in text] == []


def test_the_verdict_comes_first_and_what_lies_behind_the_gaps_after_classes_and_confusions(tmp_path):
    groups = pd.DataFrame({"light": ["day"] * 60 + ["night"] * 60})
    predictions = images_of(("ants", "bees"), groups=groups)
    values = options(groups=groups, explanation=explain_gaps(predictions, by="light", replicates=5))
    page = page_of(tmp_path, **values)
    assert page.words.index("Are all groups served alike?") < page.words.index("Balanced accuracy")
    ids = [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")]
    assert ids[:2] == ["summary", "audit"]
    assert ids.index("confusions") < ids.index("result")  # plots before tables
    assert ids.index("audit") < ids.index("classes") < ids.index("confusions") < ids.index("explanation")


def test_the_verdicts_of_the_plots_rows_stand_in_the_second_column_and_statistics_in_a_fold(sections):
    section = next(one for one in sections if one.id == "audit")
    part = next(block for block in section.blocks if block.kind == "part")
    assert [block.kind for block in part.blocks] == ["figure", "grid", "fold"]
    shown, whole = part.blocks[1].table, part.blocks[2].tables[0]
    assert shown.names[:2] == ("group", "verdict")
    assert "p_holm" in whole.names
    assert "p_holm" not in shown.names
    assert shown.column("rate") == whole.column("rate")


def test_a_wrong_image_shows_what_was_said_and_how_sure_it_was():
    proba = np.array([[0.0004, 0.9996], [0.3, 0.7], [0.9, 0.1], [0.45, 0.55]])
    predictions = predictions_of([0, 0, 0, 0], proba=proba, classes=("nurse", "teacher"))
    worst = worst_images(predictions)
    assert [one.sure for one in worst.wrong] == [0.9996, 0.7, 0.55]
    run = RunContents(**options(images=ReportImages(worst=worst)))
    gallery = next(block for block in worst_section(run).blocks if block.kind == "gallery")
    assert [picture.said for picture in gallery.pictures] == [
        "said teacher, >99.9% sure",
        "said teacher, 70.0% sure",
        "said teacher, 55.0% sure",
    ]
    assert all(picture.wrong for picture in gallery.pictures)
    assert worst_section(RunContents(**options())) is None


def test_groups_that_are_better_off_have_no_images_behind_the_gap(run):
    found = failing_group_images(TWO_SIDES, run.audit)
    section = group_images_section(replace(run, images=ReportImages(found)))
    assert [block.title for block in section.blocks if block.kind == "part"] == ["g: low"]


def test_the_kept_epoch_is_marked_in_plot_and_table(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [0.7, 0.4, 0.2], "val_loss": [0.6, 0.3, 0.5]})
    axes = plot_history(history, kept=(2,))
    kept = [line for line in axes.lines if line.get_label() == "kept epoch"]
    assert [list(line.get_xdata()) for line in kept] == [[2, 2]]
    assert "kept epoch" in [text.get_text() for text in axes.get_legend().get_texts()]
    run = RunContents(**options(history=history, kept_epochs=(2,)))
    section = training_section(run)
    assert says(section.claim, "3 epochs", "epoch 2")
    assert section.blocks[1].tables[0].column("kept") == (False, True, False)


def test_the_first_use_of_a_word_is_linked_to_its_definition_and_markup_stays_text():
    seen: set[str] = set()
    linked = link_words("recall, recall and split.csv of &lt;head&gt; by accuracy/top", seen)
    assert re.findall(r'href="#([^"]+)"', linked) == ["word-recall"]
    assert len({anchor(word) for word in GLOSSARY}) == len(GLOSSARY)
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.lower)
    assert "<script>" not in link_words("&lt;script&gt; recall", set())


def test_commands_in_sentences_are_code_and_other_backticks_stay(tmp_path):
    page = page_of(tmp_path, **options(notes=["Run `tlkit slices` now.", f"A ` {EVIL}"]))
    assert "code" in page.tags
    assert "A ` <script>" in page.words


def test_what_cannot_be_concluded_names_unread_files_and_leaks():
    leaks = pd.DataFrame({"path": ["a"], "split": ["test"], "duplicate_of": ["b"], "duplicate_split": ["train"]})
    run = RunContents(**options(leaks=leaks.assign(how="copy", dropped="")))
    claims = limits_of(run)
    assert any(says(one.text, "1", "could not be read") and one.evidence == ("data",) for one in claims)
    assert any(says(one.text, "1", "earlier split", "optimistic") for one in claims)
    section = data_section(run)
    assert says(section.claim, "1 file excluded", "1 image")
    assert section.verdict.mark == "open"


def test_rates_of_several_runs_are_drawn_with_their_values_and_intervals():
    rates = {
        "one": {"day": Estimate(0.9, 0.8, 0.95, n=60), "night": Estimate(None, 0.1, 0.7, n=9)},
        "two": {"day": Estimate(0.7, 0.6, 0.8, n=60)},
    }
    axes = plot_runs(rates, label="accuracy")
    points = sorted(float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1)
    lines = sorted(tuple(map(float, line.get_xdata())) for line in axes.lines if len(line.get_xdata()) == 2)
    assert points == [0.7, 0.9]
    assert lines == [(0.1, 0.7), (0.6, 0.8), (0.8, 0.95)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]


def test_figures_for_narrow_pages_are_hardly_wider_than_a_telephone():
    names = [f"a class with a long name {place}" for place in range(30)]
    groups = pd.DataFrame({"light": ["day of a long name", "night"] * 400})
    predictions = images_of(names, groups=groups, n=800)
    evaluation, audit = evaluate(predictions), audit_groups(predictions, by="light", draws=100)
    for plot in (partial(plot_per_class, evaluation), partial(plot_confusion, evaluation), partial(plot_groups, audit)):
        narrow, wide = (ET.fromstring(to_svg(plot, narrow=one)).get("width") for one in (True, False))
        assert float(narrow.removesuffix("pt")) / 72 < 4.3  # inches; a telephone shows 3.6 at the size of the text
        assert float(wide.removesuffix("pt")) / 72 > 6


def explained(**train):
    """Return the explanation of 240 images: night holds cats only, is wrong twice as often, and has few in training."""
    light = ["day"] * 160 + ["night"] * 80
    y = [0, 1] * 80 + [0] * 80
    wrong = [number % 8 == 0 for number in range(160)] + [number % 3 == 0 for number in range(80)]
    predictions = predictions_of(
        y, [1 - one if off else one for one, off in zip(y, wrong, strict=True)], classes=("cat", "dog"), light=light
    )
    counts = pd.DataFrame({"light": [name for name, count in train.items() for _ in range(count)]})
    return explain_gaps(predictions, by="light", training=counts if train else None, replicates=5)


@pytest.mark.parametrize(("train", "words"), [({"day": 90}, "No training image"), ({"day": 90, "night": 10}, "10%")])
def test_what_lies_behind_the_widest_gap_is_said_in_shares_that_sum_to_it(train, words):
    explanation = explained(**train)
    (column,) = explanation.columns
    shares, trained = gap_sentences(explanation, column)
    night = next(one for one in column.groups if one.group == "night")
    side = 1 if night.split.gap.value > 0 else -1
    assert says(shares, points(night.split.gap.value), signed_points(side * night.split.rate.value))
    assert says(trained, words, "33%")
    unknown = explained()
    assert len(gap_sentences(unknown, unknown.columns[0])) == 1


def test_a_long_name_may_break_after_an_underscore_and_never_within_a_number(tmp_path):
    predictions = images_of(("health_worker", "bees<b>"))
    worst = worst_images(predictions, most=2)
    values = options(("health_worker", "bees<b>"), images=ReportImages((), worst, {}))
    text = write_report(tmp_path / "a.html", RunContents(**values)).read_text()
    assert "health_<wbr>worker" in text and "bees<b>" not in text
    assert not re.search(r"\d\.<wbr>\d", text)


def test_only_open_tables_of_five_columns_take_two_lines_on_a_telephone():
    columns = tuple(Column(name, name) for name in "abcde")
    table = Table("t", "T", columns, (("1",) * 5,))
    assert 'class="stacked"' in table_markup(table, set(), stacked=True)
    assert 'class="stacked"' not in table_markup(table, set())
    assert 'class="stacked"' not in table_markup(table.selected(("a", "b")), set(), stacked=True)
