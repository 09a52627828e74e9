"""The images in a request: multipart, raw bytes or base64 in JSON, read under limits of bytes, number and time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from tlkit.serving.serve_options import ServeOptions

MULTIPART, JSON, RAW = "multipart/form-data", "application/json", "application/octet-stream"
BODIES = 8
"""Bodies of the largest size whose bytes may be held at the same time."""
KINDS = f"Send one image as {RAW} or image/*, several as {MULTIPART}, or base64 as {JSON}."


class RefusedError(Exception):
    """A request is refused.

    Attributes:
        status: HTTP status.
        reason: what is wrong and what to do; names nothing of the server.
        headers: of the answer.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        self.status = status
        self.reason = reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(reason)


class RequestReader:
    """Reads the images of requests, and holds the limits that all requests share.

    Args:
        options: the limits.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._held = 0

    @contextmanager
    def body(self) -> Iterator[_Body]:
        """Yield what reads one request; its bytes count as held until the end of the block."""
        body = _Body()
        try:
            yield body
        finally:
            self._held -= body.held

    async def images(self, request: Request, body: _Body) -> list[bytes]:
        """Return the content of each image of a request.

        Raises:
            RefusedError: the body is too large, too slow, of an unknown kind or malformed, holds no image or too many.
            ClientDisconnect: the client has gone before the end of the body.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (MULTIPART, JSON, RAW) and not kind.startswith("image/"):
            raise RefusedError(415, f"The content type is {kind[:60] or 'not stated'}. {KINDS}", connection="close")
        content = await self._content(request, body)
        if kind == MULTIPART:
            images = await self._parts(request, content)
        else:
            images = self._decoded(content) if kind == JSON else [content]
        if not any(images):  # an empty one among others is unreadable, as damaged ones are
            raise RefusedError(422, f"The request holds no image, or an empty one. {KINDS}")
        if len(images) > self._options.max_images:
            raise self._too_many()
        return images

    async def _content(self, request: Request, body: _Body) -> bytes:
        most = self._options.max_bytes
        too_large = RefusedError(
            413, f"The body is larger than {most:,} bytes. Send fewer or smaller images.", connection="close"
        )
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise too_large
        chunks = []
        try:
            async with asyncio.timeout(self._options.timeout_s):
                async for chunk in request.stream():
                    self.hold(body, len(chunk))
                    if body.held > most:
                        raise too_large
                    chunks.append(chunk)
        except TimeoutError:
            reason = f"The body did not arrive within {self._options.timeout_s:g} s."
            raise RefusedError(408, reason, connection="close") from None
        return b"".join(chunks)

    def hold(self, body: _Body, size: int) -> None:
        """Count bytes that a request holds.

        Raises:
            RefusedError: all requests together hold too many.
        """
        body.held += size
        self._held += size
        if self._held > BODIES * self._options.max_bytes:
            reason = "Other requests fill the memory for bodies. Try again."
            raise RefusedError(503, reason, connection="close", retry_after="1")

    async def _parts(self, request: Request, content: bytes) -> list[bytes]:
        async def once() -> AsyncGenerator[bytes, None]:
            yield content

        most = self._options.max_images
        parser = MultiPartParser(request.headers, once(), max_files=most, max_fields=most)
        parser.spool_max_size = len(content) + 1  # never to a disk
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, UnicodeDecodeError) as error:
            if "Too many" in str(error):
                raise self._too_many() from error
            raise RefusedError(400, f"The multipart body is malformed ({str(error)[:100]}).") from error
        try:
            return [await value.read() for _, value in form.multi_items() if isinstance(value, UploadFile)]
        finally:
            await form.close()

    def _decoded(self, content: bytes) -> list[bytes]:
        wanted = 'Send {"images": ["…", "…"]} with base64 texts, or {"image": "…"}.'
        try:
            values = json.loads(content)
            texts = [values["image"]] if "image" in values else values["images"]
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RefusedError(400, f"The body is no JSON of this form. {wanted}") from None
        if len(texts) > self._options.max_images:
            raise self._too_many()
        try:
            return [base64.b64decode(text, validate=True) for text in texts]
        except (binascii.Error, ValueError):
            raise RefusedError(400, f"A text is no base64. {wanted}") from None

    def _too_many(self) -> RefusedError:
        return RefusedError(413, f"A request may hold {self._options.max_images} images. Send several requests.")


class _Body:
    """Counts the bytes that one request holds."""

    held = 0
