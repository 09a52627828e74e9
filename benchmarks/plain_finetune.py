"""The plain tutorial loop that fine-tunes everything: torchvision's ImageFolder, a timm backbone, float32, as it comes.

Usage: python plain_finetune.py FOLDER EPOCHS   (prints one line of JSON)
"""

import ctypes
import json
import sys
import time
from pathlib import Path

import torch
from plain_loop import lite0_weights, timm
from torchvision import datasets, transforms


def main(folder, epochs):
    if sys.platform == "linux":  # the same favour that tlkit does itself: keep freed memory
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-3, 1 << 30), libc.mallopt(-1, (1 << 31) - 1)
    torch.manual_seed(0)
    end = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    bicubic = transforms.InterpolationMode.BICUBIC
    varied = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, scale=(0.6, 1.0), interpolation=bicubic),
            transforms.RandomHorizontalFlip(),
            *end,
        ]
    )
    fixed = transforms.Compose([transforms.Resize(256, bicubic), transforms.CenterCrop(224), *end])
    train = datasets.ImageFolder(Path(folder, "train"), varied)
    val = datasets.ImageFolder(Path(folder, "val"), fixed)
    train_batches = torch.utils.data.DataLoader(train, batch_size=32, shuffle=True, num_workers=2)
    val_batches = torch.utils.data.DataLoader(val, batch_size=32, num_workers=2)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    lite0_weights(model)
    model.reset_classifier(len(train.classes))
    torch.nn.init.normal_(model.get_classifier().weight, std=0.01)
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    groups = [
        {"params": [p for p in model.parameters() if id(p) in head], "lr": 1e-3},
        {"params": [p for p in model.parameters() if id(p) not in head], "lr": 1e-4},
    ]
    optimizer = torch.optim.AdamW(groups)
    seconds = []
    for _ in range(epochs):
        begun = time.perf_counter()
        model.train()
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
        seconds.append(round(time.perf_counter() - begun, 1))
    print(json.dumps({"correct": correct, "n": len(val), "epoch_seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
