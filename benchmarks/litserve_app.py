"""LitServe beside `tlkit serve`: the same ONNX file and settings of its session. Runs in an environment of its own.

    python -m venv lit && lit/bin/pip install litserve==0.2.19 onnxruntime==1.31.1 numpy pillow
    lit/bin/python benchmarks/litserve_app.py MODEL.onnx PORT WORKERS BATCH TIMEOUT_S

`MODEL.onnx` takes uint8 pixels of any size. Requests are {"image": base64}, as `tlkit serve` takes them, too.
"""

from __future__ import annotations

import base64
import io
import sys

import litserve
import numpy as np
import onnxruntime
from PIL import Image


class Classifier(litserve.LitAPI):
    def __init__(self, file, batch, timeout_s):
        super().__init__(max_batch_size=batch, batch_timeout=timeout_s)
        self.file, self.batched = file, batch > 1

    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        self.classes = self.session.get_modelmeta().custom_metadata_map["classes"].split("\n")

    def decode_request(self, request):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(request["image"]))).convert("RGB"))

    def predict(self, images):
        given = images if self.batched else images[None]
        found = self.session.run(["probabilities"], {"images": np.ascontiguousarray(given)})[0]
        return found if self.batched else found[0]

    def encode_response(self, proba):
        best = int(proba.argmax())
        return {
            "label": self.classes[best],
            "confidence": float(proba[best]),
            "probabilities": dict(zip(self.classes, proba.tolist(), strict=True)),
        }


if __name__ == "__main__":
    file, port, workers, batch, timeout = sys.argv[1:]
    server = litserve.LitServer(
        Classifier(file, int(batch), float(timeout)), accelerator="cpu", workers_per_device=int(workers), timeout=60
    )
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="error")
