"""The tables of a `Head` and of a `HeadChoice`: the settings and the kinds that were tried, and what was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.features.heads.head_kinds import FACTS, KINDS, QUICK_KINDS, setting_words
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.features.heads.head import Head
    from tlkit.features.heads.head_choice import HeadChoice


def head_tables(head: Head) -> tuple[Table, ...]:
    """Return the settings that were tried; the note says what was chosen."""
    return (
        Table(
            name="settings",
            title="Head",
            columns=(
                Column("setting", "setting"),
                Column("accuracy", "accuracy", "number"),
                Column("log_loss", "log loss", "number"),
            ),
            rows=tuple((setting_words(trial.settings), trial.accuracy, trial.log_loss) for trial in head.trials),
            notes=(head_sentence(head),),
        ),
    )


def head_sentence(head: Head) -> str:
    """Return what was chosen and how it does out of fold."""
    text = f"{head.kind} head ({FACTS[head.kind].words}): {setting_words(head.settings)}"
    if head.trials:
        text += f", the best of {len(head.trials)} settings by cross-validation"
    if head.out_of_fold_accuracy:
        text += f"; out-of-fold accuracy {head.out_of_fold_accuracy.format()}"
    return f"{text}; temperature {head.temperature:.3g}."


def choice_tables(choice: HeadChoice) -> tuple[Table, ...]:
    """Return the kinds that were compared; the note says what was chosen, and what the images cannot decide."""
    return (
        Table(
            name="heads",
            title="Heads",
            columns=(
                Column("kind", "head", "word"),
                Column("chosen", "chosen", "flag"),
                Column("setting", "setting"),
                Column("accuracy", "accuracy", "estimate"),
                Column("log_loss", "log loss", "number"),
                Column("behind", f"behind {choice.leader}", "estimate"),
                Column("alike", "not distinguishable", "flag"),
            ),
            rows=tuple(
                (
                    one.kind,
                    one.kind == choice.head.kind,
                    setting_words(one.trial.settings),
                    one.accuracy,
                    one.trial.log_loss,
                    None if one.kind == choice.leader else one.behind,
                    None if one.kind == choice.leader else not one.distinguishable,
                )
                for one in choice.candidates
            ),
            notes=(choice_sentence(choice),),
        ),
    )


def choice_sentence(choice: HeadChoice) -> str:
    """Return what was chosen, by how much, and what the images cannot decide."""
    chosen = next(one for one in choice.candidates if one.kind == choice.head.kind)
    alike = [one.kind for one in choice.candidates if not one.distinguishable and one.kind != choice.head.kind]
    worse = [one for one in choice.candidates if one.distinguishable]
    text = f"head: auto chose {choice.head.kind} ({setting_words(choice.head.settings)}), "
    text += f"out-of-fold accuracy {chosen.accuracy.format()} on {counted(choice.head.n, 'image')}."
    if choice.head.kind != choice.leader:
        text += (
            f" {choice.leader} is ahead by {chosen.behind.format()}, which is not distinguishable from nothing: the "
            "simpler head wins."
        )
    others = [kind for kind in alike if kind != choice.leader]
    if others:
        either = " either" if choice.head.kind != choice.leader else ""
        text += f" Not distinguishable from {choice.leader}{either}: {', '.join(others)}."
    if worse:
        text += " Behind it: " + ", ".join(f"{one.kind} by {one.behind.format()}" for one in worse) + "."
    return f"{text} {_not_tried(choice)}".rstrip()


def _not_tried(choice: HeadChoice) -> str:
    """Return which kinds were left out for their time; "" where they were tried."""
    tried = [one.kind for one in choice.candidates]
    slow = [kind for kind in KINDS if kind not in QUICK_KINDS and kind not in tried]
    if not slow:
        return ""
    return f"Not tried, for their time: {', '.join(slow)}; name one as strategy.head to have it."
