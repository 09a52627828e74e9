#!/usr/bin/env bash
# pycocotools 2.0.11: an annotation whose id is 0 counts as an object that no box found. Its matches are stored as ids,
# where 0 stands for none.
# Seen: the same perfect box has an average precision of 1 where the annotation is number 1, and 0 where it is number 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip --quiet install pycocotools==2.0.11 numpy==2.4.6
v/bin/python - <<'PY'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(number):
    """COCO's average precision of one perfect box for an annotation of this number."""
    truth = {"id": number, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    found = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "score": 0.5}
    right = COCO()
    right.dataset = {
        "images": [{"id": 1, "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [truth],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        right.createIndex()
        judged = COCOeval(right, right.loadRes([found]), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return round(float(judged.stats[0]), 6)


seen = {number: average_precision(number) for number in (0, 1, 2)}
print("average precision by number of the annotation:", seen)
assert seen == {0: 0.0, 1: 1.0, 2: 1.0}
PY
