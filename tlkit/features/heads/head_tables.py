"""The tables of a `Head` (its settings) and of a `HeadChoice` (its kinds of head)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tlkit.features.heads.head_kinds import FACTS, KINDS, QUICK_KINDS, HeadKind, format_settings
from tlkit.stats.estimate import Estimate
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
            notes=(facts_sentence(head.to_dict()),),
        ),
    )


def facts_sentence(facts: Mapping[str, Any]) -> str:
    """Return the facts of a head in a stored model (`Head.to_dict` and `HeadChoice.to_dict`) as sentences."""
    choice = facts.get("choice")
    return _head_sentence(facts) if choice is None else _choice_sentence(choice, facts)


def _head_sentence(facts: Mapping[str, Any]) -> str:
    """Return the chosen setting and its out-of-fold accuracy."""
    kind: HeadKind = facts["kind"]
    text = f"{kind} head ({FACTS[kind].description}): {format_settings(facts['settings'])}"
    if facts["trials"]:
        text += f", the best of {len(facts['trials'])} settings by cross-validation"
    if facts["out_of_fold_accuracy"]:
        text += f"; out-of-fold accuracy {Estimate.from_dict(facts['out_of_fold_accuracy']).format()}"
    return f"{text}; temperature {facts['temperature']:.3g}."


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
            notes=(_choice_sentence(choice.to_dict(), choice.head.to_dict()),),
        ),
    )


def _choice_sentence(choice: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Return which kind was chosen, and the kinds that are not distinguishable from the leader."""
    leader, chosen, tried = choice["leader"], choice["chosen"], {one["kind"]: one for one in choice["candidates"]}
    accuracy, behind = (
        {kind: Estimate.from_dict(one[name]).format() for kind, one in tried.items()} for name in ("accuracy", "behind")
    )
    text = f"head: auto chose {chosen} ({format_settings(head['settings'])}), "
    text += f"out-of-fold accuracy {accuracy[chosen]} on {counted(head['images'], 'image')}."
    if chosen != leader:
        text += (
            f" {leader} is ahead by {behind[chosen]}, which is not distinguishable from 0: the simpler head is chosen."
        )
    alike = [kind for kind, one in tried.items() if not one["distinguishable"] and kind not in (chosen, leader)]
    if alike:
        either = " either" if chosen != leader else ""
        text += f" Not distinguishable from {leader}{either}: {', '.join(alike)}."
    if worse := [f"{kind} by {behind[kind]}" for kind, one in tried.items() if one["distinguishable"]]:
        text += f" Behind it: {', '.join(worse)}."
    if slow := [kind for kind in KINDS if kind not in QUICK_KINDS and kind not in tried]:
        text += f" Not tried, because they are slow: {', '.join(slow)}; name one as strategy.head to use it."
    return text
