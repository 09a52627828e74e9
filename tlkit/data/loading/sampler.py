"""The order of an epoch: a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler


def epoch_order(n: int, *, shuffle: bool, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order in which an epoch visits its samples, shape (n,): a permutation of 0…n-1.

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
    """Return an epoch of as many samples as there are, in which each class has an equal share, shape (n,).

    A class with fewer samples than its share has each of them as often as any other, give or take one; of a larger
    class, another part is drawn in each epoch. Where the classes do not divide the samples, the epoch says which ones
    get one more.

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
    """Return an epoch that reads shards front to back, one after the other, through a shuffle buffer, shape (n,).

    The shards come in a drawn order. The i-th image of that stream comes out at the time i + u · `buffer`, with u drawn
    uniformly from [0, 1): what a reader does that holds the last `buffer` images it read. So every image moves by fewer
    than `buffer` places, and nothing needs to be read to know where.

    Args:
        shard: number of the shard that each image lies in, shape (n,).
        offset: its place in it, shape (n,).
        buffer: number of images that are shuffled among each other; 1 = only the shards are.
        seed: of the order.
        epoch: from 0.

    Example:
        >>> shard = np.array([0, 0, 0, 1, 1, 1], dtype=np.int32)
        >>> buffered_order(shard, np.array([2, 1, 0, 0, 1, 2]), buffer=1, seed=0, epoch=0).tolist()
        [2, 1, 0, 3, 4, 5]
    """
    stream = np.random.Generator(np.random.PCG64([seed, epoch]))
    turn = stream.permutation(int(shard.max(initial=-1)) + 1)
    in_line = np.lexsort((offset, turn[shard]))
    return in_line[np.argsort(np.arange(len(shard)) + stream.random(len(shard)) * buffer, kind="stable")]


def left_out(n: int, *, batch_size: int, processes: int = 1) -> int:
    """Return how many of n images an epoch leaves out: a last batch too small for each process to train on its part.

    Batch normalisation needs two images. An epoch that is one such batch keeps it.

    Example:
        >>> left_out(33, batch_size=32), left_out(34, batch_size=32), left_out(35, batch_size=16, processes=2)
        (1, 0, 3)
    """
    over = n % (batch_size * processes)
    return over if n > over and over < min(batch_size, 2) * processes else 0


def part_of_epoch(order: npt.NDArray[np.int64], *, batch_size: int, rank: int, processes: int) -> npt.NDArray[np.int64]:
    """Return what one of several processes trains on, in its order.

    Step by step, the processes together take the next `batch_size * processes` samples of the order, the first one the
    first `batch_size` of them and so on: what one process would take in batches that are as many times larger. A short
    last batch is dealt as evenly as it can be, and left out as `left_out` says.

    Example:
        >>> [part_of_epoch(np.arange(10), batch_size=2, rank=rank, processes=2).tolist() for rank in (0, 1)]
        [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    order = order[: len(order) - left_out(len(order), batch_size=batch_size, processes=processes)]
    whole = len(order) - len(order) % (batch_size * processes)
    mine = order[:whole].reshape(-1, processes, batch_size)[:, rank].ravel()
    return np.concatenate([mine, np.array_split(order[whole:], processes)[rank]])


def part_of_table(order: npt.NDArray[np.int64], *, rank: int, processes: int) -> npt.NDArray[np.int64]:
    """Return what one of several processes evaluates: each sample falls to one of them, or all to each if too few.

    Example:
        >>> [part_of_table(np.arange(5), rank=rank, processes=2).tolist() for rank in (0, 1)]
        [[0, 2, 4], [1, 3]]
    """
    return order[rank::processes] if len(order) >= processes else order


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs, so that a dataset in a worker process knows which epoch it augments for.

    Lightning calls `set_epoch` before every epoch. In a plain PyTorch loop nobody need call it: every pass over the
    sampler that is not preceded by `set_epoch` takes the next epoch by itself.

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
        """Say what an epoch is.

        Args:
            n: number of samples.
            shuffle: a new order every epoch; else the order of the samples.
            seed: of the order.
            balance: targets, shape (n,), of which each epoch is to have equal shares; None = each sample once.
            order: gives the order of an epoch, instead of these.
            part: takes this process's samples out of the epoch's order, always equally many; None = all of them.
        """
        assert order is None or balance is None, "one order"
        self.epoch = 0
        self._balance = balance
        self._resumed = (-1, 0)  # an epoch, and how many of its samples were seen before the run was stopped
        self._n = n
        self._order = order
        self._part = part
        self._length = n if part is None else len(part(np.arange(n, dtype=np.int64)))
        self._shuffle = shuffle
        self._seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    def resume(self, epoch: int, *, seen: int) -> None:
        """Begin the next pass over `epoch`, and no other, after its first `seen` samples."""
        self.epoch = epoch
        self._resumed = (epoch, seen)

    @property
    def seen(self) -> int:
        """Number of samples that the next pass leaves out, because an earlier process saw them."""
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
