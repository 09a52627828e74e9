"""The tables of a `Head` (its settings) and of a `HeadChoice` (its kinds of head)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.features.heads.head_kinds import FACTS, KINDS, QUICK_KINDS, format_settings
from tlkit.tables import Column, Table, counted

if TYPE_CHECKING:
    from tlkit.features.heads.head import Head
    from tlkit.features.heads.head_choice import HeadChoice


def head_tables(head: Head) -> tuple[Table, ...]:
    """Return the table of the settings that were tried; its note names the chosen one."""
    return (
        Table(
            name="settings",
            title="Head",
            columns=(
                Column("setting", "setting"),
                Column("accuracy", "accuracy", "number"),
                Column("log_loss", "log loss", "number"),
            ),
            rows=tuple((format_settings(trial.settings), trial.accuracy, trial.log_loss) for trial in head.trials),
            notes=(head_sentence(head),),
        ),
    )


def head_sentence(head: Head) -> str:
    """Return the chosen setting and its out-of-fold accuracy as a sentence."""
    text = f"{head.kind} head ({FACTS[head.kind].description}): {format_settings(head.settings)}"
    if head.trials:
        text += f", the best of {len(head.trials)} settings by cross-validation"
    if head.out_of_fold_accuracy:
        text += f"; out-of-fold accuracy {head.out_of_fold_accuracy.format()}"
    return f"{text}; temperature {head.temperature:.3g}."


def choice_tables(choice: HeadChoice) -> tuple[Table, ...]:
    """Return the table of the kinds that were compared; its note says which was chosen and why."""
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
                    format_settings(one.trial.settings),
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
    """Return which kind was chosen, and the kinds that are not distinguishable from the leader, as sentences."""
    chosen = next(one for one in choice.candidates if one.kind == choice.head.kind)
    alike = [one.kind for one in choice.candidates if not one.distinguishable and one.kind != choice.head.kind]
    worse = [one for one in choice.candidates if one.distinguishable]
    text = f"head: auto chose {choice.head.kind} ({format_settings(choice.head.settings)}), "
    text += f"out-of-fold accuracy {chosen.accuracy.format()} on {counted(choice.head.n, 'image')}."
    if choice.head.kind != choice.leader:
        text += (
            f" {choice.leader} is ahead by {chosen.behind.format()}, which is not distinguishable from 0: the "
            "simpler head is chosen."
        )
    others = [kind for kind in alike if kind != choice.leader]
    if others:
        either = " either" if choice.head.kind != choice.leader else ""
        text += f" Not distinguishable from {choice.leader}{either}: {', '.join(others)}."
    if worse:
        text += " Behind it: " + ", ".join(f"{one.kind} by {one.behind.format()}" for one in worse) + "."
    tried = [one.kind for one in choice.candidates]
    if slow := [kind for kind in KINDS if kind not in QUICK_KINDS and kind not in tried]:
        text += f" Not tried, because they are slow: {', '.join(slow)}; name one as strategy.head to use it."
    return text
