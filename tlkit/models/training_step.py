"""The seed of a training batch, and the error for a loss or gradient that is not finite."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.process_group import whole_tensor


class NotFiniteError(ModelError):
    """A loss or gradient is not finite; the batch that is named has not changed the weights.

    Attributes:
        what: "loss" or "gradient".
        value: nan, inf or -inf.
        epoch: the epoch, from 1.
        batch: the batch within it, from 1.
    """

    def __init__(self, what: str, value: float, *, epoch: int, batch: int, files: str = "") -> None:
        self.what, self.value, self.epoch, self.batch = what, value, epoch, batch
        super().__init__(
            f"The training {what} became {value} in epoch {epoch}, batch {batch}{files}. "
            "Lower train.learning_rate, or set train.precision to 32."
        )

    def naming(self, files: str) -> NotFiniteError:
        """Return the same error with the batch's files in its message."""
        return NotFiniteError(self.what, self.value, epoch=self.epoch, batch=self.batch, files=files)


def batch_seed(seed: int, *, epoch: int, batch: int, rank: int = 0) -> int:
    """Return a 63-bit seed for one batch of one epoch in one process, by a hash.

    Example:
        >>> batch_seed(0, epoch=1, batch=0) == batch_seed(0, epoch=1, batch=0) != batch_seed(0, epoch=0, batch=1)
        True
    """
    text = f"{seed}:{epoch}:{batch}" + (f":{rank}" if rank else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def cut_of(batch: Sequence[object]) -> str:
    """Return the name of the module whose output a batch holds as `after`; "" for images and features."""
    return str(getattr(batch, "after", ""))


def seed_device(seed: int, device: torch.device) -> None:
    """Seed torch's random numbers on a device."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)  # seeds all devices, which takes half a millisecond for an unused one


def require_finite_loss(loss: torch.Tensor, *, epoch: int, batch: int) -> None:
    """Check the loss of a batch; `epoch` and `batch` count from 1.

    Raises:
        NotFiniteError: it is not a finite number.
    """
    if not torch.isfinite(loss):
        raise NotFiniteError("loss", loss.item(), epoch=epoch, batch=batch)


def require_finite_gradient(optimizer: torch.optim.Optimizer, *, epoch: int, batch: int) -> None:
    """Check the gradients before a step; `epoch` and `batch` count from 1.

    Raises:
        NotFiniteError: a gradient is not a finite number.
    """
    learning = (parameter for group in optimizer.param_groups for parameter in group["params"])
    gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
    norm = whole_tensor(nn.utils.get_total_norm(gradients)).item()
    if not math.isfinite(norm):
        raise NotFiniteError("gradient", norm, epoch=epoch, batch=batch)
