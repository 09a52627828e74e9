"""A file for `torch.save` that computes its sha256 and raises the errors of a write afterwards."""

from __future__ import annotations

import hashlib
from typing import BinaryIO


class HashedFile:
    """A file for `torch.save` that computes the sha256; `finish` raises the error of a write.

    An error raised inside a callback of torch's archive writer would become "unexpected pos" (torch 2.13). An archive
    that an error leaves unfinished is ended when its writer is freed, often after the file is closed: an error raised
    there would abort the process. The handler of SIGCHLD that torch installs for DataLoader workers raises anywhere.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self._error: Exception | None = None

    def write(self, data: bytes) -> int:
        """Write and hash; nothing after an error."""
        if self._error is None:
            try:
                self._file.write(data)
                self.digest.update(data)
            except Exception as error:
                self._error = error
        return len(data)

    def flush(self) -> None:
        """Do nothing; `finish` flushes."""

    def finish(self) -> None:
        """Flush the file.

        Raises:
            OSError: a part could not be written.
            RuntimeError: a DataLoader worker died during a write.
        """
        if self._error is not None:
            raise self._error
        self._file.flush()
