"""Slices in words, as rows of text, and as HTML."""

from __future__ import annotations

from tlkit.audit.slices.slice_report import FoundSlice, Shortcut, SliceReport
from tlkit.audit.words import NONE, p_is, p_text, signed
from tlkit.notebook import html_lines, html_table

SIGNS = {"confirmed": "✗ confirmed", "not confirmed": "? not confirmed", "candidate": "? candidate"}
MOST_COLUMNS = 5


def slice_rows(report: SliceReport) -> list[tuple[str, ...]]:
    """Return the slices as text, one tuple each, the header first."""
    level = f"[{report.settings.confidence:.0%}]"
    header = (
        "slice",
        "standing",
        "n searched",
        "n tested",
        f"accuracy {level}",
        f"against the rest {level}",
        "p (Holm)",
    )
    return [header, *(_row(one) for one in report.slices)]


def _row(one: FoundSlice) -> tuple[str, ...]:
    return (
        one.name,
        one.standing,
        f"{one.searched.n:,}",
        f"{one.tested.n:,}",
        NONE if one.difference is None else one.tested.format(),
        NONE if one.difference is None else signed(one.difference),
        p_text(one.p_holm),
    )


def shortcut_rows(report: SliceReport) -> list[tuple[str, ...]]:
    """Return the test for shortcuts as text, one tuple a column, the header first; empty where there is none."""
    if not report.shortcuts:
        return []
    header = (
        "classes told from",
        f"accuracy [{report.settings.confidence:.0%}]",
        "always the most frequent class",
        "p",
    )
    return [header, *(_shortcut_row(one) for one in report.shortcuts)]


def _shortcut_row(one: Shortcut) -> tuple[str, ...]:
    return one.words, one.accuracy.format(), f"{one.base_rate:.3f}", p_text(one.p_holm)


def slice_sentences(report: SliceReport) -> list[str]:
    """Return what was found, and how, in plain English."""
    found = [
        f"{report.searched_conditions:,} conditions and pairs of conditions on {len(report.columns)} columns were "
        f"tried on {report.searched:,} of {report.images:,} images; {_count(len(report.slices))} looked worse and "
        f"{'was' if len(report.slices) == 1 else 'were'} tested on the other {report.tested:,}, which had no part in "
        f"the search (Holm, alpha {report.settings.alpha:g})."
    ]
    if report.units < report.images:
        found.append(f"The images show {report.units:,} different pictures or units; each lies in one half.")
    if len(report.slices) > 1:
        found.append("Each is compared with the rest without the images of the slices named before it.")
    found += [_slice_sentence(report, one) for one in report.slices]
    if not report.searched_conditions:
        found.append(
            f"NOT ENOUGH DATA: nothing that the images have in common holds of {report.settings.min_group_size} images "
            f"in the half that is searched, and not of {report.settings.min_group_size} others."
        )
    elif not report.slices:
        found.append("No slice that nobody declared does worse than the rest.")
    elif not report.confirmed:
        found.append("None of them is confirmed: that is no proof that all slices do alike.")
    return found + shortcut_sentences(report)


def shortcut_sentences(report: SliceReport) -> list[str]:
    """Return whether the classes can be told from columns alone, in plain English."""
    if not report.shortcuts:
        return []
    together, *alone = report.shortcuts
    value = f"{together.accuracy.format()} against {together.base_rate:.3f} for always saying the most frequent class"
    telling = [one.words for one in alone if one.tells(report.settings.alpha)]
    if not together.tells(report.settings.alpha) and not telling:
        return [
            f"Shortcuts: the classes could not be told from the columns alone ({value}, permutation p = "
            f"{p_text(together.p)})."
        ]
    if together.tells(report.settings.alpha):
        first = f"Shortcuts: the columns alone tell the classes better than chance: {value} (permutation p = "
        first += f"{p_text(together.p)})."
    else:
        first = "Shortcuts: single columns tell the classes better than chance."
    named = ", ".join(telling[:MOST_COLUMNS]) + (
        f" and {len(telling) - MOST_COLUMNS} more" * (len(telling) > MOST_COLUMNS)
    )
    told = f" So {'does' if len(telling) == 1 else 'do'} {named} alone." if telling else ""
    return [f"{first}{told} A model can learn that in place of what the images show."]


def _slice_sentence(report: SliceReport, one: FoundSlice) -> str:
    if one.difference is None:
        return (
            f"{one.name}: a candidate. Accuracy {one.searched.format()} where it was searched (n = {one.searched.n}), "
            f"but only {one.tested.n} images, or as few others, to test it on; {report.settings.min_group_size} are "
            "asked for."
        )
    about = f"accuracy {one.tested.format()} (n = {one.tested.n}), {signed(one.difference)} against the rest"
    p = p_is(one.p_holm)
    if one.standing == "confirmed":
        mix = ""
        if one.mix is not None and one.mix.value is not None:
            mix = f" Of that, {signed(one.mix)} goes with having other classes."
        return f"{one.name}: confirmed. On images that had no part in the search: {about}, {p}.{mix}"
    could = "no gap" if one.detectable_gap is None else f"a gap of {one.detectable_gap:.2f}"
    return f"{one.name}: not confirmed. {about[0].upper()}{about[1:]}, {p}; so many images could show {could}."


def _count(slices: int) -> str:
    return "1 slice" if slices == 1 else f"{slices} slices"


def slices_html(report: SliceReport) -> str:
    """Return the report as an HTML fragment; all text from the data is escaped, and standings carry a sign."""
    title = f"<p><b>Slices nobody declared: {len(report.confirmed)} confirmed</b></p>"
    header, *rows = slice_rows(report)
    signed_rows = [(row[0], SIGNS[row[1]], *row[2:]) for row in rows]
    tables = html_table([header, *signed_rows]) if rows else ""
    if report.shortcuts:
        tables += html_table(shortcut_rows(report))
    return f"<div>{title}<ul>{html_lines(report.sentences(), tag='li')}</ul>{tables}</div>"
