"""What commands measured on request: robustness to corruptions, unknown images, drift, images to label, speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.evaluation.drift_tables import drift_tables, drift_verdict
from tlkit.evaluation.label_next_tables import label_next_sentence, label_next_tables
from tlkit.evaluation.robustness_tables import robustness_tables
from tlkit.evaluation.unknown_tables import unknown_sentence, unknown_tables
from tlkit.exported.bench_tables import bench_tables
from tlkit.render.plots import plot_bench, plot_drift, plot_robustness, plot_unknown
from tlkit.render.report.page_section import Figure, Fold, Grid, PageSection, Part, VerdictBadge
from tlkit.render.report.plain_words import MARKS
from tlkit.tables import counted
from tlkit.tables.formatting import SIGNS

if TYPE_CHECKING:
    from tlkit.evaluation.drift_report import DriftReport
    from tlkit.evaluation.label_next_result import LabelNext
    from tlkit.evaluation.robustness_report import RobustnessReport
    from tlkit.exported.bench import Benchmark
    from tlkit.render.report.page_section import BadgeMark, Block
    from tlkit.render.report.run_contents import RunContents

DRIFT_MARKS: dict[str, BadgeMark] = {"DRIFT": "bad", "NO DRIFT FOUND": "good", "NOT ENOUGH DATA": "open"}
MOST_NAMED = 3
MOST_TO_LABEL = 100


def robustness_section(run: RunContents) -> PageSection | None:
    """Return accuracy under corruptions; None where `tlkit robustness` was not asked."""
    report = run.robustness
    if report is None:
        return None
    summary, *others = robustness_tables(report)
    verdicts = [one.verdict for one in report.corruptions]
    losses = verdicts.count("LOSS")
    verdict = (
        VerdictBadge(f"LOSS under {losses} of {len(verdicts)}", "bad")
        if losses
        else VerdictBadge("NOT ENOUGH DATA", "open")
        if "NOT ENOUGH DATA" in verdicts
        else VerdictBadge("NO LOSS BEYOND TOLERANCE", "good")
    )
    figure = Figure.draw(
        lambda: plot_robustness(report),
        alt=f"Change of accuracy under {len(verdicts)} corruptions. {robustness_claim(report)} The numbers are in"
        " the table below.",
        caption="Five points a corruption, from mild (top) to severe (bottom); a filled point is a certain loss.",
    )
    blocks: tuple[Block, ...] = (
        figure,
        Grid(summary.selected(("corruption", "verdict", "change_5"))),
        *(Fold(table.title, (table,)) for table in others),
        Fold("Mean change, and images that keep their class", (summary,)),
    )
    return PageSection("robustness", "Robustness", robustness_claim(report), blocks, verdict)


def robustness_claim(report: RobustnessReport) -> str:
    """Return in one sentence which corruptions cost accuracy, the earliest loss first."""
    lost = sorted((one.first_loss, one.name) for one in report.corruptions if one.first_loss is not None)
    whole = len(report.corruptions)
    if not lost:
        return f"Under none of {whole} corruptions is a loss of accuracy certain."
    named = ", ".join(f"{name.replace('_', ' ')} from severity {first}" for first, name in lost[:MOST_NAMED])
    more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
    return f"Accuracy is certainly lower under {len(lost)} of {whole} corruptions: {named}{more}."


def drift_claim(name: str, report: DriftReport) -> str:
    """Return in one sentence whether a set of new images is unlike the run's own, and what follows."""
    found = f"{counted(report.images, 'new image')} ({name})"
    if report.verdict == "DRIFT":
        reference = "training" if report.reference == "train" else report.reference
        return f"Drift: {found} differ from the {reference} images, so how good the model is there is unknown."
    if report.verdict == "NO DRIFT FOUND":
        return f"No drift was found in {found}, which does not prove that there is none."
    return f"Whether there is drift cannot be told from {found}: too few."


