"""The same job in fastai: a frozen timm backbone, its head trained for some epochs, validated after each.

Usage: python fastai_loop.py FOLDER EPOCHS   (prints one line of JSON)
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
import torch  # noqa: E402

if torch.version.cuda is None:  # as tlkit.torchvision_cure, which this environment lacks
    keep = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        keep.define(schema)
import timm  # noqa: E402
from fastai.vision.all import ImageDataLoaders, Learner, Normalize, Resize, accuracy, params  # noqa: E402
from plain_loop import lite0_weights  # noqa: E402


class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        lite0_weights(self.body)
        self.body.reset_classifier(0)
        self.head = torch.nn.Linear(1280, classes)

    def forward(self, images):
        return self.head(self.body(images))


def main(folder, epochs):
    torch.manual_seed(0)
    data = ImageDataLoaders.from_folder(
        Path(folder),
        train="train",
        valid="val",
        item_tfms=Resize(224),
        bs=32,
        num_workers=2,
        batch_tfms=Normalize.from_stats((0.5,) * 3, (0.5,) * 3),
        device=torch.device("cpu"),
    )
    learner = Learner(data, Net(data.c), splitter=lambda m: [params(m.body), params(m.head)], metrics=accuracy)
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(epochs, 3e-3)
        found = float(learner.validate()[1])
    n = len(data.valid_ds)
    print(json.dumps({"correct": round(found * n), "n": n}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
