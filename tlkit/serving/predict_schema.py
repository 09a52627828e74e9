"""The OpenAPI description of `POST /predict`, whose body FastAPI cannot derive: it is one of three kinds."""

from __future__ import annotations

from typing import Any

_IMAGE = {"type": "string", "format": "binary"}
_TEXT = {"type": "string", "contentEncoding": "base64"}
_PREDICTION = {
    "type": "object",
    "required": ["digest"],
    "properties": {
        "digest": {"type": "string", "description": "SHA-256 of the image file; the key of the log."},
        "label": {"type": "string", "description": "Most probable class."},
        "confidence": {"type": "number", "description": "Its probability."},
        "answered": {"type": "boolean", "description": "false = the model abstains: the class is unknown."},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "error": {"type": "string", "description": "Why the image cannot be read; then there is no other field."},
    },
}
_ANSWER = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "description": "SHA-256 of the model's file."},
        "predictions": {"type": "array", "items": _PREDICTION, "description": "One for each image, in order."},
    },
}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}}

_REFUSALS = {
    "400": "The body is malformed or incomplete.",
    "401": "The token is missing or wrong.",
    "408": "The body came too slowly.",
    "413": "The body is too large, or holds too many images.",
    "415": "The content type is unknown.",
    "503": "Busy; see Retry-After.",
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


PREDICT_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _IMAGE},
            "image/*": {"schema": _IMAGE},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": {"type": "array", "items": _IMAGE}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"image": _TEXT, "images": {"type": "array", "items": _TEXT}},
                }
            },
        },
    },
    "responses": {
        "200": _json("Predictions; an image that cannot be read has an error in its place.", _ANSWER),
        "422": _json("No image can be read.", _ANSWER),
        **{status: _json(description, _ERROR) for status, description in _REFUSALS.items()},
    },
}
"""Request and answers of `POST /predict`, in OpenAPI 3.1."""
