"""A file for `torch.save` that computes its sha256 and reports disk errors."""

from __future__ import annotations

import hashlib
from typing import BinaryIO


class HashedFile:
    """A file for `torch.save` that computes the sha256 and raises disk errors in `finish`.

    An error raised inside a callback of torch's archive writer would become "unexpected pos" (torch 2.13).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write and hash; nothing after an error."""
        if self._error is None:
            try:
                self._file.write(data)
                self.digest.update(data)
            except OSError as error:
                self._error = error
        return len(data)

    def flush(self) -> None:
        """Do nothing; `finish` flushes."""

    def finish(self) -> None:
        """Flush the file.

        Raises:
            OSError: a part could not be written.
        """
        if self._error is not None:
            raise self._error
        self._file.flush()
