"""Files of checkpoints: written atomically, each with its sha256, without the frozen weights.

A checkpoint holds the optimizer and the weights that training changes. Of frozen weights it holds the sha256 alone, and
it loads only onto weights with that sha256. With a frozen backbone it has a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from tlkit.disk import atomic_file, failed_path, write_text
from tlkit.errors import RunError
from tlkit.lightning import CheckpointIO
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.training.hashed_file import HashedFile
from tlkit.training.prepare import Prepared

FORMAT_VERSION = 2
PATTERN = "epoch-*.ckpt"


@dataclass(frozen=True, eq=False)
class FrozenWeights:
    """The tensors of a classifier that training does not change; by default none.

    Attributes:
        tensors: by name in the classifier's state dict.
        digest: sha256 (hex) of those of the network; see `tensors_digest`.
    """

    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    digest: str = tensors_digest({})

    @classmethod
    def of(cls, prepared: Prepared) -> FrozenWeights:
        """Return the frozen tensors of a run's classifier and of its moving average.

        Several processes receive their weights from rank 0 after a checkpoint is loaded, so none counts as frozen.
        """
        if prepared.world.size > 1:
            return cls()
        tensors = prepared.classifier.frozen_tensors()
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("network.")}
        return cls(tensors, tensors_digest(own))  # the average's are copies

    def removed(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return a classifier's state dict without the frozen tensors."""
        return {name: tensor for name, tensor in state.items() if name not in self.tensors}

    def completed(self, checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return a checkpoint with the frozen tensors in its state dict, after `require`."""
        self.require(checkpoint, path)
        return {**checkpoint, "state_dict": {**self.tensors, **checkpoint["state_dict"]}}

    def require(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Check that a checkpoint was trained on these frozen weights.

        Raises:
            RunError: it was trained on others; the message names `path`.
        """
        written = checkpoint["tlkit"]["frozen_weights"]
        if written != self.digest:
            raise RunError(
                f"{path} holds only the weights that training changes, and the frozen ones of this model are not those "
                f"that it was trained on: their sha256 is {self.digest[:12]} instead of {written[:12]}. Use the "
                "model.weights that the run was started with, or start a new run under another name."
            )


class DurableCheckpointIO(CheckpointIO):
    """Reads and writes checkpoints: atomic writes, and no pickled code.

    A checkpoint is written under another name in the same folder, synced to the disk, and then renamed. Its sha256 is
    in `NAME.sha256`, which `sha256sum --check` reads. Lightning's own class writes to `$TMPDIR` and moves.

    Args:
        frozen: the weights that the run's checkpoints leave out; a loaded checkpoint is completed with them.
    """

    def __init__(self, frozen: FrozenWeights) -> None:
        self._frozen = frozen

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            RunError: it cannot be written, for example on a full disk; the files before it are untouched.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as partial:
                with partial.open("wb") as file:
                    hashed = HashedFile(file)
                    torch.save(checkpoint, cast(BinaryIO, hashed))
                    hashed.finish()
                write_text(digest_path(path), f"{hashed.digest.hexdigest()}  {path.name}\n")
        except OSError as error:
            raise RunError(
                f"{failed_path(error) or path} cannot be written: {error.strerror or error}. The checkpoints before it "
                "are kept. Free some space, then continue with --resume."
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return a checkpoint; only tensors and plain values are read, whatever `weights_only` says.

        Raises:
            RunError: it was trained on other frozen weights.
        """
        return self._frozen.completed(read_checkpoint(Path(path), map_location=map_location or "cpu"), Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint and its digest."""
        Path(path).unlink(missing_ok=True)
        digest_path(Path(path)).unlink(missing_ok=True)


def read_checkpoint(path: Path, *, map_location: Any = "cpu") -> dict[str, Any]:
    """Return the tensors and plain values of a checkpoint."""
    checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
    return checkpoint


def digest_path(path: Path) -> Path:
    """Return the file that holds a checkpoint's sha256."""
    return path.with_name(f"{path.name}.sha256")
