"""An explanation in words: plain sentences, and HTML for a notebook."""

from __future__ import annotations

from tlkit.audit.explanation import CLASS, AdjustedGap, ExplainedColumn, ExplainedGroup, Explanation, HeatMap
from tlkit.audit.words import NONE, alone_note, bare, p_is
from tlkit.audit.words import signed as with_sign
from tlkit.errors import first_few
from tlkit.notebook import html_lines, html_table
from tlkit.stats.estimate import Estimate

NOTABLE_V = 0.1  # below, two attributes hardly go together (Cohen 1988, section 7.2: "small")
MOST_CELLS = 5
MOST_HALF_WIDTH = 0.15  # farther to each side, an interval stands without a number, as in the audit


def sentences(explanation: Explanation) -> list[str]:
    """Return what was found in plain English, column by column; of each, the group farthest below the rest."""
    found = [line for column in explanation.columns for line in column_sentences(explanation, column)]
    note = alone_note(found, MOST_HALF_WIDTH)
    allowed = design_sentences(explanation) if explanation.columns else []
    return [*allowed, *found, *[note] * bool(note), *[_linked(explanation)] * bool(explanation.linked)]


def design_sentences(explanation: Explanation) -> list[str]:
    """Say what the intervals and tests behind the gaps allow for; nothing where images are independent and alike."""
    if explanation.settings.pair_by is not None:
        return [
            f"Accuracies and recalls are compared within matched sets of {explanation.settings.pair_by}; all else "
            "takes a set for a cluster."
        ]
    allowed = [f"weights in {explanation.settings.weights}"] * (explanation.settings.weights is not None)
    allowed += [f"clusters of {explanation.settings.cluster_by}"] * (explanation.settings.cluster_by is not None)
    return [f"Intervals and tests allow for {' and '.join(allowed)}."] * bool(allowed)


def column_sentences(explanation: Explanation, column: ExplainedColumn) -> list[str]:
    """Return what was found for one column."""
    prefix = f"{column.by}: "
    worst = column.worst
    found = []
    if not column.groups:
        found.append(
            f"no group of {explanation.settings.min_group_size} images or more, with a rest as large, to explain."
        )
    elif worst is None:
        if any(group.difference.value is not None for group in column.groups):
            found.append("no group lies below the rest.")
    else:
        clear = worst.difference.high is not None and worst.difference.high < 0
        gaps = [gap for gap in column.adjusted if gap.group == worst.group]
        if clear:
            found += [_split(worst), *_training(worst)]
        else:
            found.append(
                f"no group lies clearly below the rest; {worst.group} is lowest, {signed(worst.difference)} against it."
            )
            gaps = [gap for gap in gaps if gap.odds.p is not None and gap.odds.p < explanation.settings.alpha]
        found += [_adjusted(gap, explanation) for gap in gaps]
    unknown = [group for group in column.groups if group.difference.value is None]
    if unknown:
        names = first_few([group.group for group in unknown], most=10)
        found.append(f"{names} cannot be compared with the rest ({unknown[0].difference.note}).")
    found += _heat(column.heat, explanation.settings.alpha) + _order(column, explanation)
    return [prefix + line for line in found]


def signed(estimate: Estimate) -> str:
    """Return an estimate with signs and interval, the interval alone where that is wide."""
    return bare(estimate, with_sign(estimate), MOST_HALF_WIDTH)


def rate_text(estimate: Estimate) -> str:
    """Return a rate with its interval, the interval alone where that is wide."""
    return bare(estimate, estimate.format(), MOST_HALF_WIDTH)


def _split(group: ExplainedGroup) -> str:
    split, difference = group.split, signed(group.difference)
    if split.gap.value is None or split.mix.value is None or split.rate.value is None:
        return f"{group.group} is {difference} against the rest, with which it shares no class."
    classes = "the one class" if split.common == 1 else f"the {split.common} classes"
    left_out = ""
    if split.only_one:
        only = "1 class" if split.only_one == 1 else f"{split.only_one} classes"
        left_out = (
            f" Left out: {only} ({split.left_out} images) that only one side has; over the others the gap is "
            f"{signed(split.gap)}."
        )
    return (
        f"{group.group} is {difference} against the rest. Over {classes} that both have, class mix makes "
        f"{signed(split.mix)} of it, and the same classes being recognised at other rates {signed(split.rate)} "
        f"(Kitagawa).{left_out}"
    )


def _training(group: ExplainedGroup) -> list[str]:
    if group.train is None or group.train_share is None:
        return []
    images = "1 training image" if group.train == 1 else f"{group.train:,} training images"
    return [
        f"{group.group} has {images}, {group.train_share:.1%} of those whose value is known, beside "
        f"{group.judged_share:.1%} of the images judged."
    ]


