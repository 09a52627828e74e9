"""Sections of what commands measured on request, and the line about the commands that would add one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from measurements import about, made_benchmark, made_drift, made_label_next, made_robustness, made_unknown
from messages import says
from test_report import images_of, options

from tlkit.audit.error_examples import NearestImage, worst_images
from tlkit.audit.heat_maps import HeatMaps, ImageHeatMap
from tlkit.render.report import ReportImages, RunContents, write_report
from tlkit.render.report.page_section import PageSection
from tlkit.render.report.sections import further_commands
from tlkit.render.report.sections.measurements_section import (
    drift_section,
    label_next_section,
    robustness_claim,
    robustness_section,
    speed_claim,
    speed_section,
    unknown_section,
)
from tlkit.render.report.summary import summary_of

CLASSES = ("cat", "dog")
PIXEL = "/9j/4AAQSkZJRgABAQAAAQABAAD"


def contents(**more):
    return RunContents(**{**options(CLASSES), **more})


def pictures(**more):
    worst = worst_images(images_of(CLASSES), **more)
    return worst, {image.path: ImageHeatMap(image.y_pred, PIXEL) for image in worst.wrong[:2]}


def test_a_page_without_measurements_has_no_such_section_and_names_the_commands():
    run = contents()
    sections = (robustness_section, unknown_section, drift_section, label_next_section, speed_section)
    assert [one(run) for one in sections] == [None] * 5
    said = further_commands(run, ())
    assert says(
        said,
        "tlkit robustness RUN",
        "tlkit drift RUN IMAGES",
        "tlkit unknown RUN",
        "tlkit label-next RUN IMAGES",
        "tlkit bench RUN",
        "tlkit slices RUN",
    )
    assert "explain" not in said  # no image is shown


def test_a_command_whose_section_is_there_is_not_named():
    worst, heat = pictures()
    run = contents(images=ReportImages((), worst, dict.fromkeys(worst.paths, PIXEL)))
    sections = [PageSection(name, name, "", ()) for name in ("robustness", "unknown", "drift", "label-next", "speed")]
    assert further_commands(run, sections) == "More with `tlkit slices RUN`, `tlkit explain RUN`."
    with_heat = replace(run, images=replace(run.images, heat=heat, heat_method="grad_cam"))
    assert "explain" not in further_commands(with_heat, sections)


def test_robustness_names_the_corruptions_that_cost_accuracy_the_earliest_first():
    report = made_robustness(jpeg=0.02, darkness=0.4, gaussian_noise=0.2)
    assert [one.first_loss for one in report.corruptions] == [None, 1, 2]
    sentence = robustness_claim(report)
    assert says(sentence, "2 of 3", "darkness from severity 1, gaussian noise from severity 2")
    section = robustness_section(contents(robustness=report))
    assert (section.verdict.text, section.verdict.mark) == ("LOSS under 2 of 3", "bad")


@pytest.mark.parametrize(("loss", "mark"), [(0.02, "open"), (0.0, "good")])
def test_robustness_without_a_certain_loss_passes_only_where_the_images_show_it(loss, mark):
    section = robustness_section(contents(robustness=made_robustness(jpeg=loss)))
    assert section.verdict.mark == mark
    assert says(section.claim, "none of 1")


def test_drift_shows_every_set_of_images_the_latest_first_and_the_worst_verdict():
    found = {"june": made_drift("NO DRIFT FOUND"), "july": made_drift("DRIFT"), "august": made_drift("NOT ENOUGH DATA")}
    section = drift_section(contents(drift=found))
    assert [part.title for part in section.blocks] == ["august", "july", "june"]
    assert [part.verdict.mark for part in section.blocks] == ["open", "bad", "good"]
    assert section.verdict.text == "DRIFT"
    assert says(section.claim, "1 of 3")


def test_the_summary_says_what_robustness_and_drift_found_with_links_to_them():
    found = {"june": made_drift("NO DRIFT FOUND"), "july": made_drift("DRIFT")}
    run = contents(robustness=made_robustness(darkness=0.4), drift=found)
    questions = dict(summary_of(run).questions)
    good = next(claim for claim in questions["How good it is"] if claim.evidence == ("robustness",))
    assert good.text == robustness_claim(run.robustness)
    drifted = [claim.text for claim in questions["What you cannot conclude"] if claim.evidence == ("drift",)]
    assert says(drifted[0], "june", "No drift") and says(drifted[1], "july", "40 new images", "unknown")
    without = dict(summary_of(contents()).questions)
    assert not [claim for claims in without.values() for claim in claims if {*claim.evidence} & {"drift", "robustness"}]


def test_one_set_of_new_images_has_its_finding_and_verdict_in_the_heading():
    section = drift_section(contents(drift={"july": made_drift("DRIFT")}))
    assert section.verdict.text == "DRIFT" and says(section.claim, "july", "differ", "training images")


def test_images_to_label_are_shown_with_what_they_would_bring_the_latest_choice_first():
    section = label_next_section(contents(label_next={"june": made_label_next(), "july": made_label_next(250)}))
    assert [part.title for part in section.blocks] == ["july", "june"]
    assert says(section.claim, "250 images of 500", "+1.2 points of accuracy [-0.3, +2.7]")
    ((many,),), ((few,),) = ([fold.tables for fold in part.blocks] for part in section.blocks)
    assert (len(many.rows), len(few.rows)) == (100, 3)
    assert says(" ".join(many.notes), "150")  # the rows that are not shown are counted


def test_speed_names_the_fastest_engine_for_one_image_by_its_median_latency():
    benchmark = made_benchmark()
    assert says(speed_claim(benchmark), "one image", "onnxruntime", "10.00 [9.50, 10.50] ms")
    slow = replace(benchmark, rows=tuple(replace(row, p50=about(99.0)) for row in benchmark.rows[4:]))
    assert says(speed_claim(slow), "99.00")
    assert speed_section(contents(speed={"here": replace(benchmark, rows=benchmark.rows[:4])})).claim.startswith("Fast")


def test_heat_maps_and_nearest_images_stand_beside_the_worst_errors(tmp_path):
    predictions = images_of(CLASSES)
    first = worst_images(predictions).wrong[0].path
    near = {first: (NearestImage("train/cat/7.jpg", "cat", "train", 0.9),)}
    worst, heat = pictures(neighbors=near)
    images = ReportImages((), worst, dict.fromkeys(worst.paths, PIXEL), heat=heat, heat_method="grad_cam")
    text = write_report(tmp_path / "a.html", contents(images=images)).read_text()
    assert text.count('class="pair"') == 2
    assert text.count('class="gallery wide"') == 1
    assert says(text, f'alt="Where the model looked for {worst.wrong[0].y_pred}"', "Grad-CAM", "train: cat")
    images = replace(images, heat={}, heat_method="")
    plain = write_report(tmp_path / "b.html", contents(images=images)).read_text()
    assert 'class="pair"' not in plain and "Where the model looked" not in plain


def test_earlier_heat_maps_of_the_same_method_stay_up_to_a_limit():
    one, two = (HeatMaps("grad_cam", {path: ImageHeatMap("cat", path)}) for path in ("a", "b"))
    assert list(two.with_earlier(one, most=9).images) == ["b", "a"]
    assert list(two.with_earlier(one, most=1).images) == ["b"]
    assert list(two.with_earlier(replace(one, method="rollout"), most=9).images) == ["b"]
    assert two.with_earlier(two, most=9) == two
    assert HeatMaps.from_dict(two.to_dict()) == two


def test_unknown_images_are_told_with_their_rates_and_every_table():
    report = made_unknown()
    section = unknown_section(contents(unknown=report))
    assert section.id == "unknown" and says(section.claim, "4.5%", "digits 90.0%")
    figure, *folds = section.blocks
    assert says(figure.alt, "threshold") and len(folds) == len(report.tables())
