"""Digest of an exported file inside the file itself, so that damage shows wherever the file is copied to.

The metadata hold a SHA-256 of the whole file in which those 64 characters are zeros. It finds damage and careless
edits. It is no signature: who changes the file on purpose can compute it again. `export.json` of the run holds the
digests of the finished files.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tlkit.errors import ModelError
from tlkit.exported.facts import REMEDY

DIGEST_KEY = "tlkit.sha256"
EMPTY = "0" * 64
"""What stands in place of the digest while it is computed."""
ONNX_DIGEST = re.compile(rb"tlkit\.sha256\x12@([0-9a-f]{64})")
"""The digest in an ONNX file: a protobuf entry of two strings, whose second has the tag 0x12 and the length 64."""
OPENVINO_DIGEST = re.compile(rb'<sha256 value="([0-9a-f]{64})"')


def with_digest(content: bytes, *, rest: bytes = b"", pattern: re.Pattern[bytes] = ONNX_DIGEST) -> bytes:
    """Return a file's content with its digest in place of the zeros.

    Args:
        content: the file, with `EMPTY` as its digest.
        rest: content of a second file that belongs to it, such as the weights of an OpenVINO model.
        pattern: finds the digest.
    """
    found = list(pattern.finditer(content))
    assert len(found) == 1 and found[0][1] == EMPTY.encode(), "a file has one digest, which is not computed yet"
    digest = hashlib.sha256(content + rest).hexdigest().encode()
    return content[: found[0].start(1)] + digest + content[found[0].end(1) :]


def require_digest(content: bytes, *, path: Path, rest: bytes = b"", pattern: re.Pattern[bytes] = ONNX_DIGEST) -> None:
    """Check that a file is as it was written.

    Raises:
        ModelError: it was not exported by tlkit, or has been changed or truncated since.
    """
    found = list(pattern.finditer(content))
    if not found:
        raise ModelError(
            f"{path} holds no digest of tlkit: it was exported by another tool, or it is truncated ({len(content):,} "
            f"bytes). {REMEDY}"
        )
    start, end = found[-1].span(1)
    digest = hashlib.sha256(content[:start] + EMPTY.encode() + content[end:] + rest).hexdigest()
    if len(found) > 1 or digest.encode() != found[-1][1]:
        raise ModelError(
            f"{path} has been changed or truncated since it was exported: its SHA-256 is not the one that it holds. "
            f"{REMEDY}"
        )
