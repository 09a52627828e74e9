"""`create_app`: the routes of a served model."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import ClientDisconnect

from tlkit import __version__
from tlkit.data.decode.decoding import UnreadableImageError
from tlkit.exported.exported_predictor import ExportedPredictor
from tlkit.serving.connections import Connections
from tlkit.serving.guard import PREDICT, Guard
from tlkit.serving.image_queue import BusyError, ImageQueue
from tlkit.serving.metrics import CONTENT_TYPE, ServerMetrics
from tlkit.serving.pages import PAGE, PAGE_POLICY, docs_page
from tlkit.serving.predict_schema import PREDICT_SCHEMA
from tlkit.serving.prediction_log import PredictionLog
from tlkit.serving.request_images import RefusedError, RequestReader
from tlkit.serving.serve_options import ServeOptions
from tlkit.serving.served_model_card import model_card

logger = logging.getLogger(__name__)

FLUSH_S = 5.0
"""Seconds between two parts of the log."""


class ServedModel:
    """A model with what serves it: queue, limits, counts and log.

    Args:
        predictor: the model.
        digest: SHA-256 of its file.
        options: how it is served.
        connections: of the server.

    Raises:
        ServeError: the log cannot be continued.
    """

    def __init__(
        self, predictor: ExportedPredictor, *, digest: str, options: ServeOptions, connections: Connections
    ) -> None:
        self.predictor, self.digest, self.options, self.connections = predictor, digest, options, connections
        self.queue = ImageQueue(predictor.probabilities_of, workers=predictor.workers, most_waiting=options.max_waiting)
        self.reader = RequestReader(options)
        self.is_ready = False
        self.log = (
            None
            if options.log is None
            else PredictionLog(options.log, predictor, digest=digest, images=options.log_images)
        )
        self.metrics = ServerMetrics(
            predictor.classes, waiting=lambda: self.queue.waiting, lost=lambda: 0 if self.log is None else self.log.lost
        )

    @contextlib.asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Watch connections and write the log while the server runs; finish both when it stops."""
        tasks = [asyncio.create_task(self.connections.watch())]
        if self.log is not None:
            tasks.append(asyncio.create_task(self._write_log(self.log)))
        self.is_ready = True
        try:
            yield
        finally:
            self.is_ready = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.queue.close)
            if self.log is not None:
                await asyncio.to_thread(self.log.close)

    async def _write_log(self, log: PredictionLog) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await asyncio.to_thread(log.flush)

    async def respond(self, request: Request) -> Response:
        """Answer `POST /predict`, also where the request is refused."""
        try:
            return await self.predict(request)
        except RefusedError as error:
            return JSONResponse({"error": error.reason}, error.status, error.headers)
        except ClientDisconnect:
            return JSONResponse({"error": "The body was not complete."}, 400)

    async def predict(self, request: Request) -> Response:
        """Return the predictions of the images in a request.

        Raises:
            RefusedError: the request is refused.
        """
        with self.reader.body() as body:
            contents = await self.reader.images(request, body)
            try:
                async with asyncio.timeout(self.options.timeout_s):
                    outcomes = await self.queue.outcomes(contents)
            except BusyError as busy:
                reason = f"{self.queue.waiting} images wait already. Try again later."
                raise RefusedError(503, reason, retry_after=str(busy.retry_after_s)) from None
            except TimeoutError:
                reason = f"The answer took longer than {self.options.timeout_s:g} s. Try again later."
                raise RefusedError(503, reason, retry_after=str(round(self.options.timeout_s))) from None
            answers = [self._answer(content, outcome) for content, outcome in zip(contents, outcomes, strict=True)]
            if self.log is not None:
                await asyncio.to_thread(self._log, contents, outcomes)
        status = 200 if any("error" not in answer for answer in answers) else 422
        return JSONResponse({"model": self.digest, "predictions": answers}, status)

    def _answer(self, content: bytes, outcome: Any) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        if isinstance(outcome, UnreadableImageError):
            self.metrics.count_image(None)
            return {"digest": digest, "error": outcome.reason}
        label = self.predictor.classes[int(outcome.argmax())]
        is_answered = self.predictor.is_answered(outcome)
        self.metrics.count_image(label, answered=is_answered)
        return {
            "digest": digest,
            "label": label,
            "confidence": float(outcome.max()),
            "answered": is_answered,
            "probabilities": dict(zip(self.predictor.classes, outcome.tolist(), strict=True)),
        }

    def _log(self, contents: list[bytes], outcomes: list[Any]) -> None:
        assert self.log is not None
        for content, outcome in zip(contents, outcomes, strict=True):
            if not isinstance(outcome, UnreadableImageError):
                self.log.add(content, hashlib.sha256(content).hexdigest(), outcome)


def create_app(served: ServedModel) -> FastAPI:
    """Return the ASGI application of a model."""
    app = FastAPI(
        title=f"{served.predictor.facts.run}: {served.predictor.facts.architecture}",
        version=__version__,
        description="Predictions of one exported model of tlkit.",
        lifespan=served.running,
        docs_url=None,  # those pages load scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(
        Guard,
        options=served.options,
        metrics=served.metrics,
        connections=served.connections,
        routes={("POST", PREDICT): served.respond},
    )

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(PAGE, headers={"content-security-policy": PAGE_POLICY})

    @app.head("/docs", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return docs_page(app.openapi())

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Whether the process answers.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready", summary="Whether the model can predict; 503 while the server starts or stops.")
    async def ready() -> Response:
        return JSONResponse({"ready": served.is_ready}, 200 if served.is_ready else 503)

    @app.head("/model", include_in_schema=False)
    @app.get("/model", summary="The model: classes, preprocessing, versions, digests, limits.")
    async def model() -> dict[str, Any]:
        return model_card(served.predictor, digest=served.digest, options=served.options)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", summary="Counts and times in Prometheus' text format.", response_class=Response)
    async def metrics() -> Response:
        return Response(served.metrics.text(), media_type=CONTENT_TYPE)

    @app.post(PREDICT, summary="Predict one image or several.", openapi_extra=PREDICT_SCHEMA)
    async def predict(request: Request) -> Response:
        return await served.respond(request)  # the guard has called it already; this is for the description

    return app
