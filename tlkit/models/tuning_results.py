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
    """

    images: int
    images_per_s: float
    memory_mb: float | None


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
    stopped: Literal["memory", "plateau", "images"]
    limit_mb: float | None
    current: int | None = None

    @property
    def suggested(self) -> int | None:
        """The current size if it has 95 % of the best throughput, else the smallest that does; None where none fits."""
        if not self.tried:
            return None
        best = max(one.images_per_s for one in self.tried)
        fast = [one.images for one in self.tried if one.images_per_s >= NEAR_BEST * best]
        return self.current if self.current in fast else fast[0]

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the sizes; its note holds the suggestion."""
        return batch_sizes_tables(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return to_html(self.tables())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **asdict(self), "suggested": self.suggested}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchSizes:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit.
        """
        refuse_newer("These batch sizes were", values["format_version"], known=FORMAT_VERSION)
        tried = tuple(BatchSize(**one) for one in values["tried"])
        return cls(tried, values["stopped"], values["limit_mb"], values.get("current"))
