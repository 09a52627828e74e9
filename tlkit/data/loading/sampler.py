"""The order of the images in an epoch: a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler


def epoch_order(n: int, *, shuffle: bool, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of an epoch, shape (n,): a permutation of 0…n-1.

    Example:
        >>> epoch_order(5, shuffle=True, seed=0, epoch=1).tolist()
        [1, 4, 3, 0, 2]
        >>> epoch_order(3, shuffle=False, seed=0, epoch=1).tolist()
        [0, 1, 2]
    """
    if not shuffle:
        return np.arange(n, dtype=np.int64)
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(n).astype(np.int64)


def balanced_order(targets: npt.NDArray[np.int64], *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return an epoch of n samples in which each class has an equal share, shape (n,).

    Samples of a small class are repeated, equally often up to one. Of a large class, each epoch draws other samples.
    Where n is no multiple of the number of classes, each epoch draws the classes that get one sample more.

    Example:
        >>> targets = np.array([0, 0, 0, 0, 0, 1])
        >>> sorted(targets[balanced_order(targets, seed=0, epoch=0)].tolist())
        [0, 0, 0, 1, 1, 1]
    """
    stream = np.random.Generator(np.random.PCG64([seed, epoch]))
    classes = stream.permutation(np.unique(targets))
    n, drawn = len(targets), []
    for number, target in enumerate(classes):
        share = n // len(classes) + (number < n % len(classes))
        members = np.flatnonzero(targets == target)
        rounds = [stream.permutation(members) for _ in range(-(-share // len(members)))]
        drawn.append(np.concatenate(rounds or [members[:0]])[:share])
    return stream.permutation(np.concatenate(drawn)).astype(np.int64)


def buffered_order(
    shard: npt.NDArray[np.int32], offset: npt.NDArray[np.int64], *, buffer: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """Return the order of an epoch that reads shards sequentially through a shuffle buffer, shape (n,).

    The shards come in a random order. The i-th image of that stream is yielded at time i + u · `buffer`, with u uniform
    in [0, 1): an image moves by fewer than `buffer` places, as through the shuffle buffer of WebDataset. The order is
    known before anything is read, so a run can resume at any batch.

    Args:
        shard: number of each image's shard, shape (n,).
        offset: its place in the shard, shape (n,).
        buffer: number of images that are shuffled among each other; 1 = only shards are shuffled.
        seed: seed of the order.
        epoch: the epoch, from 0.

    Example:
        >>> shard = np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)
        >>> buffered_order(shard, np.array([2, 1, 0, 0, 1, 2]), buffer=1, seed=0, epoch=0).tolist()
        [2, 1, 0, 3, 4, 5]
    """
    stream = np.random.Generator(np.random.PCG64([seed, epoch]))
    turn = stream.permutation(int(shard.max(initial=-1)) + 1)
    sequential = np.lexsort((offset, turn[shard]))
    return sequential[np.argsort(np.arange(len(shard)) + stream.random(len(shard)) * buffer, kind="stable")]


def count_dropped(n: int, *, batch_size: int, processes: int = 1) -> int:
    """Return how many of n images an epoch drops: a last batch with fewer than two images for some process.

    Batch normalisation needs two images. An epoch that consists of one such batch keeps it.

    Example:
        >>> count_dropped(33, batch_size=32), count_dropped(34, batch_size=32)
        (1, 0)
        >>> count_dropped(35, batch_size=16, processes=2)
        3
    """
    remainder = n % (batch_size * processes)
    return remainder if n > remainder and remainder < min(batch_size, 2) * processes else 0


def part_of_epoch(order: npt.NDArray[np.int64], *, batch_size: int, rank: int, processes: int) -> npt.NDArray[np.int64]:
    """Return the samples on which one of several processes trains, in order.

    In each step the processes take the next `batch_size * processes` samples of the order, `batch_size` each: the batch
    that a single process of the same global batch size takes. A short last batch is divided evenly, or dropped (see
    `count_dropped`).

    Example:
        >>> [part_of_epoch(np.arange(10), batch_size=2, rank=rank, processes=2).tolist() for rank in (0, 1)]
        [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    order = order[: len(order) - count_dropped(len(order), batch_size=batch_size, processes=processes)]
    whole = len(order) - len(order) % (batch_size * processes)
    full_batches = order[:whole].reshape(-1, processes, batch_size)[:, rank].ravel()
    return np.concatenate([full_batches, np.array_split(order[whole:], processes)[rank]])


def part_of_table(order: npt.NDArray[np.int64], *, rank: int, processes: int) -> npt.NDArray[np.int64]:
    """Return the samples that one of several processes evaluates: each sample once; all of them where n < processes.

    Example:
        >>> [part_of_table(np.arange(5), rank=rank, processes=2).tolist() for rank in (0, 1)]
        [[0, 2, 4], [1, 3]]
    """
    return order[rank::processes] if len(order) >= processes else order


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs, so that a dataset in a worker process knows the epoch of its augmentation.

    Lightning calls `set_epoch` before every epoch. Without `set_epoch`, each pass takes the next epoch.

    Attributes:
        epoch: the epoch of the next pass, from 0.
    """

    def __init__(
        self,
        n: int,
        *,
        shuffle: bool,
        seed: int,
        balance: npt.NDArray[np.int64] | None = None,
        order: Callable[[int], npt.NDArray[np.int64]] | None = None,
        part: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]] | None = None,
    ) -> None:
        """Set the order of the epochs.

        Args:
            n: number of samples.
            shuffle: a new order every epoch; else the order of the samples.
            seed: seed of the order.
            balance: codes, shape (n,), with equal shares of every epoch; None = each sample once.
            order: returns the order of an epoch, in place of the above.
            part: selects this process's samples from an order, always equally many; None = all of them.
        """
        assert order is None or balance is None, "one order"
        self.epoch = 0
        self._balance = balance
        self._resumed = (-1, 0)  # an epoch, and how many of its samples an earlier process has seen
        self._n = n
        self._order = order
        self._part = part
        self._length = n if part is None else len(part(np.arange(n, dtype=np.int64)))
        self._shuffle = shuffle
        self._seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass."""
        self.epoch = epoch

    def resume(self, epoch: int, *, seen: int) -> None:
        """Start the next pass after the first `seen` samples of `epoch`; passes of other epochs start at 0."""
        self.epoch = epoch
        self._resumed = (epoch, seen)

    @property
    def seen(self) -> int:
        """Number of samples that the next pass skips, because an earlier process has seen them."""
        epoch, seen = self._resumed
        return seen if epoch == self.epoch else 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, seen = self.epoch, self.seen
        self.epoch = epoch + 1
        self._resumed = (-1, 0)
        if self._order is not None:
            order = self._order(epoch)
        elif self._balance is not None:
            order = balanced_order(self._balance, seed=self._seed, epoch=epoch)
        else:
            order = epoch_order(self._n, shuffle=self._shuffle, seed=self._seed, epoch=epoch)
        if self._part is not None:
            order = self._part(order)
        for index in order[seen:]:
            yield epoch, int(index)
