"""Tables of a `RateSweep` and of `BatchSizes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Column, Table

if TYPE_CHECKING:
    from tlkit.models.tuning_results import BatchSizes, RateSweep


def rate_sweep_tables(sweep: RateSweep) -> tuple[Table, ...]:
    """Return the range and the findings of a sweep in one row, with the suggestion as a note."""
    return (
        Table(
            name="learning_rates",
            title="Learning rate sweep",
            columns=(
                Column("phase", "trains"),
                Column("steps", "steps", "count"),
                Column("first", "from", "significant", digits=2),
                Column("last", "to", "significant", digits=2),
                Column("stopped", "stopped", "word"),
                Column("steepest", "loss falls fastest at", "significant", digits=2),
                Column("lowest", "loss is lowest at", "significant", digits=2),
            ),
            rows=(
                (
                    sweep.phase,
                    len(sweep.rates),
                    float(sweep.rates[0]),
                    float(sweep.rates[-1]),
                    sweep.stopped,
                    sweep.steepest,
                    sweep.lowest,
                ),
            ),
            notes=(_suggested_rate(sweep),),
        ),
    )


def batch_sizes_tables(sizes: BatchSizes) -> tuple[Table, ...]:
    """Return the sizes that were timed, with the reason for the end and the suggestion as a note."""
    return (
        Table(
            name="batch_sizes",
            title="Batch sizes",
            columns=(
                Column("images", "batch size", "count"),
                Column("images_per_s", "images/s", "number", digits=1),
                Column("memory_mb", "memory", "number", unit="MB", digits=0),
            ),
            rows=tuple((one.images, one.images_per_s, one.memory_mb) for one in sizes.tried),
            notes=(_suggested_size(sizes),),
        ),
    )


def _suggested_rate(sweep: RateSweep) -> str:
    if sweep.suggested is None:
        return "The loss did not fall at any learning rate, so none can be suggested. Try more steps."
    text = f"Suggested: train: {{learning_rate: {sweep.suggested:g}}}"
    if sweep.suggested_range is None:
        return text
    low, high = sweep.suggested_range
    fell = 1 + sum(rate is not None for rate in sweep.repeated)
    sure = "they agree within a factor of 3" if high <= 3 * low else "they disagree, so try several rates in this range"
    return f"{text}. {fell} of {1 + len(sweep.repeated)} sweeps suggest {low:g} to {high:g}: {sure}."


def _suggested_size(sizes: BatchSizes) -> str:
    limit = "" if sizes.limit_mb is None else f" of {sizes.limit_mb:,.0f} MB"
    why = {
        "memory": f"Twice as many images would not fit into the memory{limit}.",
        "plateau": "Two doublings in a row gained less than 5 %.",
        "images": "There are no more training images.",
    }[sizes.stopped]
    if sizes.suggested is None:
        return f"{why} No batch size fits; use smaller images or a smaller backbone."
    if sizes.scattered:
        return (
            f"{why} The timings scatter by a factor of {sizes.largest_scatter:.1f} between two rounds, too much for a "
            f"suggestion: keep data: {{batch_size: {sizes.current}}}, and try again when the machine has nothing else "
            "to do."
        )
    if sizes.suggested == sizes.current:
        return f"{why} No other size is faster by 5 %: keep data: {{batch_size: {sizes.current}}}."
    return f"{why} Suggested: data: {{batch_size: {sizes.suggested}}}; the learning rate depends on it."
