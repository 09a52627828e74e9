"""`ZeroShotReport`: accuracy of classification by class names, and how it changes with other words and templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.choices import CONFIDENCE
from tlkit.errors import DataError, refuse_newer
from tlkit.evaluation.zero_shot_tables import zero_shot_sentences, zero_shot_tables
from tlkit.plain_values import from_plain, to_plain
from tlkit.stats.estimate import Estimate
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1


@dataclass(frozen=True)
class SynonymChange:
    """What other words for a class change, with those of all other classes as they were.

    Attributes:
        label: the class; "" = the words of all of `synonyms` are replaced at once.
        before: the words in the prompts.
        after: the words in their place.
        changed: share of images that get another class.
        gained: images that get this class and had another; None for all at once.
        lost: images that had this class and get another; None for all at once.
        accuracy: accuracy after, minus accuracy before, on the same images; None without labels.
        p: McNemar's exact test of equal accuracy; None without labels, or where no image changes sides.
        p_holm: after Holm's correction over the rows.
        images: the first paths of images that get another class.
    """

    label: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    changed: Estimate
    gained: int | None
    lost: int | None
    accuracy: Estimate | None
    p: float | None
    p_holm: float | None
    images: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ZeroShotReport:
    """Zero-shot classification of images by the names of classes.

    Attributes:
        model: the image-text model, as it was named.
        digest: sha256 (hex) over the tensors of both of its sides.
        open_clip: version of open_clip.
        words: words in the prompts, by class.
        templates: the prompts; the embeddings of a name are averaged over them.
        n: images with a prediction.
        labelled: images with a label among them.
        accuracy: share of the labelled images that get their own class; None without labels.
        log_loss: mean of −ln p of the true class, in nats; None without labels.
        log_loss_before: the same before calibration; None without labels or without calibration.
        logit_scale: the model's own factor on the cosines of image and text.
        temperature: T by which these logits are divided, fitted on labelled images; None = not calibrated.
        calibrated_on: images that it was fitted on.
        synonyms: what other words change, a class at a time, then all at once where there are several.
        confidence: level of the intervals.
    """

    model: str
    digest: str
    open_clip: str
    words: Mapping[str, tuple[str, ...]]
    templates: tuple[str, ...]
    n: int
    labelled: int
    accuracy: Estimate | None
    log_loss: Estimate | None
    log_loss_before: Estimate | None
    logit_scale: float
    temperature: float | None
    calibrated_on: int
    synonyms: tuple[SynonymChange, ...]
    confidence: float = CONFIDENCE

    def sentences(self) -> tuple[str, ...]:
        """Return what was found, in plain sentences."""
        return zero_shot_sentences(self)

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for readers: what was done, and what synonyms change."""
        return zero_shot_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ZeroShotReport:
        """Read what `to_dict` wrote.

        Raises:
            DataError: a newer tlkit wrote it.
        """
        refuse_newer("This zero-shot report was", values["format_version"], known=FORMAT_VERSION, error=DataError)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        right = "" if self.accuracy is None else f", accuracy {self.accuracy.format()}"
        return f"ZeroShotReport({self.model}: {self.n} images, {len(self.words)} classes{right})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())
