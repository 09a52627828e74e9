"""Results of the finders: `RateSweep` of learning rates, `BatchSizes` of growing batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tlkit.arrays import Floats
from tlkit.errors import refuse_newer
from tlkit.models.tuning_tables import batch_sizes_tables, rate_sweep_tables
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
BETA = 0.9
"""Weight of the past in the smoothed loss."""
LEAST_FALL = 0.01
"""Smallest relative decrease that counts as a falling loss."""
NEAR_BEST = 0.95
"""Share of the best throughput that the suggested size reaches."""
Stopped = Literal["memory", "plateau", "images"]
"""Why a series of batch sizes ends."""


def smooth(losses: Iterable[float]) -> Floats:
    """Return the bias-corrected moving average of losses (Kingma & Ba 2015, section 3), of the same shape."""
    average, values = 0.0, []
    for number, loss in enumerate(losses, start=1):
        average = BETA * average + (1 - BETA) * loss
        values.append(average / (1 - BETA**number))
    return np.array(values, dtype=np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class RateSweep:
    """The training loss while the learning rate rises.

    Attributes:
        rates: highest learning rate of each step, shape (S,), rising.
        losses: training loss of each step in nats, shape (S,).
        stopped: "diverged", or "end" at the highest rate.
        phase: name of the phase, such as "the classifier".
        repeated: the suggestion of each further sweep over other batches; None where its loss did not fall.
    """

    rates: Floats
    losses: Floats
    stopped: Literal["diverged", "end"]
    phase: str
    repeated: tuple[float | None, ...] = ()

    @property
    def smoothed(self) -> Floats:
        """The losses as `smooth` gives them, shape (S,)."""
        return smooth(self.losses)

    @property
    def lowest(self) -> float:
        """Learning rate at which the smoothed loss is lowest."""
        return float(self.rates[self.smoothed.argmin()])

    @property
    def steepest(self) -> float | None:
        """Learning rate at which the smoothed loss falls fastest per factor of the rate; None where it never fell."""
        smoothed = self.smoothed
        end = int(smoothed.argmin())
        if end < 2 or smoothed[end] > (1 - LEAST_FALL) * smoothed[0]:
            return None
        slopes = np.gradient(smoothed[: end + 1], np.log(self.rates[: end + 1]))
        return float(self.rates[slopes.argmin()])

    @property
    def suggested(self) -> float | None:
        """The rate where the loss falls fastest, but at most a tenth of `lowest`, to two digits; None without a fall.

        Both rules are in common use (fastai's `steep` and `minimum`); the smaller rate is the safer one.
        """
        if self.steepest is None:
            return None
        return float(f"{min(self.steepest, self.lowest / 10):.1e}")

    @property
    def suggested_range(self) -> tuple[float, float] | None:
        """The lowest and the highest suggestion of all sweeps; None for one sweep, and where none suggests a rate."""
        found = [rate for rate in (self.suggested, *self.repeated) if rate is not None]
        return (min(found), max(found)) if self.repeated and found else None

    def __repr__(self) -> str:
        return f"RateSweep({len(self.rates)} steps, suggested {self.suggested}, stopped: {self.stopped})"

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the sweep; its note holds the suggestion."""
        return rate_sweep_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            "format_version": FORMAT_VERSION,
            "rates": self.rates.tolist(),
            "losses": self.losses.tolist(),
            "stopped": self.stopped,
            "phase": self.phase,
            "suggested": self.suggested,
            "repeated": list(self.repeated),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RateSweep:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("This sweep was", values["format_version"], known=FORMAT_VERSION)
        rates, losses = (np.array(values[name], dtype=np.float64) for name in ("rates", "losses"))
        return cls(rates, losses, values["stopped"], values["phase"], tuple(values.get("repeated", ())))


@dataclass(frozen=True)
class BatchSize:
    """Throughput and memory of one batch size.

    Attributes:
        images: the batch size.
        images_per_s: throughput of training steps, the fastest of those timed.
        memory_mb: peak memory so far, of the process on a CPU, of torch on a GPU; None on Windows without a GPU.
        slower_round: throughput of the fastest step in the slower of two rounds; None = one round.
    """

    images: int
    images_per_s: float
    memory_mb: float | None
    slower_round: float | None = None

    @property
    def surely_per_s(self) -> float:
        """The throughput that every round reached, in images per second."""
        return self.images_per_s if self.slower_round is None else self.slower_round


@dataclass(frozen=True)
class BatchSizes:
    """Training steps timed at growing batch sizes.

    Attributes:
        tried: the sizes, in increasing order.
        stopped: why the series ended: "memory", "plateau" or "images".
        limit_mb: the memory limit; None where the device itself limits it.
        current: the recipe's batch size; None = unknown.
    """

    tried: tuple[BatchSize, ...]
    stopped: Stopped
    limit_mb: float | None
    current: int | None = None

    @property
    def suggested(self) -> int | None:
        """The current size, or the smallest near the best throughput that surely beats it by 5 %; None where none fits.

        A size surely beats the current one if its slower round does beat the current one's faster round.
        """
        if not self.tried:
            return None
        now = self._now
        if now is None:
            return self._near_best[0].images
        sure = () if now in self._near_best else self._surely_beating(now)
        return sure[0].images if sure else self.current

    @property
    def scattered(self) -> bool:
        """Whether a size seems to beat the current one by 5 %, but none does in both rounds of timing."""
        now = self._now
        return now is not None and now not in self._near_best and not self._surely_beating(now)

    @property
    def largest_scatter(self) -> float:
        """Largest ratio of a size's throughput in its faster round to that in its slower round; 1 for one round."""
        return max((one.images_per_s / one.surely_per_s for one in self.tried), default=1.0)

    @property
    def _now(self) -> BatchSize | None:
        """The size in use, which is cut to the number of training images; None where it is unknown or does not fit."""
        if self.current is None:
            return None
        return next(
            (
                one
                for one in self.tried
                if one.images == self.current or (self.stopped == "images" and one == self.tried[-1])
            ),
            None,
        )

    @property
    def _near_best(self) -> list[BatchSize]:
        best = max((one.images_per_s for one in self.tried), default=0.0)
        return [one for one in self.tried if one.images_per_s >= NEAR_BEST * best]

    def _surely_beating(self, now: BatchSize) -> list[BatchSize]:
        return [one for one in self._near_best if NEAR_BEST * one.surely_per_s > now.images_per_s]

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the sizes; its note holds the suggestion."""
        return batch_sizes_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {
            "format_version": FORMAT_VERSION,
            **asdict(self),
            "suggested": self.suggested,
            "scattered": self.scattered,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchSizes:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("These batch sizes were", values["format_version"], known=FORMAT_VERSION)
        tried = tuple(BatchSize(**one) for one in values["tried"])
        return cls(tried, values["stopped"], values["limit_mb"], values.get("current"))
