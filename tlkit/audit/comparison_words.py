"""A comparison of two models in words: plain sentences, tables of text, and HTML for a notebook."""

from __future__ import annotations

from tlkit.audit.model_comparison import ALL, CLASS, ChangeRow, Comparison
from tlkit.audit.words import NONE, image_count, p_is, p_text, rounded, signed
from tlkit.errors import first_few
from tlkit.notebook import html_lines, html_table

MOST_CLASSES = 40
FEWEST_DISCORDANT = 6  # below, no outcome of McNemar's exact test reaches p < 0.05


def summary_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the rows as text, one tuple a row, the header first.

    Of the classes only those where one model is right and the other wrong are shown, at most 40. Small groups
    show their size and nothing else. Where images leaked, those that did not have a row of their own.
    """
    level = f"[{comparison.settings.confidence:.0%}]"
    one, two = comparison.first, comparison.second
    header = ("by", "images of", "n", one, two, f"change {level}", f"only {one} right", f"only {two} right", "p (Holm)")
    rows: list[tuple[str, ...]] = [(*header, "change")]
    for row in _shown(comparison):
        if row.small:
            rows.append((row.by, row.name, str(row.pairs.n), *[NONE] * 6, row.change))
            continue
        rates = (f"{row.first.value:.3f}", f"{row.second.value:.3f}")
        counts = (str(row.pairs.first), str(row.pairs.second))
        rows.append(
            (
                row.by,
                row.name,
                str(row.pairs.n),
                *rates,
                signed(row.difference),
                *counts,
                p_text(row.p_holm),
                row.change,
            )
        )
    return rows


def sentences(comparison: Comparison) -> list[str]:
    """Return what changed, and what could not be told, in plain English."""
    one, two = comparison.first, comparison.second
    found = [f"{image_count(comparison.images)} predicted by both {one} and {two}, compared image by image."]
    left_out = [
        f"{image_count(count)} {what}"
        for count, what in (
            (comparison.only_first, f"that only {one} predicted"),
            (comparison.only_second, f"that only {two} predicted"),
            (comparison.unlabelled, "without a label"),
        )
        if count
    ]
    if left_out:
        found[0] += f" Left out: {', '.join(left_out)}."
    found.append(_overall(comparison.overall, comparison))
    found += _leaks(comparison)
    parts = [row for row in comparison.rows if row.by != ALL]
    for change in ("worse", "better"):
        found += [_changed(row, two) for row in parts if row.change == change]
    if parts and not any(row.change != "not distinguishable" for row in parts):
        found.append(f"{_kinds(parts)} changed by more than chance may have moved it.")
    if alike := [row.name for row in parts if row.by == CLASS and row.pairs.discordant == 0]:
        found.append(f"Right on the same images in {len(alike)} of {_classes(parts)}: {first_few(alike, most=10)}.")
    settings = comparison.settings
    kind = "Newcombe, for pairs"
    if settings.design_columns:
        kind = f"Newcombe, for pairs, which allow for {' and '.join(settings.design_columns)}"
    intervals = f"Intervals of {settings.confidence:.0%} ({kind})"
    if comparison.tests == 0:
        return [*found, f"{intervals}; no image differs, so there is no test."]
    tests = "one test" if comparison.tests == 1 else f"{comparison.tests} tests"
    exact = "exact McNemar" if comparison.test_name == "McNemar" else comparison.test_name
    return [
        *found,
        f"{intervals}; {exact} tests, those of classes and groups corrected for {tests} (Holm, alpha "
        f"{comparison.settings.alpha:g}).",
    ]


def _shown(comparison: Comparison) -> list[ChangeRow]:
    differing = [row for row in comparison.rows if row.by == CLASS and row.pairs.discordant]
    kept = sorted(differing, key=lambda row: 1.0 if row.p is None else row.p)[:MOST_CLASSES]
    clean = [] if comparison.without_leaks is None else [comparison.without_leaks]
    return [comparison.overall, *clean, *(row for row in comparison.rows[1:] if row.by != CLASS or row in kept)]


def _classes(parts: list[ChangeRow]) -> str:
    count = sum(row.by == CLASS for row in parts)
    return "1 class" if count == 1 else f"{count} classes"


def _leaks(comparison: Comparison) -> list[str]:
    """Say how many of the images leaked, and what the others show."""
    if not comparison.leaked:
        return []
    if comparison.without_leaks is None:
        return ["All of these images were met in training, so nothing is known of others."]
    were = "was" if comparison.leaked == 1 else "were"
    met = f"{comparison.leaked:,} of these images {were} met in training."
    return [f"{met} Without: {_overall(comparison.without_leaks, comparison)}"]


def _overall(row: ChangeRow, comparison: Comparison) -> str:
    """Say which model is better on all images, or on those that did not leak."""
    one, two = comparison.first, comparison.second
    if row.small:
        return f"{one} and {two} cannot be compared: {row.difference.note}."
    rates = f"accuracy {row.first.value:.3f} → {row.second.value:.3f}, {signed(row.difference)}"
    right = f"{image_count(row.pairs.first)} only {one} got right, {row.pairs.second:,} only {two}"
    if row.pairs.discordant == 0:
        return f"{one} and {two} are right on the same images ({rates}): not distinguishable at n = {row.pairs.n:,}."
    if row.change != "not distinguishable":
        return f"{two} is {row.change} than {one}: {rates}; {right} ({comparison.test_name} {p_is(row.p)})."
    beside = f"{one} and {two} are not distinguishable at n = {row.pairs.n:,}: {rates}; {right}"
    if comparison.settings.design_columns:
        test = "no test, since all clusters differ alike" if row.p is None else f"{comparison.test_name} {p_is(row.p)}"
        return f"{beside} ({test})."
    could = "Fewer than 6 images differ, which cannot reach p < 0.05 whatever they are"
    if row.pairs.discordant >= FEWEST_DISCORDANT:
        shown = "no difference" if row.detectable is None else f"a difference of {row.detectable:.3f}"
        could = f"So many images could have shown {shown}"
    need = "" if row.needed is None else f"; one as small as this would need n = {rounded(row.needed)}"
    return f"{beside} ({comparison.test_name} {p_is(row.p)}). {could}{need}."


def _changed(row: ChangeRow, two: str) -> str:
    where = f"the class {row.name}" if row.by == CLASS else f"{row.by} {row.name}"
    if row.small:
        return f"{two} is {row.change} for {where} (n = {row.pairs.n}, {p_is(row.p_holm)} after Holm)."
    return (
        f"{two} is {row.change} for {where}: {row.first.value:.3f} → {row.second.value:.3f}, {signed(row.difference)} "
        f"(n = {row.pairs.n:,}, {p_is(row.p_holm)} after Holm)."
    )


def _kinds(parts: list[ChangeRow]) -> str:
    columns = list(dict.fromkeys(row.by for row in parts if row.by != CLASS))
    return f"No class and no group of {first_few(columns, most=6)}" if columns else "No class"


def comparison_html(comparison: Comparison) -> str:
    """Return the comparison as an HTML fragment; all text that comes from the data is escaped."""
    return f"<div>{html_lines(sentences(comparison))}{html_table(summary_rows(comparison))}</div>"
