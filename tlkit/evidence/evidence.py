"""`Evidence`: what a run shows for the clauses of rules on AI; `write_evidence` writes it with its files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.choices import BOM_VERSION, MIN_CELL_SIZE, BomVersion
from tlkit.disk import write_text
from tlkit.errors import RunError, refuse_newer
from tlkit.evidence.clause import Clause
from tlkit.evidence.clauses import clauses
from tlkit.evidence.croissant import croissant
from tlkit.evidence.cyclonedx import cyclonedx
from tlkit.evidence.evidence_tables import evidence_tables
from tlkit.evidence.run_facts import RunFacts, RunFile, read_run_facts, sha256_of
from tlkit.output_files import require_writable
from tlkit.plain_values import from_plain, to_plain
from tlkit.render.published_figures import PublishedFigures
from tlkit.render.report import write_card
from tlkit.tables import Table, to_html

if TYPE_CHECKING:
    from tlkit.runs.run import Run

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
CARD, BOM, DATA, CLAUSES = "MODEL_CARD.md", "bom.cdx.json", "croissant.json", "evidence.json"
STATEMENT = (
    "Evidence of what was measured, for those who judge. It is no statement that any rule is met; that takes the use, "
    "the persons concerned and the organisation, which no file here describes."
)


@dataclass(frozen=True)
class Evidence:
    """What a run shows, clause by clause, with the figures that may be published.

    Attributes:
        run: name of the run.
        digest: SHA-256 over recipe, images, model and predictions.
        created: when the run ended, ISO 8601, UTC; "" = unknown.
        tlkit: the version that fitted the run.
        split: the assessed split.
        confidence: level of the intervals, in (0, 1).
        clauses: the clauses.
        figures: the figures, small cells hidden.
        files: the files of the run and of the evidence, with their digests; evidence.json itself is not among them.
        statement: what this is, and what it is not.
    """

    run: str
    digest: str
    created: str
    tlkit: str
    split: str
    confidence: float
    clauses: tuple[Clause, ...]
    figures: PublishedFigures
    files: tuple[RunFile, ...]
    statement: str = STATEMENT

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the files that are written with it, itself last."""
        return CARD, BOM, DATA, CLAUSES

    def tables(self) -> tuple[Table, ...]:
        """Return the table of clauses, that of the published figures and that of the files."""
        return evidence_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evidence:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("This evidence was", values["format_version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        shown = sum(bool(clause.figure) for clause in self.clauses)
        return f"Evidence({self.run}, {self.split}: {shown} of {len(self.clauses)} clauses have a figure)"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def write_evidence(
    run: Run,
    folder: Path | None = None,
    *,
    split: str | None = None,
    min_cell_size: int = MIN_CELL_SIZE,
    bom_version: BomVersion = BOM_VERSION,
    overwrite: bool = False,
) -> Evidence:
    """Write the evidence of a run: MODEL_CARD.md, bom.cdx.json, croissant.json and evidence.json; return the latter.

    Equal runs give equal files: times and serial numbers come from the run. Cells of fewer than `min_cell_size` images
    have no figure in them. A model card with other content is kept, and may state other cells.

    Args:
        run: the run.
        folder: where to write; default: the run's folder.
        split: the split to assess; default: test, or val where there is none.
        min_cell_size: the fewest images of a cell that is shown, at least 2.
        bom_version: version of CycloneDX.
        overwrite: replace other files of these names in another folder than the run's.

    Raises:
        RunError: the run has no predictions for the split, or `folder` holds other files of these names.
        TlkitError: a file cannot be written, or `min_cell_size` is below 2.
    """
    target = folder or run.path
    require_writable({"The evidence": target / CLAUSES}, error=RunError)
    facts = read_run_facts(run, split, min_cell_size=min_cell_size)
    texts = {BOM: _json(cyclonedx(facts, version=bom_version)), DATA: _json(croissant(facts))}
    own = target.resolve() == run.path.resolve()
    if not own and not overwrite:
        _require_none_other(target, texts)
    target.mkdir(parents=True, exist_ok=True)
    _write_card(target / CARD, facts, replace=overwrite and not own)
    for name, text in texts.items():
        write_text(target / name, text)
    evidence = _evidence(run.directory.name, facts, [target / name for name in (CARD, BOM, DATA)])
    write_text(target / CLAUSES, _json(evidence.to_dict()))
    logger.info("Wrote %s, %s, %s and %s to %s.", CARD, BOM, DATA, CLAUSES, target)
    return evidence


def _evidence(name: str, facts: RunFacts, written: list[Path]) -> Evidence:
    run = facts.contents
    files = [RunFile(path.name, sha256_of(path), private=False) for path in written]
    return Evidence(
        run=name,
        digest=facts.digest,
        created=facts.created,
        tlkit=str(facts.environment.get("tlkit", "unknown")),
        split=run.split,
        confidence=run.evaluation.confidence,
        clauses=clauses(facts),
        figures=facts.figures,
        files=(*files, *facts.files),
    )


def _write_card(path: Path, facts: RunFacts, *, replace: bool) -> None:
    """Write the model card; one with other content, perhaps edited by hand, is kept unless it is to be replaced."""
    try:
        write_card(
            path,
            facts.contents,
            intended_use=facts.intended_use,
            min_cell_size=facts.figures.min_cell_size,
            overwrite=replace,
        )
    except RunError:
        logger.info("Kept %s, which has other content; `tlkit card --overwrite` writes it anew.", path)


def _require_none_other(folder: Path, texts: Mapping[str, str]) -> None:
    """Check that no file with other content is in the way.

    Raises:
        RunError: there is one.
    """
    known = [name for name, text in texts.items() if (folder / name).is_file() and _text(folder / name) != text]
    if known:
        raise RunError(
            f"{folder} holds {' and '.join(known)} with other content. Use --overwrite, or name another folder."
        )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
