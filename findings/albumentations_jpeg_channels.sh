#!/usr/bin/env bash
# albumentations 2.0.8: ImageCompression hands an RGB image to OpenCV's JPEG encoder, which takes it for BGR. JPEG keeps
# less of the color than of the brightness, so red and blue swapped before the encoder gives another picture than a JPEG
# file of the same quality, most of all for red and blue.
# Seen: on a red-blue checkerboard at quality 30 the mean difference to OpenCV's own JPEG of the image is 18.5 levels;
# with the channels swapped before and after it is 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install albumentations==2.0.8 opencv-python-headless==4.12.0.88 numpy==2.2.6
NO_ALBUMENTATIONS_UPDATE=1 v/bin/python - <<'PY'
import albumentations
import cv2
import numpy as np

assert albumentations.__version__ == "2.0.8"
place = np.indices((64, 64)).sum(axis=0) // 5 % 2
image = np.where(place[..., None] == 0, np.array([220, 30, 40]), np.array([30, 60, 200])).astype(np.uint8)  # RGB
compress = albumentations.ImageCompression(compression_type="jpeg", quality_range=(30, 30), p=1)


def jpeg_of_rgb(rgb):
    """A JPEG file of the image, written and read as OpenCV documents it: in BGR."""
    _, code = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 30])
    return cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


right = jpeg_of_rgb(image).astype(int)
plain = compress(image=image)["image"].astype(int)
swapped = compress(image=np.ascontiguousarray(image[..., ::-1]))["image"][..., ::-1].astype(int)
print("mean difference to a JPEG file:", np.abs(plain - right).mean(), "with channels swapped:", np.abs(swapped - right).mean())
assert np.abs(plain - right).mean() > 1 and np.abs(swapped - right).mean() == 0
PY
