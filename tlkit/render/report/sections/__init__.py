"""The sections of the report, one function each, in the order of the page.

A new section is a module here with a function from `RunContents` to a `Section`, or to None where the run lacks what
it shows. It gets a line in `SECTIONS`, its value a field of `RunContents`; the template needs no change. A section has
a title, one plain claim, plots, and tables in folds; `PageSection.id` is the anchor that claims of the summary link to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tlkit.render.report.sections.classes_section import classes_section, confusions_section
from tlkit.render.report.sections.confidence_section import confidence_section
from tlkit.render.report.sections.dataset_section import data_section
from tlkit.render.report.sections.explanation_section import explanation_section
from tlkit.render.report.sections.figures_section import figures_section
from tlkit.render.report.sections.groups_section import audit_section
from tlkit.render.report.sections.images_section import group_images_section, slices_section, worst_section
from tlkit.render.report.sections.measurements_section import (
    drift_section,
    label_next_section,
    robustness_section,
    speed_section,
    unknown_section,
)
from tlkit.render.report.sections.provenance_section import provenance_section
from tlkit.render.report.sections.reading_section import reading_section
from tlkit.render.report.sections.repair_section import repair_section
from tlkit.render.report.sections.training_section import training_section

if TYPE_CHECKING:
    from tlkit.render.report.page_section import PageSection
    from tlkit.render.report.run_contents import RunContents

SECTIONS: tuple[Callable[[RunContents], PageSection | None], ...] = (
    audit_section,
    group_images_section,
    repair_section,
    classes_section,
    confusions_section,
    worst_section,
    figures_section,
    confidence_section,
    robustness_section,
    slices_section,
    explanation_section,
    training_section,
    data_section,
    unknown_section,
    drift_section,
    label_next_section,
    speed_section,
    reading_section,
    provenance_section,
)


COMMANDS = {
    "robustness": "robustness RUN",
    "unknown": "unknown RUN",
    "drift": "drift RUN IMAGES",
    "label-next": "label-next RUN IMAGES",
    "speed": "export RUN` and `tlkit bench RUN",
    "slices": "slices RUN",
}
"""By the id of a section that a run lacks until somebody asks for it: the command that adds it."""


def further_commands(run: RunContents, sections: Sequence[PageSection]) -> str:
    """Return in one line which commands would add sections or pictures to the report; "" if none would."""
    there = {section.id for section in sections}
    commands = [f"`tlkit {command}`" for name, command in COMMANDS.items() if name not in there]
    worst, images = run.images.worst, run.images
    if worst is not None and worst.wrong and images.thumbnails and not images.heat:
        commands.append("`tlkit explain RUN`")
    return f"More with {', '.join(commands)}." if commands else ""


def sections_of(run: RunContents) -> tuple[PageSection, ...]:
    """Return the sections that a run has, in the order of the page."""
    return tuple(section for one in SECTIONS if (section := one(run)) is not None)