def unknown_section(run: RunContents) -> PageSection | None:
    """Return the false alarms of the threshold for unknown images by group; None where `tlkit unknown` has not run."""
    report = run.unknown
    if report is None:
        return None
    figure = Figure.draw(
        lambda: plot_unknown(report),
        alt=f"Scores of known and foreign images, and the threshold. {unknown_sentence(report)}",
        caption="Images to the right of the threshold are called unknown. It comes from validation images alone.",
    )
    folds = (Fold(table.title, (table,)) for table in unknown_tables(report))
    return PageSection("unknown", "Unknown images", unknown_sentence(report), (figure, *folds))


def drift_section(run: RunContents) -> PageSection | None:
    """Return the comparisons with new images, the latest first; None where `tlkit drift` was not asked."""
    if not run.drift:
        return None
    parts = tuple(_drift_part(name, report) for name, report in reversed(list(run.drift.items())))
    found = [report.verdict for report in run.drift.values()]
    worst = next(word for word in DRIFT_MARKS if word in found)
    if len(found) == 1:
        claim = drift_claim(*next(iter(run.drift.items())))
    else:
        claim = f"{found.count('DRIFT')} of {len(found)} sets of new images have features unlike those of this run."
    return PageSection("drift", "Drift", claim, parts, VerdictBadge(worst, DRIFT_MARKS[worst]))


def _drift_part(name: str, report: DriftReport) -> Part:
    tests, images = drift_tables(report)
    figure = Figure.draw(
        lambda: plot_drift(report),
        alt=f"Distances of {report.images:,} new and {report.reference_images:,} reference images to their nearest"
        f" reference images. {drift_verdict(report)}",
        caption="New images that lie to the right of the reference are unlike anything the model has seen.",
    )
    folds = (Fold("Tests", (tests,)), Fold("The most foreign of the new images", (images,)))
    verdict = VerdictBadge(report.verdict, DRIFT_MARKS[report.verdict])
    return Part(name, (figure, *folds), verdict, (drift_verdict(report),))


def label_next_section(run: RunContents) -> PageSection | None:
    """Return the images to label next, the latest choice first; None where `tlkit label-next` was not asked."""
    if not run.label_next:
        return None
    latest = list(run.label_next.items())[::-1]
    parts = tuple(_label_next_part(name, chosen) for name, chosen in latest)
    return PageSection("label-next", "What to label next", label_next_sentence(latest[0][1]), parts)


def _label_next_part(name: str, chosen: LabelNext) -> Part:
    (table,) = label_next_tables(chosen)
    return Part(name, (Fold(table.title, (table.head(MOST_TO_LABEL),)),), claims=(label_next_sentence(chosen),))


def speed_section(run: RunContents) -> PageSection | None:
    """Return speed and memory by processor; None where `tlkit bench` was not asked."""
    if not run.speed:
        return None
    parts = tuple(_speed_part(name, benchmark) for name, benchmark in run.speed.items())
    first = next(iter(run.speed.values()))
    verdict = None if first.verdict is None else VerdictBadge(SIGNS[first.verdict], MARKS[first.verdict])
    return PageSection("speed", "Speed", speed_claim(first), parts, verdict)


def _speed_part(name: str, benchmark: Benchmark) -> Part:
    (table,) = bench_tables(benchmark)
    figure = Figure.draw(
        lambda: plot_bench(benchmark),
        alt=f"Images per second of {len(benchmark.rows)} configurations. {speed_claim(benchmark)}",
        caption="From pixels in memory to probabilities; reading and decoding files comes on top.",
    )
    few = table.selected(("engine", "precision", "batch", "threads", "p95", "throughput"))
    return Part(name, (figure, Fold("Latency, throughput and memory", (few, table))))


def speed_claim(benchmark: Benchmark) -> str:
    """Return in one sentence the fastest way to run the model on one image, by the median latency."""
    single = [row for row in benchmark.rows if row.batch == min(one.batch for one in benchmark.rows)]
    best = min(single, key=lambda row: row.p50.value if row.p50.value is not None else float("inf"))
    threads = "1 thread" if best.threads == 1 else f"{best.threads} threads"
    what = "one image" if best.batch == 1 else f"{best.batch} images at once"
    return (
        f"Fastest for {what}: {best.engine} ({best.precision}, {threads}), {best.p50.format(digits=2)} ms in the"
        " median call."
    )
