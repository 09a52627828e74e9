#!/usr/bin/env bash
# webdataset 1.0.2 takes the text up to the first dot of a file name as the key of a sample, and all after it as the
# kind. Images whose names hold a number with a decimal point (a magnification, a depth) are joined into one sample
# whose fields are "1x.png" and "2x.png"; there is no field "png", so a pipeline that asks for it loses them.
# Seen: of three images in the tar one comes out, with a warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install webdataset==1.0.2 pillow==13.0.0 numpy==2.4.6
v/bin/python - <<'PY'
import io
import tarfile
import warnings

import webdataset
from PIL import Image

with tarfile.open("slides.tar", "w") as tar:
    for name in ("scan_6.1x.png", "scan_6.2x.png", "scan_7.png"):
        stream = io.BytesIO()
        Image.new("RGB", (4, 4)).save(stream, "PNG")
        member = tarfile.TarInfo(name)
        member.size = stream.tell()
        stream.seek(0)
        tar.addfile(member, stream)
samples = list(webdataset.WebDataset("slides.tar", shardshuffle=False))
fields = {one["__key__"]: sorted(name for name in one if not name.startswith("__")) for one in samples}
print("samples of three images:", fields)
assert fields == {"scan_6": ["1x.png", "2x.png"], "scan_7": ["png"]}, fields
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pairs = webdataset.WebDataset("slides.tar", shardshuffle=False).to_tuple("png", handler=webdataset.warn_and_continue)
    count = len(list(pairs))
print("images that a pipeline of 'png' yields:", count)
assert count == 1, count
PY
