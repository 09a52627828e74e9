"""The tables of a `DriftReport`, and the sentences about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.drift_report import DriftReport

MOST_ROWS = 10
NAMES = {
    "classifier": "classifier: out-of-fold balanced accuracy (0.5 = cannot tell)",
    "mmd": "MMD² of the features (0 = no difference)",
}


def drift_tables(report: DriftReport) -> tuple[Table, ...]:
    """Return the tests with the verdict, and the most foreign images."""
    return (_tests(report), _images(report))


def _tests(report: DriftReport) -> Table:
    return Table(
        name="drift_tests",
        title=f"{report.verdict}: {counted(report.images, 'new image')} against "
        f"{counted(report.reference_images, f'{report.reference} image')} of {report.run}",
        columns=(
            Column("test", "test"),
            Column("statistic", "value", "estimate", digits=4),
            Column("p", "p", "p_value"),
            Column("p_holm", "p (Holm)", "p_value"),
        ),
        rows=tuple((NAMES[test.name], test.statistic, test.p, test.p_holm) for test in report.tests),
        notes=tuple(_notes(report)),
    )


def _notes(report: DriftReport) -> list[str]:
    notes = [drift_verdict(report)]
    if report.tests:
        how = f"p-values by {report.permutations:,} permutations"
        clustered = report.clusters != report.tested
        whole = (
            " of whole units, which keep images of one group, copies and near duplicates together" if clustered else ""
        )
        notes.append(
            f"{how}{whole}. They hold their level for independent {'units' if clustered else 'images'}: name new "
            "images of one scene, burst or person as such (--cluster-by)."
        )
        notes.append(
            "Any difference counts, also another mix of the same classes. A test does not say whether the model is "
            "wrong on the new images: label some, and evaluate."
        )
        if report.tested != (report.images, report.reference_images):
            notes.append(
                f"The tests use {report.tested[0]:,} of the new and {report.tested[1]:,} of the reference images, "
                "chosen by a hash of their content."
            )
    if report.copies:
        are = "file is a copy" if report.copies == 1 else "files are copies"
        notes.append(f"{report.copies:,} new {are} of a reference image or of another new file, and left out.")
    if report.strategy != "frozen" and report.reference == "train":
        notes.append(
            f"The backbone was fine-tuned (strategy: {report.strategy}) on these images and may tell them from any "
            "others."
        )
    return notes


def drift_verdict(report: DriftReport) -> str:
    """Return in one sentence what the tests found."""
    new, reference = report.clusters
    units = f"{counted(new, 'unit')} of new images and {counted(reference, 'unit')} of reference images"
    if report.verdict == "NOT ENOUGH DATA":
        return f"NOT ENOUGH DATA: {units}; each side needs {report.least} before finding nothing means anything."
    if report.verdict == "DRIFT":
        return (
            "The new images differ from the reference: a difference like this has a chance of at most "
            f"{report.alpha:.3g} without drift."
        )
    assert report.detectable is not None, "a verdict rests on tests"
    return (
        "No difference was found, which does not prove that there is none. With so many images the classifier's test "
        f"finds a balanced accuracy of about {report.detectable:.2f} or more in 80 % of cases."
    )


def _images(report: DriftReport) -> Table:
    table = Table(
        name="drift_images",
        title="The most foreign of the new images",
        columns=(
            Column("path", "path"),
            Column("distance", "distance", "number"),
            Column("tail", "reference images as far out", "percent"),
            Column("nearest", "nearest reference image"),
            Column("nearest_label", "of class", "word"),
        ),
        rows=tuple((one.path, one.distance, one.tail, one.nearest, one.nearest_label) for one in report.foreign),
        notes=(
            f"{report.beyond.format()} of the new images are farther out than 95 % of the reference images (0.05 "
            f"without drift). Distance: to nearest image number {report.k}, between features of length 1.",
        ),
    )
    return table.head(MOST_ROWS)