def _adjusted(gap: AdjustedGap, explanation: Explanation) -> str:
    given = "the same class" if gap.given == CLASS else f"the same {gap.given}"
    if gap.odds.pooled.value is None:
        return f"{gap.group} within {given}: nothing to compare ({gap.odds.pooled.note})."
    crude = "" if gap.odds.crude is None else f" (without that {_odds(gap.odds.crude)})"
    text = f"{gap.group} within {given}: odds of being right {_odds_estimate(gap.odds.pooled)} times the rest's{crude}"
    text += f", {explanation.test_name} {p_is(gap.odds.p)}"
    if gap.gap.value is not None:
        text += f"; gap adjusted by logistic regression {signed(gap.gap)}"
    if gap.odds.equal_p is not None and gap.odds.equal_p < explanation.settings.alpha:
        text += f". It is not the same in all of them (Breslow–Day {p_is(gap.odds.equal_p)}): look at each"
    return f"{text}."


def _heat(heat: HeatMap, alpha: float) -> list[str]:
    if not heat.filled:
        return [f"no group has {heat.min_cell_size} images of a class, so recall by group and class is not shown."]
    hits = [
        (cell.p_holm, group, name, cell)
        for group, row in zip(heat.groups, heat.cells, strict=True)
        for name, cell in zip(heat.classes, row, strict=True)
        if cell.p_holm is not None and cell.p_holm < alpha
    ]
    if not hits:
        return [f"no class is recognised otherwise in a group than in the rest (Holm over {heat.tests} cells)."] * bool(
            heat.tests
        )
    hits.sort(key=lambda hit: hit[0])
    told = [
        f"{name} in {group} ({rate_text(cell.recall)}, {signed(cell.difference)} against the rest, {p_is(p)})"
        for p, group, name, cell in hits
        if cell.difference is not None
    ]
    return [f"recall differs from the rest for {first_few(told, most=MOST_CELLS)} (Holm over {heat.tests} cells)."]


def _order(column: ExplainedColumn, explanation: Explanation) -> list[str]:
    ordered, alpha = column.ordered, explanation.settings.alpha
    if ordered is None:
        return []
    order = " < ".join(ordered.order)
    left_out = f" ({first_few(ordered.left_out)} without a place)" if ordered.left_out else ""
    if ordered.rates is None:
        few = "" if explanation.independent else ", or a group is of one cluster"
        return [f"in the order {order}{left_out}, there is nothing to test{few}."]
    rates = ordered.rates
    shape = {
        "level": "the accuracy is the same everywhere",
        "rising": "the accuracy rises, never falls",
        "falling": "the accuracy falls, never rises",
        "U": "the accuracy falls and rises again (U)",
        "inverted U": "the accuracy rises and falls again (inverted U)",
        "irregular": "the accuracy goes up and down",
    }[rates.shape]
    if rates.turn is not None:
        shape += f", turning at {ordered.order[rates.turn]}"
    line = "Cochran–Armitage" if explanation.independent else "t"
    tested = f"trend ({line}) {p_is(rates.trend.p)}, any difference {p_is(rates.any.p)}"
    if rates.bend_p is not None:
        tested += f", departure from a straight line {p_is(rates.bend_p)}"
    verdict = ""
    if rates.any.p >= alpha and rates.trend.p >= alpha:
        verdict = " Neither trend nor difference is more than chance may give."
    elif rates.bend_p is not None and rates.bend_p < alpha:
        verdict = " A trend alone would mislead: look at the groups."
    return [f"in the order {order}{left_out}, {shape}, as the rates stand. Tested: {tested}.{verdict}"]


def _linked(explanation: Explanation) -> str:
    told = [
        f"{link.first} and {'the class' if link.second == CLASS else link.second} (V = {link.association.v:.2f})"
        for link in explanation.linked
        if link.association is not None
        and link.association.v >= NOTABLE_V
        and link.association.p < explanation.settings.alpha
    ]
    if not told:
        return (
            f"No attributes go together by more than chance and a Cramér's V of {NOTABLE_V:g} (corrected for bias), "
            "nor with the classes."
        )
    return f"Going together (Cramér's V, corrected for bias): {first_few(told, most=10)}."


def explanation_html(explanation: Explanation) -> str:
    """Return the explanation as an HTML fragment; all text that comes from the data is escaped."""
    header = ("by", "group", "n", "against the rest", "class mix", "rate", "standardised", "training images")
    rows = [
        (
            column.by,
            group.group,
            str(group.accuracy.n),
            signed(group.difference),
            signed(group.split.mix),
            signed(group.split.rate),
            signed(group.split.standardised),
            NONE if group.train is None else str(group.train),
        )
        for column in explanation.columns
        for group in column.groups
    ]
    return f"<div>{html_lines(sentences(explanation))}{html_table([header, *rows])}</div>"


def _odds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _odds_estimate(odds: Estimate) -> str:
    assert odds.value is not None and odds.low is not None and odds.high is not None
    return f"{_odds(odds.value)} [{_odds(odds.low)}, {_odds(odds.high)}]"
