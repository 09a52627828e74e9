"""`model_card`: what a server says about its model, without a path of the server."""

from __future__ import annotations

from typing import Any

from tlkit.exported.exported_predictor import ExportedPredictor
from tlkit.serving.serve_options import ServeOptions


def model_card(predictor: ExportedPredictor, *, digest: str, options: ServeOptions) -> dict[str, Any]:
    """Return the facts of the file, its digest and the limits of requests as plain values."""
    return {
        **predictor.facts.to_dict(),
        "digest": digest,
        "engine": predictor.model.engine,
        "limits": {
            "max_bytes": options.max_bytes,
            "max_images": options.max_images,
            "max_pixels": min(options.max_pixels, predictor.facts.max_pixels),
            "timeout_s": options.timeout_s,
        },
    }
