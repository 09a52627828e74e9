"""The order of an epoch: a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator

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


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (epoch, index) pairs, so that a dataset in a worker process knows which epoch it augments for.

    Lightning calls `set_epoch` before every epoch. In a plain PyTorch loop nobody need call it: every pass over the
    sampler that is not preceded by `set_epoch` takes the next epoch by itself.

    Attributes:
        epoch: the epoch of the next pass, from 0.
    """

    def __init__(self, n: int, *, shuffle: bool, seed: int, balance: npt.NDArray[np.int64] | None = None) -> None:
        """Say what an epoch is.

        Args:
            n: number of samples.
            shuffle: a new order every epoch; else the order of the samples.
            seed: of the order.
            balance: targets, shape (n,), of which each epoch is to have equal shares; None = each sample once.
        """
        self.epoch = 0
        self._balance = balance
        self._resumed = (-1, 0)  # an epoch, and how many of its samples were seen before the run was stopped
        self._n = n
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
        return self._n

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, seen = self.epoch, self.seen
        self.epoch = epoch + 1
        self._resumed = (-1, 0)
        if self._balance is not None:
            order = balanced_order(self._balance, seed=self._seed, epoch=epoch)
        else:
            order = epoch_order(self._n, shuffle=self._shuffle, seed=self._seed, epoch=epoch)
        for index in order[seen:]:
            yield epoch, int(index)
